use std::{
    env,
    io::{ErrorKind, IsTerminal as _, Write as _, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory as _, error};
use countersign::{
    AccessKey, AwsCredentials, Client, Console, Error, Grant, Group, MaterialDir, Secret, SecretGrant, Want,
    config::BrokerSettings,
};

use crate::{
    agent_command,
    args::{Args, Command, Common, Configure, ConsoleUrl, Get, Publish, Pull, state_folder},
    cert_commands, config_command, credential_process_command, device_commands, doctor_command, exec_command,
    probe_command,
    progress::{self, waiting_for},
    token_args::Token,
    token_commands,
};
#[cfg(feature = "operator")]
use crate::{audit_command, ca_commands, completions_command, man_command};

pub(crate) async fn run(args: Args) -> Result<ExitCode, Error> {
    let done = match args.command {
        Command::Pull(pull) => self::pull(pull).await,
        Command::Get(get) => self::get(get).await,
        Command::Configure(configure) => self::configure(configure).await,
        Command::ConsoleUrl(console_url) => self::console_url(console_url).await,
        Command::Publish(publish) => self::publish(publish).await,
        Command::Token(Token { command }) => token_commands::run(command).await,
        Command::Exec(exec) => return exec_command::run(exec).await.map(ExitCode::from),
        Command::Agent(agent) => return agent_command::run(agent).await.map(ExitCode::from),
        Command::Probe(probe) => probe_command::run(probe).await,
        Command::CredentialProcess(asked) => credential_process_command::run(asked).await,
        Command::Device(devices) => device_commands::run(devices.command).await,
        Command::Cert(certificates) => return cert_commands::run(certificates.command).await.map(ExitCode::from),
        Command::Config(config) => config_command::run(config),
        Command::Doctor(doctor) => return doctor_command::run(doctor).await.map(ExitCode::from),
        #[cfg(feature = "operator")]
        Command::Ca(ca) => ca_commands::run(ca.command).await,
        #[cfg(feature = "operator")]
        Command::Audit(audit) => audit_command::run(*audit).await,
        #[cfg(feature = "operator")]
        Command::Completions(completions) => completions_command::completions(&completions),
        #[cfg(feature = "operator")]
        Command::Man(manual) => man_command::man(&manual),
    };
    done.map(|()| ExitCode::SUCCESS)
}

async fn pull(Pull { common }: Pull) -> Result<(), Error> {
    if common.from.is_none() {
        usage("--from is required: the place that material is pulled from");
    }
    let folder = common.broker.folder();
    let material = waiting_for("the material", client(common).pull()).await?;
    let manifest = &material.manifest;
    let line = format!(
        "{} generation {}, pool {}, in {}\n",
        manifest.group,
        manifest.generation,
        manifest.pool.id,
        folder.display()
    );
    print(line.as_bytes())
}

async fn get(get: Get) -> Result<(), Error> {
    let want = Want::Secret { id: get.secret, version_id: get.version_id, version_stage: get.version_stage };
    let secret = secret(get.common, want).await?;
    if get.json { print(json(&secret).expose()) } else { print(secret.value.expose()) }
}

async fn configure(configure: Configure) -> Result<(), Error> {
    let Configure { secret, role, seconds, profile, region, common } = configure;
    let key = match (secret, role) {
        (Some(id), _) => {
            let want = Want::Secret { id, version_id: None, version_stage: None };
            AccessKey::from_secret(&self::secret(common, want).await?.value)?
        }
        (None, Some(role)) => credentials(common, role, seconds).await?.try_into()?,
        (None, None) => usage("a secret or --role is required"),
    };
    let path = profile.write(&key, region.as_deref())?;
    print(format!("profile {profile} in {}\n", path.display()).as_bytes())
}

async fn console_url(console_url: ConsoleUrl) -> Result<(), Error> {
    let ConsoleUrl { role, destination, region, seconds, federation_url, common } = console_url;
    let console = Console::new(region.as_deref(), destination.as_ref(), federation_url)?;
    let credentials = credentials(common, role, seconds).await?;
    let url = waiting_for("the federation endpoint", console.sign_in_url(&credentials)).await?;
    print(url.expose().as_bytes())
}

async fn publish(Publish { to, common }: Publish) -> Result<(), Error> {
    if common.from.is_none() {
        usage("--from is required: the place that the material comes from");
    }
    let (manifest, publication) = waiting_for("the registry", client(common).publish(&to)).await?;
    let (group, generation, version) = (manifest.group, manifest.generation, publication.version);
    let verb = if publication.is_new { "now holds" } else { "holds already" };
    print(format!("{to}@{version} {verb} {group} generation {generation}\n").as_bytes())
}

pub(crate) async fn secret(common: Common, want: Want) -> Result<SecretGrant, Error> {
    if let Grant::Secret(secret) = one(common, want).await? {
        Ok(secret)
    } else {
        Err(Error::Unexpected { status: 200 })
    }
}

pub(crate) async fn credentials(common: Common, role: String, seconds: Option<u32>) -> Result<AwsCredentials, Error> {
    let grant = one(common, Want::Aws { role, seconds }).await?;
    if let Grant::Aws(credentials) = grant { Ok(credentials) } else { Err(Error::Unexpected { status: 200 }) }
}

/// Exchanges one want.
pub(crate) async fn one(common: Common, want: Want) -> Result<Grant, Error> {
    let answer = waiting_for("the broker", client(common).exchange(&[want])).await?;
    let mut granted = answer.granted;
    granted.pop().ok_or(Error::Unexpected { status: 200 })
}

fn json(secret: &SecretGrant) -> Secret<Vec<u8>> {
    Secret::new(serde_json::to_vec_pretty(secret).expect("a grant serializes"))
}

/// The client of this broker; without a group, that of the only material.
pub(crate) fn client(broker: impl Into<BrokerSettings>) -> Client {
    let BrokerSettings { group, from, material, url, timeout } = broker.into();
    let materials = MaterialDir::new(material.unwrap_or_else(state_folder));
    let group = match group {
        Some(group) => group,
        None => only_group(&materials, from.is_some()),
    };
    Client::new(materials, group).pull_from(from).url(url).timeout(timeout)
}

fn only_group(materials: &MaterialDir, is_pulled: bool) -> Group {
    let groups = materials.groups();
    match <[Group; 1]>::try_from(groups) {
        Ok([group]) => group,
        Err(groups) if groups.is_empty() && !is_pulled => {
            usage("--group and --from are required: there is no material yet, and no place to pull it from")
        }
        Err(groups) if groups.is_empty() => usage("--group is required: there is no material yet to tell it from"),
        Err(_) => usage("--group is required: there is material of several groups"),
    }
}

/// Ends the process with the usage error that clap would give of the command that runs.
pub(crate) fn usage(message: &str) -> ! {
    let mut command = Args::command();
    command.build();
    let mut running = &mut command;
    for word in env::args().skip(1) {
        // Looked for twice: the borrow checker does not see that only one of the two is lent on.
        if running.find_subcommand(&word).is_none() {
            break;
        }
        running = running.find_subcommand_mut(&word).expect("it was found");
    }
    running.error(error::ErrorKind::MissingRequiredArgument, message).exit()
}

/// Writes to standard output, with a newline at the end where a person reads it. A reader that has enough, as `head`, is no error.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Error> {
    progress::make_room();
    let mut out = stdout().lock();
    let newline = out.is_terminal() && !bytes.ends_with(b"\n");
    let written = out
        .write_all(bytes)
        .and_then(|()| if newline { out.write_all(b"\n") } else { Ok(()) })
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(source) => Err(Error::File { action: "write", path: PathBuf::from("standard output"), source }),
        Ok(()) => Ok(()),
    }
}

/// Writes JSON to standard output.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).expect("JSON serializes");
    // What JSON may hold as it is, and a terminal would obey.
    let plain = |character: char| match character {
        '\n' => "\n".to_owned(),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        other => other.to_string(),
    };
    print(text.chars().map(plain).collect::<String>().as_bytes())
}

/// Writes a line to standard error.
#[expect(clippy::print_stderr, reason = "a command reports on standard error")]
pub(crate) fn tell(line: &str) {
    progress::make_room();
    eprintln!("{line}");
}
