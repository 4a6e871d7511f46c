//! What a person at a terminal is asked.

use std::{
    io::{IsTerminal as _, Write as _, stderr, stdin},
    path::PathBuf,
};

use countersign::{Error, Secret};

use crate::progress::make_room;

/// Whether there is somebody who can be asked.
pub(crate) fn is_possible() -> bool {
    stdin().is_terminal()
}

/// Asks, and gives the line that was entered. It is wiped after its use: what is entered may be secret.
pub(crate) fn ask(question: &str) -> Result<Secret<String>, Error> {
    make_room();
    let mut answer = String::with_capacity(128);
    let asked = write!(stderr(), "{question} ").and_then(|()| stderr().flush());
    let read = asked.and_then(|()| stdin().read_line(&mut answer));
    let answer = Secret::new(answer);
    match read {
        Ok(0) => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
        Ok(_) => Ok(answer),
        Err(error) => Err(error),
    }
    .map_err(|source| Error::File { action: "read", path: PathBuf::from("standard input"), source })
}

/// Whether the answer to a question is yes.
pub(crate) fn confirm(question: &str) -> Result<bool, Error> {
    Ok(matches!(ask(&format!("{question} [y/N]"))?.expose().trim(), "y" | "Y" | "yes"))
}
