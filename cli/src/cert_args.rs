use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use countersign::{
    KeyKind, SubjectName,
    config::TimeSpan,
    enrollment::{Channel, OnRenew},
    step_ca::ReasonCode,
};
use protocol::AltName;
use step::{CaUrl, RootFingerprint, SerialNumber};

use crate::{args::timeout, device_args::DeviceAccess};

/// Certificates of a step-ca: obtained by one-time tokens of the broker, renewed and revoked.
///
/// Exit codes as of every command, where 2 is also a request that the CA does not take (400), 4 a
/// token or a certificate that it refuses, and 8 an answer that is not the CA's: its root is known
/// by its fingerprint, and everything is checked under it.
///
/// Examples:
///   countersign cert enroll alice --channel mail --out alice
///   countersign cert renew alice --daemon --on-renew "run:nginx -s reload"
///   countersign cert inspect alice
///   countersign cert revoke alice --reason-code keyCompromise
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Certificates {
    #[command(subcommand)]
    pub(crate) command: CertCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    Enroll(Box<Enroll>),
    Renew(Renew),
    Revoke(Box<Revoke>),
    Inspect(Inspect),
}

/// Obtain a certificate: make a key, get a one-time token for it, and have the CA sign.
///
/// Who may have the token is said in one of these ways:
///   --channel      a code, which the broker sends to the subject, and which is asked for here
///   --code-file    a code that is there already; with --channel, one that will be
///   --token-file   an access token; --key: one that an ssh key gets, as by `countersign token get`
///   --group        the machine's group, by the exchange that also gets secrets; COUNTERSIGN_GROUP
///                  is the same
///   --ott-file     a one-time token that is there already; the broker is not asked
/// Without any: an access token by one of the ssh-agent's keys.
///
/// The private key is made on this machine, is on disk before anything is asked for, and never
/// leaves it. Where an answer is lost the key stays, and --reuse-key takes it up. The CA's root is
/// known by the fingerprint that comes with the token, and --fingerprint must be the same.
///
/// Files of --out, all with mode 0600: key.pem, certificate.pem, chain.pem (the certificate and
/// what stands above it), root.pem, ca.json (where the CA is). They are written when the chain is
/// verified: signatures, names, key and times.
///
/// Examples:
///   countersign cert enroll alice --channel sms --url https://broker.example.com
///   countersign cert enroll web-1 --san web-1.example.com --san 192.0.2.7 --out /etc/web/tls
///   countersign cert enroll web-1 --group web --not-after 8h --out tls --force
///   echo 12345678 | countersign cert enroll alice --code-file -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Enroll {
    /// Whose certificate it is: its common name.
    pub(crate) subject: SubjectName,
    /// Another name: a host's, an address, a mailbox or a URI. May be given often; without any, the subject is the one name.
    #[arg(long = "san", value_name = "NAME")]
    pub(crate) sans: Vec<AltName>,
    /// How long the certificate is wanted for, as 8h or 7d [default: the CA's choice].
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub(crate) not_after: Option<Duration>,
    #[command(flatten)]
    pub(crate) files: EnrollFiles,
    #[command(flatten)]
    pub(crate) proof: Proof,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct EnrollFiles {
    /// The folder for key and certificates [default: the subject].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Kind of the new key: ec-p256, rsa-2048 or rsa-4096 [default: ec-p256].
    #[arg(long, value_name = "KIND", value_parser = key_kind, conflicts_with = "reuse_key")]
    pub(crate) key_type: Option<KeyKind>,
    /// Use the key.pem that is there, and replace the certificates.
    #[arg(long)]
    pub(crate) reuse_key: bool,
    /// Replace a key and certificates that are there, for good.
    #[arg(long, conflicts_with = "reuse_key")]
    pub(crate) force: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Proof")]
pub(crate) struct Proof {
    /// Have a code sent to the subject: by sms, mail or webhook.
    #[arg(long, conflicts_with_all = ["token_file", "key", "fresh"])]
    pub(crate) channel: Option<Channel>,
    /// A file with the code, or - for standard input, in place of asking for it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token_file", "key", "fresh"])]
    pub(crate) code_file: Option<PathBuf>,
    /// A file with a one-time token, or - for standard input. It names its CA.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["channel", "code_file", "token_file", "key", "fresh"])]
    pub(crate) ott_file: Option<PathBuf>,
    /// Fingerprint of the CA's root, SHA-256 in hex: nothing is asked of a CA with another one.
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Option<RootFingerprint>,
}

/// Renew a certificate when two thirds of its life are over.
///
/// The CA knows the certificate by its key (mutual TLS), and gives the next one for the same key and
/// names. The broker is not asked. Files are replaced at once, and keep mode and owner.
///
/// With --daemon it stays, and renews when it is time, or a little earlier. A renewal that fails is
/// tried again with growing pauses until the certificate ends, which ends the command (exit code
/// 3). SIGHUP renews at once; SIGTERM and SIGINT end it (exit code 0). COUNTERSIGN_LOG is how much
/// it logs, on standard error: error, warn, info (the default) or debug.
///
/// The command of --on-renew gets this command's variables but COUNTERSIGN_*, NPM_TOKEN and those of
/// AWS credentials.
///
/// Examples:
///   countersign cert renew alice
///   countersign cert renew alice --force
///   countersign cert renew /etc/web/tls --daemon --on-renew "run:systemctl reload web"
///   countersign cert renew /etc/web/tls --daemon --on-renew signal:HUP --pid-file /run/web.pid
///   countersign cert renew --chain-file tls.pem --key-file tls.key --root ca.pem \
///     --ca-url https://ca.example.com:9000
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Renew {
    /// The folder that `countersign cert enroll` wrote.
    #[arg(required_unless_present_any = ["certificate", "chain_file"])]
    pub(crate) folder: Option<PathBuf>,
    /// Stay, and renew whenever it is time.
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Renew now, even if it is early.
    #[arg(long)]
    pub(crate) force: bool,
    /// What is done after a renewal: run:COMMAND, which is split at white space, signal:NAME:PID, or signal:NAME with --pid-file.
    #[arg(long, value_name = "ACTION")]
    pub(crate) on_renew: Option<OnRenew>,
    /// A file with the id of the process that gets the signal; it is read each time, and must be this user's or root's.
    #[arg(long, value_name = "FILE", requires = "on_renew")]
    pub(crate) pid_file: Option<PathBuf>,
    /// How long a renewal may take in all: 30s, 2m, or a number of seconds.
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", default_value = "30", value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) files: RenewFiles,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "In place of a folder")]
pub(crate) struct RenewFiles {
    /// The certificate alone, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "folder", requires_all = ["key_file", "root", "ca_url"])]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate and what stands above it, without the root, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "folder", requires_all = ["key_file", "root", "ca_url"])]
    pub(crate) chain_file: Option<PathBuf>,
    /// The private key, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    pub(crate) key_file: Option<PathBuf>,
    /// The CA's root, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    pub(crate) root: Option<PathBuf>,
    /// The CA's url.
    #[arg(long, value_name = "URL", conflicts_with = "folder")]
    pub(crate) ca_url: Option<CaUrl>,
}

/// Revoke a certificate: the CA renews it no more.
///
/// Whoever has it can use it until it ends, with all who do not ask the CA: step-ca revokes
/// passively. It is revoked by one of these:
///   its key        the certificate of the folder, shown to the CA (mutual TLS)
///   --by-code      a code that the broker sends to its subject, where the key is lost and the folder
///                  is not; policy has to permit it (certificate:revoke).
///                  --code-file: a code that is there already
///   --serial       its serial number alone, by an access token whose bearer may revoke (policy
///                  certificate:revoke). --token-file or --key with a folder: the same
///
/// Reasons are those of RFC 5280 section 5.3.1. Without --reason-code they are listed and asked for.
///
/// Examples:
///   countersign cert revoke alice --reason-code keyCompromise --reason "laptop stolen" --yes
///   countersign cert revoke alice --by-code mail --reason-code 4
///   countersign cert revoke --serial 340282366920938463463374607431768211455 --reason-code 5
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Revoke {
    /// The folder that `countersign cert enroll` wrote.
    #[arg(required_unless_present = "serial")]
    pub(crate) folder: Option<PathBuf>,
    /// Serial number of the certificate, in decimal.
    #[arg(long, conflicts_with = "folder")]
    pub(crate) serial: Option<SerialNumber>,
    /// Why: a number of RFC 5280, or a name as keyCompromise.
    #[arg(long, value_name = "CODE")]
    pub(crate) reason_code: Option<ReasonCode>,
    /// Why, in words for the CA's records.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Don't ask. Needed where nobody can be asked.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Have a code sent to the subject: by sms, mail or webhook.
    #[arg(long, value_name = "CHANNEL", requires = "folder", conflicts_with_all = ["token_file", "key", "fresh"])]
    pub(crate) by_code: Option<Channel>,
    /// A file with the code, or - for standard input, in place of asking for it.
    #[arg(long, value_name = "FILE", requires = "folder", conflicts_with_all = ["token_file", "key", "fresh"])]
    pub(crate) code_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: DeviceAccess,
}

/// Print what a certificate says, and whether it is good.
///
/// Of a folder also: whether the key is the certificate's, whether it follows from the root that is
/// known by its fingerprint, and when it is renewed. Nobody is asked: what is revoked looks as it
/// did.
///
/// Examples:
///   countersign cert inspect alice
///   countersign cert inspect /etc/web/tls/certificate.pem --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Inspect {
    /// A folder that `countersign cert enroll` wrote, or a file of certificates in PEM, of which the first is printed.
    #[arg(value_name = "FOLDER|FILE")]
    pub(crate) place: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn key_kind(text: &str) -> Result<KeyKind, String> {
    match text {
        "ec-p256" => Ok(KeyKind::EcdsaP256),
        "rsa-2048" => Ok(KeyKind::Rsa2048),
        "rsa-4096" => Ok(KeyKind::Rsa4096),
        _ => Err("ec-p256, rsa-2048 or rsa-4096".into()),
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let span: TimeSpan = text.parse().map_err(|error: countersign::config::InvalidTimeSpan| error.to_string())?;
    let lifetime = span.duration();
    if lifetime.as_secs() == 0 { Err("that is no time".into()) } else { Ok(lifetime) }
}
