//! Checks provisioning templates before they are put where the function reads them: `check-templates FILE...`.

use std::{env, fs, process::ExitCode};

use provision::{Template, TemplateId};

fn main() -> ExitCode {
    let mut wrong = false;
    for file in env::args().skip(1) {
        let name = file.rsplit('/').next().unwrap_or_default();
        let checked = match name.strip_suffix(".json").unwrap_or_default().parse::<TemplateId>() {
            Err(error) => Err(error.to_string()),
            Ok(_) => fs::read(&file).map_err(|error| error.to_string()).and_then(|bytes| {
                Template::parse(&bytes, "arn:aws:iot:us-east-1:123456789012:").map_err(|error| error.to_string())
            }),
        };
        if let Err(error) = checked {
            wrong = true;
            #[expect(clippy::print_stderr, reason = "a command reports on standard error")]
            {
                eprintln!("{file}: {error}");
            }
        }
    }
    ExitCode::from(u8::from(wrong))
}
