//! Validates files of ssh keys as the broker does, and lists them. usage: check-ssh-keys FILE.pub...
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command reports to a person")]

use std::{error::Error, fs, process::ExitCode};

use countersign_token::AuthorizedKey;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    for name in std::env::args().skip(1) {
        match AuthorizedKey::parse_file(&fs::read_to_string(&name)?) {
            Ok(lines) => {
                for AuthorizedKey { key, .. } in lines {
                    println!("{} {} {}", key.fingerprint(), key.algorithm(), key.comment());
                }
            }
            Err(error) => {
                eprintln!("error: {name}, {error}: {}", error.source);
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
