//! Checks provisioning templates, and what they are assigned to, before they are put where the function reads them:
//! `check-templates FILE...`.

use std::{env, error::Error, fs, process::ExitCode};

use provision::{Assignments, Template, TemplateId};

fn main() -> ExitCode {
    let mut wrong = false;
    for file in env::args().skip(1) {
        if let Err(error) = check(&file) {
            wrong = true;
            #[expect(clippy::print_stderr, reason = "a command reports on standard error")]
            {
                eprintln!("{file}: {}", ports::chain(&*error));
            }
        }
    }
    ExitCode::from(u8::from(wrong))
}

fn check(file: &str) -> Result<(), Box<dyn Error>> {
    let name = file.rsplit('/').next().unwrap_or_default();
    let bytes = fs::read(file)?;
    if name == "assignments.json" {
        Assignments::parse(&bytes)?;
    } else {
        name.strip_suffix(".json").unwrap_or_default().parse::<TemplateId>()?;
        Template::parse(&bytes, "arn:aws:iot:us-east-1:123456789012:")?;
    }
    Ok(())
}
