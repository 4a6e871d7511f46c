use std::{
    fs,
    path::{Path, PathBuf},
};

use countersign::{
    DeviceKey, Error, Grant, KeyKind, ReservedKey, Secret, Subject, SubjectFields, SubjectName, Want,
    enrollment::{CaRecord, CertificateFiles, EnrollmentError, OneTimeToken, Proof, TokenOrder},
    step_ca::{Expected, Issued, Names, StepCa, StepCaError},
};
use pki::{Certificate, NamedRequest};
use ports::{Clock as _, SystemClock};
use protocol::{AltName, CsrDigest};

use crate::{
    cert_args::{self, Enroll, EnrollFiles},
    cert_commands::{CA, CodeSource, enrollment_client, text_of},
    commands::{one, print, tell, usage},
    device_args::DeviceAccess,
    device_commands::{BROKER, bearer, line},
    progress::waiting_for,
    token_commands::time,
};

/// A key, and where it is.
struct Key {
    key: DeviceKey,
    /// Of a new key: its file, which is not `key.pem` yet.
    reserved: Option<ReservedKey>,
    /// Whether the folder was made for it.
    is_folder_new: bool,
}

/// How a one-time token is got.
enum Way<'a> {
    File(&'a Path),
    Code(CodeSource<'a>),
    Bearer,
    Exchange,
}

pub(crate) async fn enroll(order: Enroll) -> Result<(), Error> {
    let Enroll { subject, sans, not_after, files: options, proof, access } = order;
    if (1..sans.len()).any(|at| sans[..at].contains(&sans[at])) || sans.len() > protocol::MAX_ALT_NAMES {
        usage("--san is given twice with one name, or more than 32 times");
    }
    let folder = options.out.clone().unwrap_or_else(|| PathBuf::from(subject.as_str()));
    let way = Way::new(&proof, &access)?;
    let key = Key::new(&folder, &options)?;
    let wish = SubjectFields { common_name: Some(subject.to_string()), ..SubjectFields::default() };
    let csr = Subject::new(&wish).and_then(|subject| key.key.csr_with_alt_names(&subject, &sans));
    let csr = csr.map_err(EnrollmentError::NoRequest)?;
    let issued = async {
        let token = Box::pin(way.token(&subject, &sans, &csr.digest(), &proof, &access)).await?;
        if proof.fingerprint.is_some_and(|known| known != token.fingerprint) {
            return Err(EnrollmentError::OtherFingerprint.into());
        }
        let timeout = access.access.common.broker.timeout;
        let root = waiting_for(CA, StepCa::root(&token.url, &token.fingerprint, timeout)).await?;
        let issued = sign(&token, &root, &csr, &key.key, (&subject, &sans), not_after, timeout).await?;
        Ok((token, root, issued))
    };
    let (token, root, issued) = match issued.await {
        Ok(issued) => issued,
        Err(error) => {
            if is_left_open(&error) {
                key.keep(&folder)?;
            } else {
                key.forget(&folder);
            }
            return Err(error);
        }
    };
    // Without the key the certificate is of no use: it goes first.
    let settled = key.reserved.map(CertificateFiles::settle).transpose()?;
    let files = CertificateFiles::in_folder(&folder);
    files.write(&issued)?;
    let record = CaRecord { url: token.url, fingerprint: token.fingerprint, subject };
    CertificateFiles::write_ca(&folder, &root, &record)?;
    report(&files, settled.is_some(), &issued)
}

async fn sign(
    token: &OneTimeToken,
    root: &Certificate,
    csr: &NamedRequest,
    key: &DeviceKey,
    (subject, sans): (&SubjectName, &[AltName]),
    lifetime: Option<std::time::Duration>,
    timeout: std::time::Duration,
) -> Result<Issued, Error> {
    let ca = StepCa::new(token.url.clone(), root.clone()).timeout(timeout);
    let public_key = key.public_key();
    let now = SystemClock.unix_seconds();
    let expected = Expected { public_key: &public_key, names: Names::These(subject, sans), now };
    waiting_for(CA, ca.sign(csr, &token.token, lifetime, &expected)).await
}

impl Key {
    /// The key that is there, or a new one, which is on disk when this returns.
    fn new(folder: &Path, options: &EnrollFiles) -> Result<Self, Error> {
        if options.reuse_key {
            return Ok(Self { key: CertificateFiles::in_folder(folder).key()?, reserved: None, is_folder_new: false });
        }
        if !options.force {
            CertificateFiles::are_free(folder)?;
        }
        let is_folder_new = folder.symlink_metadata().is_err();
        let mut reserved = CertificateFiles::reserve_key(folder)?;
        let key = DeviceKey::generate(options.key_type.unwrap_or(KeyKind::EcdsaP256));
        let key = key.map_err(EnrollmentError::NoRequest)?;
        reserved.write(&key.to_pem())?;
        Ok(Self { key, reserved: Some(reserved), is_folder_new })
    }

    /// Deletes a new key that no certificate can be of.
    fn forget(self, folder: &Path) {
        drop(self.reserved);
        if self.is_folder_new {
            // Where another process put something into it, it stays.
            let _ = fs::remove_dir(folder);
        }
    }

    /// Keeps a new key whose certificate may be there, and says where it is.
    fn keep(self, folder: &Path) -> Result<(), Error> {
        let Some(reserved) = self.reserved else { return Ok(()) };
        if CertificateFiles::are_free(folder).is_ok() {
            let path = CertificateFiles::settle(reserved)?;
            tell(&format!("the key is kept in {}, and is used again with --reuse-key", path.display()));
        } else {
            tell(&format!("the new key is kept in {}", reserved.leave()?.display()));
        }
        Ok(())
    }
}

impl<'a> Way<'a> {
    fn new(proof: &'a cert_args::Proof, DeviceAccess { token_file, access }: &DeviceAccess) -> Result<Self, Error> {
        Ok(if let Some(path) = &proof.ott_file {
            Self::File(path)
        } else if proof.channel.is_some() || proof.code_file.is_some() {
            // Before anything is sent: who cannot enter a code needs none.
            Self::Code(CodeSource::new(proof.code_file.as_deref())?)
        } else if token_file.is_none() && access.key.is_none() && access.common.group.is_some() {
            Self::Exchange
        } else {
            Self::Bearer
        })
    }

    async fn token(
        &self,
        subject: &SubjectName,
        sans: &[AltName],
        csr: &CsrDigest,
        proof: &cert_args::Proof,
        access: &DeviceAccess,
    ) -> Result<OneTimeToken, Error> {
        let order = TokenOrder { subject, sans, csr: Some(csr) };
        match self {
            Self::File(path) => {
                let text = text_of(path)?;
                Ok(OneTimeToken::read(Secret::new(text.expose().trim().to_owned()))?)
            }
            Self::Code(source) => {
                let client = enrollment_client(access)?;
                let get = async |code: &_| waiting_for(BROKER, client.token(&order, Proof::Code(code))).await;
                Box::pin(source.token(subject, proof.channel, &client, get)).await
            }
            Self::Bearer => {
                let token = Box::pin(bearer(access)).await?;
                waiting_for(BROKER, enrollment_client(access)?.token(&order, Proof::Bearer(&token))).await
            }
            Self::Exchange => {
                let want =
                    Want::EnrollmentToken { subject: subject.clone(), sans: sans.to_vec(), csr_sha256: Some(*csr) };
                match Box::pin(one(access.access.common.clone(), want)).await? {
                    Grant::EnrollmentToken(granted) => Ok(granted.try_into()?),
                    Grant::Secret(_) | Grant::Aws(_) | Grant::AccessToken(_) => Err(Error::Unexpected { status: 200 }),
                }
            }
        }
    }
}

/// Whether a token, or a certificate, may have been given all the same.
fn is_left_open(error: &Error) -> bool {
    matches!(
        error,
        Error::Enrollment(EnrollmentError::Unknown(_))
            | Error::StepCa(
                StepCaError::Unknown { .. }
                    | StepCaError::Failed(_)
                    | StepCaError::Unusable(_)
                    | StepCaError::Unexpected { .. }
            )
    )
}

fn report(files: &CertificateFiles, is_new_key: bool, issued: &Issued) -> Result<(), Error> {
    let certificate = issued.certificate();
    let path = |path: &PathBuf| path.display().to_string();
    let mut lines = String::new();
    if is_new_key {
        lines += &line("key", &path(&files.key));
    }
    lines.extend(files.certificate.iter().map(|file| line("certificate", &path(file))));
    lines.extend(files.chain.iter().map(|file| line("chain", &path(file))));
    lines += &line("root", &path(&files.root));
    lines += &line("serial number", &certificate.serial_decimal());
    lines += &line("valid until", &time(certificate.not_after()));
    print(lines.as_bytes())
}
