use std::{io, path::PathBuf};

use aws::Lack;
use protocol::{ClientError, DenialCode};

use crate::{
    DeviceError, TokenError,
    config::{ConfigError, ItemName},
    deliver::DeliveryError,
    endpoint::EndpointError,
    enrollment::EnrollmentError,
    refresh::NotTheItem,
    step_ca::StepCaError,
    supervise::SuperviseError,
};

const NPM_HINT: &str =
    "check the package's name, NPM_REGISTRY (https) and NPM_TOKEN, and that the token may see the package";

/// How many seconds a clock may be from the broker's: requests are refused that are a minute off, the way included.
pub(crate) const CLOCK_TOLERANCE: u64 = 25;

/// Why nothing was received.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no material of this group on this machine.
    #[error("no material of this group in {}", .0.display())]
    NoMaterial(PathBuf),
    /// Others than the owner can read a pool, or write what a client believes.
    #[error("{} is open to others: mode {mode:04o}", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file belongs to another user, who can change it.
    #[error("{} belongs to another user", .path.display())]
    NotOwned {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The place that material is pulled from did not give it.
    #[error("cannot pull {what}")]
    Pull {
        /// Which file.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry that the environment names cannot be used.
    #[error("the npm registry cannot be used")]
    Registry(#[source] npm::Error),
    /// The material was not published.
    #[error("cannot publish {what}")]
    Publish {
        /// Which package.
        what: String,
        /// Why.
        #[source]
        source: npm::Error,
    },
    /// AWS is where material comes from, and cannot be asked.
    #[error(transparent)]
    Aws(#[from] Lack),
    /// There is no place for profiles.
    #[error("neither HOME nor the variable of the profiles' file is set")]
    NoHome,
    /// A secret is not of the form `ACCESS_KEY_ID,SECRET_ACCESS_KEY`, or what came for a role is no access key.
    #[error("what was received does not hold an access key")]
    NotAnAccessKey,
    /// The region's console and its sign-in endpoint are not known here.
    #[error("the sign-in endpoint of this region's partition is not known")]
    Partition,
    /// The federation endpoint gave no token to sign in with.
    #[error("the federation endpoint gave no sign-in token: {0}")]
    Federation(&'static str),
    /// The federation endpoint was not reached.
    #[error("the federation endpoint cannot be reached")]
    FederationUnreachable(#[source] reqwest::Error),
    /// The broker refused the request without saying why.
    #[error("the broker refused the request (request id {request_id})")]
    Refused {
        /// Under this id the broker's audit log holds the reason.
        request_id: String,
        /// The broker's clock minus this machine's, in seconds, where the broker told.
        clock_difference: Option<i64>,
    },
    /// Policy does not allow a want, or there is no such thing.
    #[error("{}: {want} (request id {request_id})", describe(.code))]
    Denied {
        /// Which of the two.
        code: DenialCode,
        /// What was wanted.
        want: String,
        /// Under this id the broker's audit log holds the event.
        request_id: String,
    },
    /// The broker could not answer, and trying again did not help.
    #[error("the broker cannot answer (status {status}, {tries} tries)")]
    Unavailable {
        /// Its last status.
        status: u16,
        /// How often it was asked.
        tries: u32,
    },
    /// The broker was not reached.
    #[error("the broker cannot be reached ({tries} tries)")]
    Unreachable {
        /// How often it was tried.
        tries: u32,
        /// Why not, the last time.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing was received within the time given.
    #[error("no answer in time")]
    TimedOut,
    /// The broker asks to be left alone for longer than there is time.
    #[error("the broker asks to wait for {seconds} s, and there is less time than that")]
    AskedToWait {
        /// How long.
        seconds: u64,
    },
    /// The broker gave what an item is to be made of, and the item is not in it.
    #[error("cannot make {item}")]
    NotTheItem {
        /// Which item.
        item: ItemName,
        /// Why.
        #[source]
        source: NotTheItem,
    },
    /// The broker gave an answer that this client does not understand.
    #[error("the broker's answer has status {status}, which this client does not expect")]
    Unexpected {
        /// The answer's status.
        status: u16,
    },
    /// The request could not be made, or the answer was not for it.
    #[error(transparent)]
    Protocol(#[from] ClientError),
    /// The broker's url, given or the manifest's, is none.
    #[error("the broker's url is not valid")]
    Url,
    /// There is no token, or none that is valid.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A device was not provisioned, read, changed or deleted.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An item was not put where it goes.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// An agent's endpoint does not listen, or did not give what it was asked for.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A command was not run, or not to its own end.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    /// There is no certificate, or nothing to renew.
    #[error(transparent)]
    Enrollment(#[from] EnrollmentError),
    /// A step-ca gave nothing.
    #[error(transparent)]
    StepCa(#[from] StepCaError),
    /// A CA was not registered.
    #[cfg(feature = "operator")]
    #[error(transparent)]
    Ca(#[from] crate::CaError),
    /// A provisioner's key was not stored, or is given out.
    #[cfg(feature = "operator")]
    #[error(transparent)]
    Provisioner(#[from] crate::provisioner::ProvisionerError),
    /// The audit log was not read.
    #[cfg(feature = "operator")]
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// What says what a container needs is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No HTTP client could be made.
    #[error("cannot set up HTTP")]
    Http(#[source] reqwest::Error),
}

impl Error {
    /// The same, after so many tries.
    pub(crate) fn after_tries(mut self, all: u32) -> Self {
        if let Self::Unavailable { tries, .. } | Self::Unreachable { tries, .. } = &mut self {
            *tries = all;
        }
        self
    }
}

const fn describe(code: &DenialCode) -> &'static str {
    match code {
        DenialCode::Denied => "policy does not allow",
        DenialCode::NotFound => "there is no",
    }
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoMaterial(_) => "fetch it: countersign pull --group NAME --from s3://BUCKET".into(),
            Self::OpenToOthers { path, .. } => format!("chmod 600 {}", path.display()),
            Self::NotOwned { .. } => "give it to the user that runs this command, or pull into another folder".into(),
            Self::Damaged { .. } => "fetch it again: countersign pull".into(),
            Self::File { .. } => "check the path and who owns it".into(),
            Self::Pull { source, .. } if source.is::<npm::Error>() => NPM_HINT.into(),
            Self::Publish { source: npm::Error::Public, .. } => {
                "make it private in the registry; if a version was published, unpublish it and rotate twice".into()
            }
            Self::Publish { .. } => NPM_HINT.into(),
            Self::Registry(_) => "NPM_REGISTRY names it; it begins with https://".into(),
            Self::Partition => "give --federation-url and --destination".into(),
            Self::Aws(Lack::Region) => "set AWS_REGION, or a region in the AWS profile".into(),
            Self::Aws(Lack::Credentials) => {
                "give the container, task or machine a role that may read there; or set AWS_PROFILE or AWS_ACCESS_KEY_ID".into()
            }
            Self::NoHome => "AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name the files".into(),
            Self::NotAnAccessKey => {
                "a secret's value must be ACCESS_KEY_ID,SECRET_ACCESS_KEY: see scripts/create-user".into()
            }
            Self::Federation(_) => {
                "the role's credentials may be bound to another address, or to another partition: give --region".into()
            }
            Self::FederationUnreachable(_) => "check the network; --federation-url names another endpoint".into(),
            Self::Pull { .. } => "check --from, the group's name, and that this machine may read there".into(),
            Self::Refused { clock_difference: Some(difference), .. } if difference.unsigned_abs() > CLOCK_TOLERANCE => {
                format!("this machine's clock differs from the broker's by {} s: set it", difference.abs())
            }
            Self::Refused { .. } => {
                "the material may be outdated: countersign pull; the broker's audit log tells the reason".into()
            }
            Self::Denied { code: DenialCode::Denied, .. } => {
                "a policy under policies/ of the broker's bucket must permit it for this group".into()
            }
            Self::Denied { code: DenialCode::NotFound, .. } => "check the name, the version and the stage".into(),
            Self::Unavailable { .. } => "try again later; the broker's log tells what it waits for".into(),
            Self::Unreachable { .. } => "check the network and the url in the manifest, or give --url".into(),
            Self::TimedOut => "check the network, or give more time with --timeout".into(),
            Self::AskedToWait { .. } => "try again then, or give more time with --timeout".into(),
            Self::NotTheItem { source: NotTheItem::Ended, .. } => "set this machine's clock".into(),
            Self::NotTheItem { .. } => "check the item's member against the secret's value".into(),
            Self::Unexpected { .. } => "check that the url is a Countersign broker's".into(),
            Self::Protocol(ClientError::ForeignAnswer | ClientError::MalformedAnswer) => {
                "something between here and the broker answers in its place: check the url".into()
            }
            Self::Protocol(ClientError::MalformedWant) => {
                "give the secret's name, not its ARN; a version's id has 32 to 64 characters".into()
            }
            Self::Protocol(ClientError::WrongNumberOfWants | ClientError::Oversized) => "ask for less at a time".into(),
            Self::Protocol(_) => "fetch the material again: countersign pull".into(),
            Self::Url => "it begins with https://; see --url, and BROKER_URL of the deployment".into(),
            Self::Token(error) => error.hint(),
            Self::Device(error) => error.hint(),
            Self::Enrollment(error) => error.hint(),
            Self::StepCa(error) => error.hint(),
            Self::Delivery(error) => error.hint(),
            Self::Endpoint(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Supervise(error) => error.hint(),
            #[cfg(feature = "operator")]
            Self::Ca(error) => error.hint(),
            #[cfg(feature = "operator")]
            Self::Audit(error) => error.hint(),
            #[cfg(feature = "operator")]
            Self::Provisioner(error) => error.hint(),
            Self::Http(_) => "check that this system has CA certificates; SSL_CERT_FILE names a bundle".into(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoMaterial(_)
            | Self::OpenToOthers { .. }
            | Self::NotOwned { .. }
            | Self::Damaged { .. }
            | Self::Pull { .. }
            | Self::Aws(_)
            | Self::Publish { .. }
            | Self::Protocol(
                ClientError::PoolMismatch | ClientError::PoolUnreadable(_) | ClientError::InvalidServerKey,
            ) => 3,
            Self::Token(error) => error.exit_code(),
            Self::Device(error) => error.exit_code(),
            Self::Enrollment(error) => error.exit_code(),
            Self::StepCa(error) => error.exit_code(),
            Self::Delivery(error) => error.exit_code(),
            Self::Endpoint(error) => error.exit_code(),
            Self::Config(error) => error.exit_code(),
            Self::Supervise(error) => error.exit_code(),
            #[cfg(feature = "operator")]
            Self::Ca(error) => error.exit_code(),
            #[cfg(feature = "operator")]
            Self::Audit(error) => error.exit_code(),
            #[cfg(feature = "operator")]
            Self::Provisioner(error) => error.exit_code(),
            Self::Refused { .. } => 4,
            Self::Denied { code: DenialCode::Denied, .. } => 5,
            Self::Denied { code: DenialCode::NotFound, .. } => 6,
            Self::NotTheItem { source: NotTheItem::NotJson | NotTheItem::NoMember, .. } => 6,
            Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut
            | Self::AskedToWait { .. }
            | Self::FederationUnreachable(_) => 7,
            Self::NotTheItem { source: NotTheItem::AnotherGrant, .. } => 8,
            Self::Url
            | Self::Registry(_)
            | Self::NoHome
            | Self::Partition
            | Self::Protocol(ClientError::MalformedWant | ClientError::WrongNumberOfWants | ClientError::Oversized) => {
                2
            }
            Self::Unexpected { .. } | Self::Protocol(ClientError::ForeignAnswer | ClientError::MalformedAnswer) => 8,
            Self::File { .. }
            | Self::Http(_)
            | Self::NotAnAccessKey
            | Self::Federation(_)
            | Self::NotTheItem { source: NotTheItem::Ended, .. } => 1,
        }
    }
}
