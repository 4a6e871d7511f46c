use std::path::PathBuf;

use pki::PkiError;
use ports::Cause;

/// Why there is no certificate, or nothing to renew.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    /// The broker does not take the request (400).
    #[error("the broker does not take the request (request id {request_id})")]
    Invalid {
        /// Under this id the broker's log holds the request.
        request_id: String,
    },
    /// The broker refused a code, or a token (401).
    #[error("the broker refused the code, or the token (request id {request_id})")]
    Refused {
        /// Under this id the broker's audit log holds the reason.
        request_id: String,
    },
    /// Policy does not allow it (403).
    #[error("policy does not allow it (request id {request_id})")]
    Denied {
        /// Under this id the broker's audit log holds the event.
        request_id: String,
    },
    /// The broker has no such channel, or no enrolment (404).
    #[error("the broker has no such channel, or no enrolment")]
    Missing,
    /// A code is open, or it was asked too often (429).
    #[error("the broker gives no code now: one is open, or there were too many{}", wait(.retry_after))]
    TooMany {
        /// After how many seconds it may be asked again.
        retry_after: Option<u64>,
    },
    /// No answer came to what may have been done.
    #[error("it is not known what became of the request")]
    Unknown(#[source] Cause),
    /// A text is no code.
    #[error("that is no code")]
    NotACode,
    /// There is nobody who could be asked for the code.
    #[error("the code cannot be asked for: standard input is not a terminal")]
    NobodyToAsk,
    /// A text is no one-time token of a step-ca.
    #[error("that is no one-time token of a step-ca")]
    NotAOneTimeToken,
    /// What the broker says of its CA cannot be.
    #[error("the broker names a CA that is none")]
    ForeignCa,
    /// The broker's CA has another root than the one that was given.
    #[error("the broker's CA has another fingerprint than was given")]
    OtherFingerprint,
    /// There is a key or a certificate in the folder already.
    #[error("there is a file already: {}", .0.display())]
    FileExists(PathBuf),
    /// There is nothing in the folder that could be used.
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// A file is not what it should be.
    #[error("{} cannot be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: PkiError,
    },
    /// The record of the CA is not one.
    #[error("{} is not the record of a CA", .0.display())]
    NoRecord(PathBuf),
    /// A root has another fingerprint than the CA's record.
    #[error("{} is not the root whose fingerprint is known", .0.display())]
    OtherRoot(PathBuf),
    /// Key and certificate are of different pairs.
    #[error("{} is not the key of the certificate", .0.display())]
    OtherKey(PathBuf),
    /// A subject, or a key, cannot be made into a request.
    #[error("no request can be made")]
    NoRequest(#[source] PkiError),
    /// The key that was made is beside the one that it is to replace.
    #[error("the new key is in {}, and cannot become {}", .left.display(), .path.display())]
    KeyLeft {
        /// Where it is.
        left: PathBuf,
        /// Where it is to be.
        path: PathBuf,
        /// Why it is not there.
        #[source]
        source: std::io::Error,
    },
    /// The certificate has ended.
    #[error("the certificate has ended, and was not renewed")]
    Ended(#[source] Cause),
    /// A file holds no process's id.
    #[error("{} holds no process's id", .0.display())]
    NoPid(PathBuf),
    /// A process cannot be signalled.
    #[error("process {process} cannot be signalled")]
    NoProcess {
        /// Its id.
        process: u32,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The command that is run after a renewal failed.
    #[error("the certificate is renewed; the command after it failed: {0}")]
    Hook(String),
}

fn wait(seconds: &Option<u64>) -> String {
    seconds.map(|seconds| format!("; try again in {seconds} s")).unwrap_or_default()
}

impl EnrollmentError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Invalid { .. } => "check the subject and its other names: none twice, 32 at most",
            Self::Refused { .. } => {
                "a code is good once, for five minutes and five tries; a token may have ended: --fresh gets another one"
            }
            Self::Denied { .. } => {
                "a policy under policies/ of the broker's bucket must permit certificate:enroll for each name, or \
                 certificate:revoke"
            }
            Self::Missing => "try another channel, and check the url; the deployment's parameters turn channels on",
            Self::TooMany { .. } => "a code that is open can be given with --code-file, or - for standard input",
            Self::Unknown(_) => {
                "a code may be on its way, or used up: another one is sent in five minutes at the earliest"
            }
            Self::NotACode => "a code has eight digits",
            Self::NobodyToAsk => "give it in a file with --code-file, or with --code-file - on standard input",
            Self::NotAOneTimeToken => "give the token alone, as step ca token prints it",
            Self::ForeignCa => "check step-ca/ca.json in the broker's bucket",
            Self::OtherFingerprint => {
                "check --fingerprint; if it is right, the broker's step-ca/ca.json, or the broker, is not"
            }
            Self::FileExists(_) => {
                "give another folder; --reuse-key keeps the key, --force replaces key and certificate for good"
            }
            Self::NoCertificate(_) => "get one: countersign cert enroll",
            Self::File { source: PkiError::EncryptedKey, .. } => "give the key without a passphrase",
            Self::File { .. } => "check the file, or enrol again",
            Self::NoRecord(_) | Self::OtherRoot(_) | Self::OtherKey(_) => "check the files, or enrol again",
            Self::NoRequest(_) => "check the subject",
            Self::KeyLeft { .. } => "the certificate is that key's: put it in its place, and repeat with --reuse-key",
            Self::Ended(_) => "enrol again: countersign cert enroll --reuse-key keeps the key",
            Self::NoPid(_) | Self::NoProcess { .. } => "check --on-renew and --pid-file, and whose process it is",
            Self::Hook(_) => "run it by hand; --on-renew names it",
        }
        .into()
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::KeyLeft { .. } | Self::NoPid(_) | Self::NoProcess { .. } | Self::Hook(_) => 1,
            Self::Invalid { .. }
            | Self::NotACode
            | Self::NobodyToAsk
            | Self::NotAOneTimeToken
            | Self::FileExists(_)
            | Self::NoRequest(_) => 2,
            Self::NoCertificate(_)
            | Self::File { .. }
            | Self::NoRecord(_)
            | Self::OtherRoot(_)
            | Self::OtherKey(_)
            | Self::Ended(_) => 3,
            Self::Refused { .. } => 4,
            Self::Denied { .. } => 5,
            Self::Missing => 6,
            Self::TooMany { .. } | Self::Unknown(_) => 7,
            Self::ForeignCa | Self::OtherFingerprint => 8,
        }
    }
}
