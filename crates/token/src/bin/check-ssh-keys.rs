//! Validates files of ssh keys together, as the broker does, and lists them. usage: check-ssh-keys FILE.pub...
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command reports to a person")]

use std::{error::Error, fs, path::Path, process::ExitCode};

use countersign_token::Registry;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<String> = paths.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let names = paths.iter().map(|path| Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path));
    let files: Vec<(&str, &str)> = names.zip(texts.iter().map(String::as_str)).collect();
    match Registry::parse(&files) {
        Ok(registry) => {
            for known in registry.keys() {
                let key = &known.line.key;
                println!("{} {} {} {}", key.fingerprint(), known.file, key.algorithm(), key.comment());
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let mut line = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                line.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            eprintln!("error: {line}");
            Ok(ExitCode::FAILURE)
        }
    }
}
