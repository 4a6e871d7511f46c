use std::{
    fs::File,
    io::{BufRead as _, Read as _, stdin},
    path::Path,
};

use countersign::{
    Error, Secret, SubjectName,
    enrollment::{Channel, Code, EnrollmentClient, EnrollmentError, OneTimeToken},
};

use crate::{
    cert_args::CertCommand, cert_enroll_command::enroll, cert_inspect_command::inspect, cert_renew_command::renew,
    cert_revoke_command::revoke, commands::tell, device_args::DeviceAccess, device_commands::BROKER,
    progress::waiting_for, prompt, token_commands::url_for,
};

/// What some of this waits for.
pub(crate) const CA: &str = "the CA";

/// The most that is read of a file with a code or a token, in bytes.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

/// How often a person may enter a code: the broker takes five.
const ENTRIES: u32 = 3;

pub(crate) async fn run(command: CertCommand) -> Result<u8, Error> {
    // Boxed: the compiler computes how large a future is, and gives up where too many stand in each other.
    match command {
        CertCommand::Enroll(order) => Box::pin(enroll(*order)).await?,
        CertCommand::Renew(order) => return Box::pin(renew(order)).await,
        CertCommand::Revoke(order) => Box::pin(revoke(*order)).await?,
        CertCommand::Inspect(order) => inspect(&order)?,
    }
    Ok(0)
}

/// A client of the broker that these options name.
pub(crate) fn enrollment_client(DeviceAccess { access, .. }: &DeviceAccess) -> Result<EnrollmentClient, Error> {
    Ok(EnrollmentClient::new(url_for(access)?).timeout(access.common.broker.timeout))
}

/// Where a code comes from.
pub(crate) enum CodeSource<'a> {
    /// A file, or standard input.
    File(&'a Path),
    /// A person at the terminal.
    Person,
}

impl<'a> CodeSource<'a> {
    /// The file where one is named, which may be standard input; else the person at the terminal, if there is one.
    ///
    /// # Errors
    /// [`EnrollmentError::NobodyToAsk`].
    pub(crate) fn new(file: Option<&'a Path>) -> Result<Self, Error> {
        match file {
            Some(path) if path == Path::new("-") && prompt::is_possible() => Ok(Self::Person),
            Some(path) => Ok(Self::File(path)),
            None if prompt::is_possible() => Ok(Self::Person),
            None => Err(EnrollmentError::NobodyToAsk.into()),
        }
    }

    /// Has a code sent where that is wanted, and gets the token that is given for it. A person may enter it wrong.
    pub(crate) async fn token(
        &self,
        subject: &SubjectName,
        channel: Option<Channel>,
        client: &EnrollmentClient,
        get: impl AsyncFn(&Code) -> Result<OneTimeToken, Error>,
    ) -> Result<OneTimeToken, Error> {
        if let Some(channel) = channel {
            let seconds = waiting_for(BROKER, client.challenge(subject, channel)).await?;
            tell(&format!("where {subject} has an address for {channel}, a code is on its way, good for {seconds} s"));
        }
        let path = match self {
            Self::File(path) => path,
            Self::Person => return Box::pin(entered(get)).await,
        };
        let code = text_of(path)?;
        get(&Code::read(code.expose()).ok_or(EnrollmentError::NotACode)?).await
    }
}

async fn entered(get: impl AsyncFn(&Code) -> Result<OneTimeToken, Error>) -> Result<OneTimeToken, Error> {
    let mut entries = 1;
    loop {
        let ended = match Code::read(prompt::ask("code:")?.expose()) {
            Some(code) => get(&code).await,
            None => Err(EnrollmentError::NotACode.into()),
        };
        match ended {
            Err(Error::Enrollment(error @ (EnrollmentError::NotACode | EnrollmentError::Refused { .. })))
                if entries < ENTRIES =>
            {
                tell(&format!("{error}: enter it again"));
            }
            ended => return ended,
        }
        entries += 1;
    }
}

/// The text of a file, or the next line of standard input.
pub(crate) fn text_of(path: &Path) -> Result<Secret<String>, Error> {
    let mut text = String::with_capacity(1024);
    let read = if path == Path::new("-") {
        stdin().lock().take(MAX_INPUT_BYTES).read_line(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_INPUT_BYTES).read_to_string(&mut text))
    };
    let text = Secret::new(text);
    read.map_err(|source| Error::File { action: "read", path: path.to_owned(), source })?;
    Ok(text)
}
