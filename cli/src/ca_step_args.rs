use std::{path::PathBuf, time::Duration};

use clap::{Subcommand, ValueEnum};
use countersign::KeyKind;
use step::{CaUrl, ProvisionerKind, ProvisionerName, RootFingerprint};

use crate::args::timeout;

/// A step-ca that the broker hands out one-time tokens for. For operators.
///
/// Example:
///   countersign ca step provisioner --check https://ca.example.com:9000 --root root_ca.crt
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CaStep {
    #[command(subcommand)]
    pub(crate) command: CaStepCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaStepCommand {
    Provisioner(Box<CaStepProvisioner>),
}

/// Make or import a provisioner's key, store it for the broker, and print the provisioner.
///
/// What is printed goes into `authority.provisioners` of the CA's configuration, and holds nothing
/// secret. The private key goes into the secret STACK/step-ca/jwk or STACK/step-ca/x5c of AWS Secrets
/// Manager, which the stack made, and nowhere else; which CA it is for goes into step-ca/ca.json of
/// the broker's bucket. Functions follow within a minute.
///
/// A JWK provisioner knows one public key (P-256). The key is made, or taken with --import from what
/// step encrypted: the member encryptedKey of a provisioner, or the provisioner as it stands in the
/// CA's configuration. Take encryptedKey out of there: the CA gives it to everybody.
///
/// An X5C provisioner knows a root. Root, intermediate and the key that signs are made, and the root
/// is written into --out as root.pem and root-key.pem, mode 0600. Keep root-key.pem offline: nothing
/// here needs it. The intermediate renews the key that signs, when the broker's keys rotate.
///
/// What is there is replaced with --replace alone. step-ca takes a name once: to replace a key in use,
/// give another --name, and add the new provisioner beside the old one. With --wait the provisioner
/// is printed first, and stored once the CA lists it; if that is cut short, nothing is stored.
///
/// --check asks a running CA for its provisioners, as anybody could, and ends with exit code 4 where it
/// gives out an encrypted private key.
///
/// AWS credentials come from where the AWS SDKs look for them. They need
/// secretsmanager:DescribeSecret, GetSecretValue and PutSecretValue on STACK/step-ca/*, and
/// s3:GetObject, s3:PutObject and s3:ListBucket.
///
/// Examples:
///   countersign ca step provisioner --type jwk --ca-url https://ca.example.com:9000 \
///     --fingerprint "$(step certificate fingerprint root_ca.crt)" --bucket countersign-bucket
///   countersign ca step provisioner --type x5c --key-type rsa-4096 --out root --wait \
///     --ca-url https://ca.example.com:9000 --fingerprint 84a033e8... --bucket countersign-bucket
///   countersign ca step provisioner --check https://ca.example.com:9000 --root root_ca.crt
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CaStepProvisioner {
    /// Type of the provisioner: jwk or x5c.
    #[arg(
        long = "type",
        value_enum,
        value_name = "TYPE",
        required_unless_present = "check",
        hide_possible_values = true
    )]
    pub(crate) kind: Option<Kind>,
    /// Its name: letters, digits and ._@+-
    #[arg(long, default_value = "countersign")]
    pub(crate) name: ProvisionerName,
    /// Where the CA is: https://HOST[:PORT], with a host among the `dnsNames` of its configuration.
    #[arg(long, value_name = "URL", required_unless_present = "check")]
    pub(crate) ca_url: Option<CaUrl>,
    /// SHA-256 of the CA's root certificate, 64 hex digits.
    #[arg(long, value_name = "SHA256", required_unless_present_any = ["check", "root"])]
    pub(crate) fingerprint: Option<RootFingerprint>,
    /// The CA's root certificate in PEM, in place of its fingerprint.
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    pub(crate) root: Option<PathBuf>,
    /// The broker's bucket.
    #[arg(long, required_unless_present = "check")]
    pub(crate) bucket: Option<String>,
    /// The deployment's stack.
    #[arg(long, env = "COUNTERSIGN_STACK", default_value = "countersign")]
    pub(crate) stack: String,
    /// A file with the key of a JWK provisioner, in place of a new one.
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// A file with the password that it is encrypted with.
    #[arg(long, value_name = "FILE", requires = "import")]
    pub(crate) password_file: Option<PathBuf>,
    /// Kind of the keys of an X5C provisioner: ec-p256 or rsa-4096 [default: ec-p256].
    #[arg(long, value_name = "KIND", value_parser = key_kind)]
    pub(crate) key_type: Option<KeyKind>,
    /// The folder for the root of an X5C provisioner.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Put the new key, and what the broker is told of the CA, in the place of what is there.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Store the key once the CA lists its provisioner.
    #[arg(long)]
    pub(crate) wait: bool,
    /// A running CA whose provisioners are looked at; nothing is made or stored.
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["kind", "ca_url", "bucket", "import", "password_file", "key_type", "out", "replace", "wait"]
    )]
    pub(crate) check: Option<CaUrl>,
    /// How long AWS, or the CA of --check, may take: 30s, 2m, or a number of seconds.
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", default_value = "30", value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Duration,
}

/// The types of provisioner that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Jwk,
    X5c,
}

impl From<Kind> for ProvisionerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Jwk => Self::Jwk,
            Kind::X5c => Self::X5c,
        }
    }
}

fn key_kind(text: &str) -> Result<KeyKind, String> {
    match text {
        "ec-p256" => Ok(KeyKind::EcdsaP256),
        "rsa-4096" => Ok(KeyKind::Rsa4096),
        _ => Err("ec-p256 or rsa-4096".into()),
    }
}
