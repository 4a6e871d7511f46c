use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use countersign::KeyKind;

use crate::{
    args::timeout,
    ca_step_args::CaStep,
    subject_args::{SubjectArgs, days, key_kind},
};

/// The customer's own CAs: one that signs device certificates, and a step-ca. For operators.
///
/// Examples:
///   countersign ca register --certificate ca.pem --key ca.key
///   countersign ca step provisioner --check https://ca.example.com:9000 --root root_ca.crt
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Ca {
    #[command(subcommand)]
    pub(crate) command: CaCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    Register(Box<CaRegister>),
    Step(CaStep),
}

/// Register a CA with AWS IoT, store its private key for the broker, and print its id.
///
/// It takes a CA that is there (--certificate, --key), or makes one (--new) and writes it into
/// --out as ca-certificate.pem and ca-key.pem, mode 0600. The private key goes into the parameter
/// cdf-ca-key-ID of AWS Systems Manager, a SecureString, before the CA is registered; possession is
/// proved with AWS IoT's registration code. Then it is active, and AWS IoT takes its certificates.
///
/// Safe to repeat: what is stored or registered already is left as it is, and the exit code is 0. A
/// CA that was made is repeated with --certificate and --key.
///
/// AWS credentials come from where the AWS SDKs look for them. They need iot:DescribeCACertificate,
/// iot:GetRegistrationCode, iot:RegisterCACertificate, and ssm:PutParameter and ssm:GetParameter on
/// parameter/cdf-ca-key-*; with --kms-key, kms:Encrypt and kms:Decrypt on that key.
///
/// Examples:
///   countersign ca register --certificate ca.pem --key ca.key
///   countersign ca register --new --common-name "Acme Devices" --organization Acme --country DE \
///     --days 3650 --out ca
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CaRegister {
    /// The CA's certificate in PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "new", conflicts_with = "new", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key in PEM, without a passphrase: PKCS#8, PKCS#1 or SEC1.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "new",
        conflicts_with = "new",
        requires = "certificate"
    )]
    pub(crate) key: Option<PathBuf>,
    /// Make a CA.
    #[arg(long, requires = "out", requires = "common_name")]
    pub(crate) new: bool,
    /// How long a new CA is valid.
    #[arg(long, requires = "new", value_parser = days, default_value = "3650")]
    pub(crate) days: u32,
    /// Kind of a new CA's key: ec-p256 or rsa-2048.
    #[arg(long, requires = "new", value_name = "KIND", value_parser = key_kind, default_value = "ec-p256")]
    pub(crate) key_type: KeyKind,
    /// The folder for a new CA.
    #[arg(long, value_name = "FOLDER", requires = "new")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Key of AWS KMS that encrypts the parameter [default: the account's for parameters].
    #[arg(long, value_name = "ID|ARN|ALIAS")]
    pub(crate) kms_key: Option<String>,
    /// Let AWS IoT register each of the CA's certificates by itself, when a device shows it for the first time.
    #[arg(long)]
    pub(crate) allow_auto_registration: bool,
    /// How long it may take in all: 30s, 2m, or a number of seconds.
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", default_value = "30", value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Duration,
}
