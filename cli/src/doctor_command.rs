use countersign::{
    Error,
    doctor::{Finding, Outcome, examine},
    plain,
};

use crate::{
    args::state_folder,
    commands::{print, print_json},
    needs_args::Needs,
    progress::waiting_for,
};

/// Look at all that could keep a container from getting what it needs, and tell what to do.
///
/// In this order: configuration, permissions of folders and files, material, the place that it is
/// pulled from, the broker's name, port, certificate and health, this machine's clock, the
/// material's generation, and for each item whether the broker gives it. A check that needs one
/// that failed is not tried.
///
/// Run it as the user and in the container that it is about. It leaves nothing behind and shows no
/// value; the broker issues what is asked for, and records that it did. The exit code is 0, or that
/// of the first check that failed.
///
/// Examples:
///   countersign doctor
///   countersign doctor --config countersign.toml --json
///   countersign doctor --group web --from s3://countersign-bucket --env DB_PASSWORD=secret:app/db
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Doctor {
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    needs: Needs,
}

/// The exit code of what was found.
pub(crate) async fn run(Doctor { json, needs }: Doctor) -> Result<u8, Error> {
    let mut told = Ok(());
    let tell = |finding: &Finding| {
        if !json && told.is_ok() {
            told = print(lines(finding).as_bytes());
        }
    };
    let report = waiting_for("the checks", examine(needs.config(), state_folder(), tell)).await;
    told?;
    if json {
        print_json(&report)?;
    }
    Ok(report.exit_code)
}

/// What was found in one line, and what to do in a second one.
fn lines(finding: &Finding) -> String {
    let outcome = match finding.outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Failed => "FAILED",
        Outcome::NotTried => "not tried",
    };
    let hint = finding.hint.iter().map(|hint| format!("{:26}hint: {}\n", "", plain(hint)));
    let line = format!("{outcome:<9}  {:<13}  {}\n", finding.check.name(), plain(&finding.found));
    [line].into_iter().chain(hint).collect()
}
