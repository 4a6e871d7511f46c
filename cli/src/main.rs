//! The command `countersign`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agent_args;
mod agent_command;
mod args;
#[cfg(feature = "operator")]
mod audit_args;
#[cfg(feature = "operator")]
mod audit_command;
#[cfg(feature = "operator")]
mod ca_args;
#[cfg(feature = "operator")]
mod ca_commands;
#[cfg(feature = "operator")]
mod ca_step_args;
#[cfg(feature = "operator")]
mod ca_step_command;
mod cert_args;
mod cert_commands;
mod cert_enroll_command;
mod cert_inspect_command;
mod cert_renew_command;
mod cert_revoke_command;
mod commands;
#[cfg(feature = "operator")]
mod completions_command;
mod config_command;
mod credential_process_command;
mod device_args;
mod device_commands;
mod doctor_command;
mod exec_command;
#[cfg(test)]
mod help_tests;
#[cfg(feature = "operator")]
mod issue_args;
#[cfg(feature = "operator")]
mod issue_command;
mod log;
#[cfg(feature = "operator")]
mod man_command;
mod needs_args;
mod probe_command;
mod progress;
mod prompt;
mod provision_command;
mod provision_order;
mod subject_args;
mod token_args;
mod token_commands;
#[cfg(all(test, feature = "operator"))]
mod transcript_tests;
#[cfg(test)]
mod written;

use std::{error::Error as _, process::ExitCode};

use clap::Parser as _;
use countersign::{Error, supervise::hide_memory};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let args = args::Args::try_parse().unwrap_or_else(|mut error| {
        exec_command::add_tip(&mut error);
        error.exit()
    });
    let runtime = Builder::new_current_thread().enable_all().build().expect("this system has threads and polls files");
    // Material and what the broker gives come into it, whatever the command is.
    let hidden = hide_memory().map_err(Error::from);
    let result = hidden.and_then(|()| runtime.block_on(commands::run(args)));
    // Nothing waits for what a thread is at, as the look-up of a name that nobody answers.
    runtime.shutdown_background();
    let error = match result {
        Ok(code) => return code,
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
