use std::{fmt, io, path::PathBuf};

use pki::PkiError;
use ports::Cause;
use serde::Deserialize;

use crate::plain;

/// Why a device was not provisioned, read, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The broker does not take the order: template, parameters or certificate (400).
    #[error("the broker does not take it: {0}")]
    Invalid(BrokerSaid),
    /// The broker refused the token (401).
    #[error("the broker refused the token (request id {request_id})")]
    TokenRefused {
        /// Under this id the gateway's log holds the request.
        request_id: String,
    },
    /// Policy does not allow it (403).
    #[error("policy does not allow it: {0}")]
    Denied(BrokerSaid),
    /// There is no such thing, task or template (404).
    #[error("not found: {0}")]
    Missing(BrokerSaid),
    /// The thing exists with other settings (409).
    #[error("it is in the way of what exists: {0}")]
    Exists(BrokerSaid),
    /// AWS asks for fewer requests, for longer than there was time (429).
    #[error("too many requests: {0}")]
    Throttled(BrokerSaid),
    /// The broker failed and said so (5xx).
    #[error("the broker failed: {0}")]
    Failed(BrokerSaid),
    /// No answer came to an order, which may have been carried out.
    #[error("it is not known what became of the order")]
    Unknown {
        /// What was ordered.
        ordered: Ordered,
        /// What happened in place of an answer.
        #[source]
        source: Cause,
    },
    /// There is a private key in the folder already.
    #[error("there is a key already: {}", .0.display())]
    KeyExists(PathBuf),
    /// A device is provisioned, and its new key, which may be here alone, stands beside where it is to be.
    #[error("the device's new key is in {}, and cannot become {}", .left.display(), .path.display())]
    KeyLeft {
        /// Where it is.
        left: PathBuf,
        /// Where it is to be.
        path: PathBuf,
        /// Why it is not there.
        #[source]
        source: io::Error,
    },
    /// A key, a request or a certificate cannot be used.
    #[error("{what} cannot be used")]
    Pki {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: PkiError,
    },
    /// A file has no certificates.
    #[error("{what} holds no certificate in PEM")]
    NoCertificate {
        /// Which.
        what: String,
    },
    /// The certificate that came is of another key.
    #[error("the certificate that came is not of this device's key")]
    ForeignCertificate,
    /// The CA's certificate that was given is of another CA.
    #[error("the certificate that came is not signed by the CA whose certificate was given")]
    ForeignCa,
    /// The root CA's certificate was not received.
    #[error("cannot get the root CA's certificate")]
    RootCa(#[source] Cause),
    /// A report was not received.
    #[error("cannot get a report of the task")]
    Report(#[source] Cause),
    /// The parameters of many devices cannot be read.
    #[error("not parameters of devices{}", at(.row))]
    Rows {
        /// The line, where there is one for each device.
        row: Option<usize>,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A task ended, and not everything was registered.
    #[error("the task ended as {status}: {succeeded} registered, {failed} not")]
    Bulk {
        /// As what.
        status: String,
        /// How many were registered.
        succeeded: u64,
        /// How many were not.
        failed: u64,
    },
}

/// What was ordered where the answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// A device.
    Device,
    /// A bulk task.
    Task,
}

/// What the broker says in place of what was asked for.
#[derive(Debug)]
pub struct BrokerSaid {
    pub(crate) text: String,
    pub(crate) request_id: String,
    pub(crate) made: Option<Made>,
}

/// The certificate that was made, or registered, before it failed.
#[derive(Debug)]
pub(crate) struct Made {
    certificate_id: String,
    undone: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    error: String,
    certificate_id: Option<String>,
    undone: Option<bool>,
}

impl BrokerSaid {
    /// What stands in the body of an answer; `None` where it is not the broker's.
    pub(crate) fn read(body: &[u8], request_id: &str) -> Option<Self> {
        let Body { error, certificate_id, undone } = serde_json::from_slice(body).ok()?;
        let made = certificate_id.map(|id| Made { certificate_id: plain(&id), undone: undone.unwrap_or(false) });
        Some(Self { text: plain(&error), request_id: plain(request_id), made })
    }

    /// Whether there is nothing left of it.
    pub(crate) fn left_nothing(&self) -> bool {
        self.made.as_ref().is_none_or(|made| made.undone)
    }
}

impl fmt::Display for BrokerSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some(Made { certificate_id, undone }) = &self.made {
            let became = if *undone { "was made and deleted again" } else { "may be there" };
            write!(f, "; certificate {certificate_id} {became}")?;
        }
        write!(f, " (request id {})", self.request_id)
    }
}

fn at(row: &Option<usize>) -> String {
    row.map(|row| format!(" in line {row}")).unwrap_or_default()
}

impl DeviceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Invalid(said)
            | Self::Exists(said)
            | Self::Throttled(said)
            | Self::Failed(said)
            | Self::Denied(said)
            | Self::Missing(said)
                if !said.left_nothing() =>
            {
                "look with countersign device get; deactivate and delete that certificate in AWS IoT if nothing uses it".into()
            }
            Self::Invalid(_) => "check the template, its parameters, and which CA or certificate it asks for".into(),
            Self::TokenRefused { .. } => {
                "it ended, or is for another network than this machine's: --fresh gets another one".into()
            }
            Self::Denied(_) => {
                "a policy under policies/ of the broker's bucket must permit it: device:provision, device:read, \
                 device:update or device:delete"
                    .into()
            }
            Self::Missing(_) => "check the name, and the region and stack of the broker".into(),
            Self::Exists(_) => "countersign device get tells what is there; delete it, or choose another name".into(),
            Self::Throttled(_) => "try again later, or give more time with --timeout".into(),
            Self::Failed(_) => "try again later; the broker's log tells what it waits for".into(),
            Self::Unknown { ordered: Ordered::Device, .. } => {
                "it may have been carried out, and is not repeated: countersign device get NAME tells whether the thing \
                 is there; delete it before another try"
                    .into()
            }
            Self::Unknown { ordered: Ordered::Task, .. } => {
                "it may have been started, and is not repeated: look for it with aws iot list-thing-registration-tasks"
                    .into()
            }
            Self::KeyExists(_) => "give another folder; --force replaces the key for good".into(),
            Self::KeyLeft { .. } => {
                "the device is provisioned: keep that key; countersign device get --json has its certificate".into()
            }
            Self::Pki { source: PkiError::EncryptedKey, .. } => "give the key without a passphrase".into(),
            Self::Pki { .. } => "check the file, or the subject's options".into(),
            Self::NoCertificate { .. } => "give a file of certificates in PEM".into(),
            Self::ForeignCertificate => {
                "the template makes a key of its own, or what answers is not the broker: the thing may be there".into()
            }
            Self::ForeignCa => {
                "key.pem and certificate.pem are written, chain.pem is not: check --ca-certificate".into()
            }
            Self::RootCa(_) => "check --root-ca: an https url, or a file".into(),
            Self::Report(_) => "links work for a while alone: countersign device bulk status gets new ones".into(),
            Self::Rows { .. } => {
                "an object of texts for each device: {\"ThingName\": \"a\"}, one a line or in a list".into()
            }
            Self::Bulk { .. } => {
                "countersign device bulk status TASK --reports FOLDER tells which, and why".into()
            }
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Bulk { .. } | Self::KeyLeft { .. } => 1,
            Self::Invalid(_)
            | Self::KeyExists(_)
            | Self::Pki { .. }
            | Self::NoCertificate { .. }
            | Self::RootCa(_)
            | Self::Rows { .. } => 2,
            Self::TokenRefused { .. } | Self::Exists(_) => 4,
            Self::Denied(_) => 5,
            Self::Missing(_) => 6,
            Self::Throttled(_) | Self::Failed(_) | Self::Unknown { .. } | Self::Report(_) => 7,
            Self::ForeignCertificate | Self::ForeignCa => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_says_is_shown_without_what_a_terminal_obeys() {
        let said = BrokerSaid::read(b"{\"error\":\"no \\u001b[2Jtemplate\\n\"}", "id\u{7}").unwrap();
        assert_eq!(said.to_string(), "no ?[2Jtemplate? (request id id?)");
        assert!(said.left_nothing());
        for body in ["", "{}", "{\"message\":\"Forbidden\"}", "[]"] {
            assert!(BrokerSaid::read(body.as_bytes(), "id").is_none(), "{body}");
        }
    }

    #[test]
    fn a_certificate_that_is_left_is_told() {
        let said = |undone: &str| {
            let body = format!("{{\"error\":\"no\",\"certificateId\":\"ab\"{undone}}}");
            BrokerSaid::read(body.as_bytes(), "id").unwrap()
        };
        assert!(said(",\"undone\":true").to_string().contains("certificate ab was made and deleted again"));
        for left in ["", ",\"undone\":false"] {
            let error = DeviceError::Exists(said(left));
            assert!(error.to_string().contains("certificate ab may be there"));
            assert!(error.hint().contains("deactivate") && error.exit_code() == 4);
        }
    }
}
