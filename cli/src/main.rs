//! The command `countersign`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agent_args;
mod args;
#[cfg(feature = "operator")]
mod ca_args;
#[cfg(feature = "operator")]
mod ca_commands;
mod commands;
#[cfg(feature = "operator")]
mod completions_command;
mod config_command;
mod credential_process_command;
mod device_args;
mod device_commands;
#[cfg(feature = "operator")]
mod issue_args;
#[cfg(feature = "operator")]
mod issue_command;
#[allow(dead_code, reason = "what calls it comes with exec and agent")]
mod log;
#[cfg(feature = "operator")]
mod man_command;
mod needs_args;
mod probe_command;
mod progress;
mod provision_command;
mod provision_order;
mod subject_args;
mod token_args;
mod token_commands;

use std::{error::Error as _, process::ExitCode};

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let error = match commands::run(args::Args::parse()).await {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    #[expect(clippy::print_stderr, reason = "a command reports on standard error")]
    {
        eprintln!("error: {line}");
        eprintln!("hint: {}", error.hint());
    }
    ExitCode::from(error.exit_code())
}
