//! Validates files of subjects and their addresses together, as the broker does, and lists the subjects with their channels.
//! usage: check-subjects FILE.json...
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command reports to a person")]

use std::{env, error::Error, fs, path::Path, process::ExitCode};

use enroll::Directory;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let texts: Vec<String> = paths.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let names = paths.iter().map(|path| Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path));
    let files: Vec<(&str, &str)> = names.zip(texts.iter().map(String::as_str)).collect();
    match Directory::parse(&files) {
        Ok(directory) => {
            for (subject, channels) in directory.subjects() {
                println!("{subject} {}", channels.join(" "));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("error: {}", ports::chain(&error));
            Ok(ExitCode::FAILURE)
        }
    }
}
