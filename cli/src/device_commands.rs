use std::{
    fs::File,
    io::{IsTerminal as _, Read as _, Write as _, stderr, stdin},
    path::Path,
    time::Duration,
};

use countersign::{
    BearerToken, BulkOrder, BulkTask, DeviceClient, DeviceError, DeviceFiles, Error, MAX_REPORT_BYTES, TaskId,
    TokenError, plain,
};
use ports::{Clock as _, SystemClock};

use crate::{
    commands::{print, print_json, tell, usage},
    device_args::{
        BulkCommand, BulkStart, BulkStatus, DeviceAccess, DeviceCommand, DeviceDelete, DeviceGet, DeviceSetStatus,
        Follow,
    },
    progress::waiting_for,
    provision_command::provision,
    token_commands::{token, token_of, url_for},
};

/// The most that a bulk order may be, in bytes: what the broker takes.
const MAX_ROWS_BYTES: u64 = 4 * 1024 * 1024;

/// How long a waiting client leaves the broker alone.
const POLL: Duration = Duration::from_secs(2);

/// What most of this waits for.
pub(crate) const BROKER: &str = "the broker";

pub(crate) async fn run(command: DeviceCommand) -> Result<(), Error> {
    match command {
        DeviceCommand::Provision(order) => provision(*order).await,
        DeviceCommand::Get(get) => self::get(get).await,
        DeviceCommand::Delete(delete) => self::delete(delete).await,
        DeviceCommand::SetStatus(set_status) => self::set_status(set_status).await,
        DeviceCommand::Bulk(bulk) => match bulk.command {
            BulkCommand::Start(start) => self::start(start).await,
            BulkCommand::Status(status) => self::status(status).await,
        },
    }
}

/// A client with the token that these options name, and the token.
pub(crate) async fn client(access: &DeviceAccess) -> Result<(DeviceClient, BearerToken), Error> {
    let token = bearer(access).await?;
    let timeout = access.access.common.broker.timeout;
    let client = DeviceClient::new(url_for(&access.access)?, &token).timeout(timeout);
    Ok((client, token))
}

/// The token that these options name.
pub(crate) async fn bearer(DeviceAccess { token_file, access }: &DeviceAccess) -> Result<BearerToken, Error> {
    let Some(path) = token_file else { return token(access.clone()).await };
    let text = if path == Path::new("-") {
        token_of(stdin().lock(), Path::new("standard input"))?
    } else {
        token_of(File::open(path).map_err(|source| unread(path, source))?, path)?
    };
    Ok(BearerToken::read(text).ok_or(TokenError::NotAToken)?)
}

async fn get(DeviceGet { name, json, access }: DeviceGet) -> Result<(), Error> {
    let client = client(&access).await?.0;
    let device = waiting_for(BROKER, client.device(&name)).await?;
    if json {
        return print_json(&device);
    }
    let mut text = line("thing", &device.thing_name) + &line("arn", &device.arn);
    text.extend(device.thing_type.iter().map(|thing_type| line("type", thing_type)));
    text.extend(device.attributes.iter().map(|(name, value)| line("attribute", &format!("{name}={value}"))));
    let certificates = device.certificates.iter();
    text.extend(certificates.map(|c| line("certificate", &format!("{} {}", c.certificate_id, c.certificate_status))));
    text.extend(device.policies.iter().map(|policy| line("policy", &policy.policy_name)));
    text.extend(device.groups.iter().map(|group| line("group", &group.group_name)));
    print(text.as_bytes())
}

async fn delete(DeviceDelete { name, yes, access }: DeviceDelete) -> Result<(), Error> {
    if !yes {
        if !stdin().is_terminal() {
            usage("--yes is required where nobody can be asked");
        }
        let mut answer = String::new();
        let asked = write!(stderr(), "delete {name} with what the deployment deletes of it? [y/N] ")
            .and_then(|()| stderr().flush())
            .and_then(|()| stdin().read_line(&mut answer));
        asked.map_err(|source| unread(Path::new("standard input"), source))?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            tell("nothing was deleted");
            return Ok(());
        }
    }
    let client = client(&access).await?.0;
    waiting_for(BROKER, client.delete(&name)).await?;
    print(format!("{name} is deleted\n").as_bytes())
}

async fn set_status(DeviceSetStatus { name, status, access }: DeviceSetStatus) -> Result<(), Error> {
    let client = client(&access).await?.0;
    waiting_for(BROKER, client.set_status(&name, status)).await?;
    print(format!("every certificate of {name} is {}\n", status.name()).as_bytes())
}

async fn start(BulkStart { template, file, follow, access }: BulkStart) -> Result<(), Error> {
    if follow.reports.is_some() && !follow.wait {
        usage("--wait is required with --reports: there is none of a task that began just now");
    }
    let is_stdin = file == Path::new("-");
    if is_stdin && access.token_file.as_deref() == Some(Path::new("-")) {
        usage("standard input is either the token or the parameters");
    }
    let mut text = Vec::new();
    let read = if is_stdin {
        stdin().lock().take(MAX_ROWS_BYTES + 1).read_to_end(&mut text)
    } else {
        File::open(&file).and_then(|opened| opened.take(MAX_ROWS_BYTES + 1).read_to_end(&mut text))
    };
    read.map_err(|source| unread(&file, source))?;
    if text.len() as u64 > MAX_ROWS_BYTES {
        return Err(Error::Damaged { path: file, reason: "too large: the broker takes 4 MiB at a time" });
    }
    let order = BulkOrder { template: template.into(), parameters: BulkOrder::rows(&text)? };
    let client = client(&access).await?.0;
    let task = waiting_for(BROKER, client.start_bulk(&order)).await?;
    print(format!("{task}\n").as_bytes())?;
    if follow.wait { must_have_succeeded(&self::follow(&task, &follow, &access).await?) } else { Ok(()) }
}

async fn status(BulkStatus { task, json, follow, access }: BulkStatus) -> Result<(), Error> {
    let found = self::follow(&task, &follow, &access).await?;
    if json {
        print_json(&found)?;
    } else {
        print(format!("{}\n", progress(&found)).as_bytes())?;
    }
    if follow.wait { must_have_succeeded(&found) } else { Ok(()) }
}

/// The task as it is, or as it ends, with its reports written where they are asked for.
async fn follow(task: &TaskId, Follow { wait, reports }: &Follow, access: &DeviceAccess) -> Result<BulkTask, Error> {
    let (mut client, mut token) = client(access).await?;
    let mut shown = String::new();
    let found = loop {
        // A task may take longer than a token lives.
        if access.token_file.is_none() && !token.is_fresh(SystemClock.unix_seconds()) {
            (client, token) = self::client(access).await?;
        }
        // Where it is waited for, the task's own progress is shown.
        let found = if *wait { client.bulk(task).await? } else { waiting_for(BROKER, client.bulk(task)).await? };
        if *wait {
            show(progress(&found), &mut shown);
        }
        if !wait || found.has_ended() {
            break found;
        }
        tokio::time::sleep(POLL).await;
    };
    if *wait && stderr().is_terminal() {
        tell("");
    }
    if let Some(folder) = reports {
        write_reports(&client, &found, folder).await?;
    }
    Ok(found)
}

async fn write_reports(client: &DeviceClient, task: &BulkTask, folder: &Path) -> Result<(), Error> {
    let files = DeviceFiles::new(folder, false);
    let mut left = MAX_REPORT_BYTES;
    for (name, links) in [("results.jsonl", &task.results_reports), ("errors.jsonl", &task.errors_reports)] {
        if links.is_empty() {
            tell(&format!("there is no {name}"));
        } else {
            let path = files.write(name, &waiting_for("the reports", client.report(links, &mut left)).await?)?;
            tell(&format!("{} is written", path.display()));
        }
    }
    Ok(())
}

fn must_have_succeeded(task: &BulkTask) -> Result<(), Error> {
    if task.has_succeeded() {
        return Ok(());
    }
    let (succeeded, failed) = (task.success_count, task.failure_count);
    Err(DeviceError::Bulk { status: plain(&task.status), succeeded, failed }.into())
}

/// Shows progress on standard error, where it differs from what is shown: in one line on a terminal, else a line each time.
fn show(progress: String, shown: &mut String) {
    if progress == *shown {
        return;
    }
    if stderr().is_terminal() {
        // Where it cannot be shown, the task goes on.
        let _ = write!(stderr(), "\r{progress}\x1b[K").and_then(|()| stderr().flush());
    } else {
        tell(&progress);
    }
    *shown = progress;
}

fn progress(task: &BulkTask) -> String {
    let BulkTask { status, percentage_progress: percent, success_count: done, failure_count: failed, .. } = task;
    format!("{} {percent} % ({done} registered, {failed} failed)", plain(status))
}

/// A line of what is printed, without what a terminal would obey.
pub(crate) fn line(what: &str, value: &str) -> String {
    format!("{:<14}  {}\n", plain(what), plain(value))
}

fn unread(path: &Path, source: std::io::Error) -> Error {
    Error::File { action: "read", path: path.to_owned(), source }
}
