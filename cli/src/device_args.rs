use std::path::PathBuf;

use clap::{Subcommand, builder::NonEmptyStringValueParser};
use countersign::{CertificateStatus, KeyKind, TaskId, TemplateChoice, ThingName};

use crate::{
    subject_args::{SubjectArgs, days, key_kind},
    token_args::Access,
};

/// Devices: their certificates, keys and things of AWS IoT.
///
/// The access token that it takes is got as by `countersign token get`, or is that of --token-file.
///
/// Exit codes as of every command, where 2 is also an order that the broker does not take (400), 4
/// a thing that exists with other settings (409), and 7 an order whose answer was lost, which is
/// not repeated; 1 is also a bulk task that was waited for and did not register everything.
///
/// Examples:
///   countersign device provision --template lamps -p ThingName=lamp-1 --ca main \
///     --common-name lamp-1 --out lamp-1
///   countersign device get lamp-1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Devices {
    #[command(subcommand)]
    pub(crate) command: DeviceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    Provision(Box<Provision>),
    Get(DeviceGet),
    Delete(DeviceDelete),
    SetStatus(DeviceSetStatus),
    Bulk(Bulk),
}

/// Provision a device, and write its key, certificate and chain.
///
/// What the template asks for has to be said, since the template is the broker's:
///   --ca           it signs by the customer's own CA (createDeviceCertificate)
///   --private-ca   it signs by AWS Private CA (acmpca)
///   --certificate  it registers a certificate that is there (registerDeviceCertificateWithoutCA)
///   none of them   AWS makes key and certificate (createDeviceAWSCertificate), or the parameters
///                  hold what is needed
///
/// With --ca and --private-ca the key is made on this machine and never leaves it: the broker gets
/// a request (CSR) with the subject's options. --csr takes a request that is there, --device-key a
/// key, and --broker-key leaves the key to the broker.
///
/// Files of --out, all with mode 0600: key.pem (where the key is made here, by the broker or by
/// AWS), certificate.pem, chain.pem (certificate and CA: with --ca, with --private-ca where AWS IoT
/// knows it, or with --ca-certificate), root-ca.pem (with --root-ca). A key that is made here is on
/// disk before it is used. Where the answer is lost it stays there, and the command says where:
/// after a look at `countersign device get` it can be used again with --device-key.
///
/// Examples:
///   countersign device provision --template lamps -p ThingName=lamp-1 --ca main \
///     --common-name lamp-1 --country DE --out lamp-1
///   countersign device provision --template lamps -p ThingName=lamp-2 --ca main \
///     --csr lamp-2.csr --out lamp-2
///   countersign device provision --group-path /plants/north -p ThingName=lamp-3 --out lamp-3 \
///     --root-ca https://www.amazontrust.com/repository/AmazonRootCA1.pem
///   countersign device provision --template private -p ThingName=lamp-4 \
///     --private-ca arn:aws:acm-pca:... --iot-ca main --common-name lamp-4 --out lamp-4
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Provision {
    #[command(flatten)]
    pub(crate) template: Template,
    /// A parameter of the template. May be given often.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) key: Key,
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Print the broker's answer as JSON, without a private key.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

/// Print a device: its thing, certificates, policies and groups.
///
/// Examples:
///   countersign device get lamp-1
///   countersign device get lamp-1 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DeviceGet {
    /// Name of the thing.
    pub(crate) name: ThingName,
    /// Print it as JSON, with certificates and policies as a whole.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

/// Delete a device: its thing, and of its certificates and policies what the deployment says.
///
/// Safe to repeat after a failure in the middle.
///
/// Example:
///   countersign device delete lamp-1 --yes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DeviceDelete {
    /// Name of the thing.
    pub(crate) name: ThingName,
    /// Don't ask. Needed where nobody can be asked.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

/// Set the status of every certificate of a device.
///
/// Example:
///   countersign device set-status lamp-1 REVOKED
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DeviceSetStatus {
    /// Name of the thing.
    pub(crate) name: ThingName,
    /// ACTIVE, INACTIVE or REVOKED.
    #[arg(value_parser = status)]
    pub(crate) status: CertificateStatus,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

/// Many devices at once.
///
/// Examples:
///   countersign device bulk start --template lamps lamps.jsonl
///   countersign device bulk status 0b4a7d6e-... --wait
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bulk {
    #[command(subcommand)]
    pub(crate) command: BulkCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BulkCommand {
    Start(BulkStart),
    Status(BulkStatus),
}

/// Start a task that provisions many devices, and print its id.
///
/// The file has the parameters of each: an object of texts a line, or a JSON list of such objects.
/// Certificates are not made in bulk: what the template needs of them stands in the parameters.
///
/// Examples:
///   countersign device bulk start --template lamps lamps.jsonl --wait
///   countersign device bulk start --group-path /plants/north - < lamps.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BulkStart {
    #[command(flatten)]
    pub(crate) template: Template,
    /// The parameters, or - for standard input.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) follow: Follow,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

/// Tell how far a task is.
///
/// Examples:
///   countersign device bulk status 0b4a7d6e-...
///   countersign device bulk status 0b4a7d6e-... --wait --reports reports
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BulkStatus {
    /// The task's id.
    pub(crate) task: TaskId,
    /// Print it as JSON, with the links to its reports: who has them has the reports.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) follow: Follow,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Follow {
    /// Wait for the task's end, however long it takes, with its progress on standard error. Where not everything was registered,
    /// the exit code is 1.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Write what was registered and what was not into this folder: results.jsonl and errors.jsonl.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) reports: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Template {
    /// Id of the template.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    template: Option<String>,
    /// A thing group, with those above it: the template that is assigned to it, or to the nearest of them.
    #[arg(long, value_name = "/A/B")]
    group_path: Option<String>,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Where the certificate comes from")]
pub(crate) struct Source {
    /// The customer's own CA: its id with AWS IoT (64 hex digits), or an alias of the deployment's.
    #[arg(long, value_name = "ID|ALIAS", conflicts_with_all = ["private_ca", "certificate"])]
    pub(crate) ca: Option<String>,
    /// AWS Private CA: its ARN, or an alias of the deployment's.
    #[arg(long, value_name = "ARN|ALIAS", conflicts_with = "certificate")]
    pub(crate) private_ca: Option<String>,
    /// The private CA's ARN with AWS IoT, or an alias, where the template registers with it.
    #[arg(long, value_name = "ARN|ALIAS", requires = "private_ca")]
    pub(crate) iot_ca: Option<String>,
    /// A certificate to register as it is, in PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Register it as INACTIVE.
    #[arg(long, requires = "certificate")]
    pub(crate) inactive: bool,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What is signed, with --ca and --private-ca")]
pub(crate) struct Key {
    /// A request (PKCS#10) in PEM of who holds the key.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["device_key", "broker_key", "key_type"])]
    pub(crate) csr: Option<PathBuf>,
    /// A private key in PEM to make the request with, in place of a new one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["broker_key", "key_type"])]
    pub(crate) device_key: Option<PathBuf>,
    /// Let the broker make the key. It travels in the answer.
    #[arg(long)]
    pub(crate) broker_key: bool,
    /// Kind of a new key: ec-p256 or rsa-2048 [default: ec-p256].
    #[arg(long, value_name = "KIND", value_parser = key_kind)]
    pub(crate) key_type: Option<KeyKind>,
    /// How long the certificate is wanted for [default: 365, or the deployment's most where that is less].
    #[arg(long, value_parser = days)]
    pub(crate) days: Option<u32>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct Out {
    /// The folder for key and certificates.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Certificates of the CA in PEM, the signing one first, for chain.pem, in place of what the broker says signed it.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_certificate: Option<PathBuf>,
    /// The root CA that a device is to know AWS IoT by, in PEM: an https url or a file. Who serves it decides whom the device believes.
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) root_ca: Option<String>,
    /// Replace a key.pem that is there, for good.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct DeviceAccess {
    /// A file with the access token, or - for standard input, in place of getting one. --url names the broker.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "fresh"])]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: Access,
}

impl From<Template> for TemplateChoice {
    fn from(Template { template, group_path }: Template) -> Self {
        match (template, group_path) {
            (Some(id), _) => Self::ProvisioningTemplateId(id),
            (None, path) => Self::GroupPath(path.expect("one of the two is required")),
        }
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not NAME=VALUE".into()),
    }
}

fn status(text: &str) -> Result<CertificateStatus, String> {
    CertificateStatus::parse(text).ok_or_else(|| "ACTIVE, INACTIVE or REVOKED".into())
}
