//! What the broker needs of the world: a trait per verb, so that a function's role can grant just that verb, and the
//! in-memory form of each, in which time and failure are the test's to choose.
//!
//! [`Cached`] holds what warm functions keep between requests: of a [`KeySource`] the live generations of a private key,
//! of a [`FolderSource`] what the files of a folder say.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod ca_registration;
mod cached;
mod clock;
mod device_certificate;
mod error_chain;
mod fault;
mod folder;
mod function;
mod generations;
mod iot_policy;
mod ledger;
mod logs;
pub mod memory;
mod notify;
mod object;
mod parameter;
mod prefetch;
mod private_ca;
mod publish;
mod role;
mod secret;
mod settings;
mod thing;
mod thing_registration;

pub use ca_registration::{RegisterCa, WriteSecureParameter};
pub use cached::{Cached, MAX_AGE, MAX_STALE, RETRY_AFTER, Source};
pub use clock::{Clock, SystemClock};
pub use device_certificate::{
    AddCertificate, AwsCertificate, CertificateStatus, ChangeCertificate, ReadCertificate, RegisteredCa,
    RegisteredCertificate,
};
pub use error_chain::chain;
pub use fault::{Cause, Fault};
pub use folder::{Folder, FolderSource, ParseFiles};
pub use function::{InvokeFunction, Invoked};
pub use generations::{Generations, KeySource, PemKey};
pub use iot_policy::{DeleteIotPolicy, IotPolicy, ReadIotPolicy};
pub use ledger::{Count, Ledger, ReadRow, ReplaceEnded, Row, SpendError, TakeRow};
pub use logs::{LogLine, LogPage, LogQuery, ReadLogs};
pub use notify::{PostWebhook, SendMail, SendSms, Webhook};
pub use object::{DeleteObject, ETag, ListObjects, Listed, Object, Precondition, ReadObject, WriteObject};
pub use parameter::{ReadParameter, ReadSecureParameter};
pub use prefetch::prefetch;
pub use private_ca::{PrivateCa, PrivateCaOrder};
pub use publish::PublishMaterial;
pub use role::{AssumeRole, RoleSession, SessionCredentials};
pub use secret::{AppendSecret, FindSecret, ReadSecret, SecretVersion, Stage, VersionSelector};
pub use settings::{ConfigError, Settings};
pub use thing::{DeleteThing, ReadThing, Thing, ThingGroup};
pub use thing_registration::{RegisterThing, Registration, RegistrationTask, RegistrationTasks, Report};
