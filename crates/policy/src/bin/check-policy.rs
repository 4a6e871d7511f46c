//! Validates policy files as the broker does. usage: check-policy FILE.cedar...
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command reports to a person")]

use std::{error::Error, fs, process::ExitCode};

use countersign_policy::Policies;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<String> = names.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let files = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str));
    Ok(match Policies::load(files, "countersign") {
        Ok(policies) => {
            println!("{} policies are valid", policies.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(source) = error.source() {
                eprintln!("{source}");
            }
            ExitCode::FAILURE
        }
    })
}
