//! The command `countersign`.

mod args;
mod commands;
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
