use std::{io::Write as _, path::Path};

use countersign::{
    Error, Secret,
    enrollment::{CaRecord, CertificateFiles, EnrollmentError, OneTimeToken, Proof, RevocationOrder},
    step_ca::{ReasonCode, Revoker, StepCa},
};
use pki::Certificate;
use step::SerialNumber;

use crate::{
    cert_args::Revoke,
    cert_commands::{CA, CodeSource, enrollment_client},
    commands::{print, tell, usage},
    device_commands::{BROKER, bearer},
    progress::{make_room, waiting_for},
    prompt,
};

/// A certificate in a folder.
struct Kept {
    files: CertificateFiles,
    record: CaRecord,
    chain: Vec<Certificate>,
    root: Certificate,
}

/// How it is revoked.
enum Way<'a> {
    Key,
    Code(CodeSource<'a>),
    Bearer,
}

pub(crate) async fn revoke(order: Revoke) -> Result<(), Error> {
    let Revoke { folder, serial, reason_code, reason, yes, by_code, code_file, access } = order;
    let is_possible = prompt::is_possible();
    if !is_possible && reason_code.is_none() {
        usage("--reason-code is required where nobody can be asked");
    }
    if !is_possible && !yes {
        usage("--yes is required where nobody can be asked");
    }
    let kept = folder.as_deref().map(Kept::read).transpose()?;
    let way = if by_code.is_some() || code_file.is_some() {
        Way::Code(CodeSource::new(code_file.as_deref())?)
    } else if serial.is_some() || access.token_file.is_some() || access.access.key.is_some() {
        Way::Bearer
    } else {
        Way::Key
    };
    let serial = match (&kept, serial) {
        (Some(kept), _) => kept.serial(),
        (None, Some(serial)) => serial,
        (None, None) => usage("a folder or --serial is required"),
    };
    let is_menu = reason_code.is_none();
    let code = reason_code.map_or_else(choose, Ok)?;
    let reason = match reason {
        Some(reason) => reason,
        None if is_menu => prompt::ask("reason, in words for the CA's records:")?.expose().trim().to_owned(),
        None => code.meaning().to_owned(),
    };
    let whose = kept.as_ref().map_or_else(String::new, |kept| format!(" of {}", kept.record.subject));
    if !yes && !prompt::confirm(&format!("revoke certificate {serial}{whose} ({code})?"))? {
        tell("nothing was revoked");
        return Ok(());
    }
    let timeout = access.access.common.broker.timeout;
    let token = match (&way, &kept) {
        (Way::Key, _) => None,
        (Way::Code(source), Some(kept)) => {
            let client = enrollment_client(&access)?;
            let (subject, pem) = (&kept.record.subject, kept.to_pem());
            let order = RevocationOrder { serial: &serial, certificate: Some(&pem), subject: Some(subject) };
            let get = async |code: &_| waiting_for(BROKER, client.revocation(&order, Proof::Code(code))).await;
            Some(Box::pin(source.token(subject, by_code, &client, get)).await?)
        }
        (Way::Code(_) | Way::Bearer, _) => {
            let token = Box::pin(bearer(&access)).await?;
            let pem = kept.as_ref().map(Kept::to_pem);
            let order = RevocationOrder { serial: &serial, certificate: pem.as_deref(), subject: None };
            let client = enrollment_client(&access)?;
            Some(waiting_for(BROKER, client.revocation(&order, Proof::Bearer(&token))).await?)
        }
    };
    match (token, kept) {
        (Some(token), kept) => {
            by_token(&token, kept.map(|kept| kept.record), &serial, code, &reason, timeout).await?;
        }
        (None, Some(kept)) => {
            let identity = kept.files.identity()?;
            let ca = StepCa::new(kept.record.url, kept.root).timeout(timeout);
            waiting_for(CA, ca.revoke(Revoker::Holder(&identity), &serial, code, &reason)).await?;
        }
        (None, None) => usage("a folder is required to revoke by the certificate's key"),
    }
    print(format!("certificate {serial} is revoked: it is not renewed again\n").as_bytes())
}

async fn by_token(
    token: &OneTimeToken,
    record: Option<CaRecord>,
    serial: &SerialNumber,
    code: ReasonCode,
    reason: &str,
    timeout: std::time::Duration,
) -> Result<(), Error> {
    if record.is_some_and(|record| record.fingerprint != token.fingerprint) {
        return Err(EnrollmentError::OtherFingerprint.into());
    }
    let root = waiting_for(CA, StepCa::root(&token.url, &token.fingerprint, timeout)).await?;
    let ca = StepCa::new(token.url.clone(), root).timeout(timeout);
    let by: &Secret<String> = &token.token;
    waiting_for(CA, ca.revoke(Revoker::Token(by), serial, code, reason)).await
}

impl Kept {
    fn read(folder: &Path) -> Result<Self, Error> {
        let (files, record) = (CertificateFiles::in_folder(folder), CertificateFiles::ca(folder)?);
        let (chain, root) = (files.certificates()?, files.root(Some(&record.fingerprint))?);
        Ok(Self { files, record, chain, root })
    }

    /// Ends the process where there is none that can be asked for.
    fn serial(&self) -> SerialNumber {
        let serial = self.chain.first().map(Certificate::serial_decimal).unwrap_or_default();
        serial.parse().unwrap_or_else(|_| usage("the certificate's serial number is none that a step-ca gives"))
    }

    /// The certificate, what stands above it, and the root.
    fn to_pem(&self) -> String {
        self.chain.iter().chain([&self.root]).map(Certificate::to_pem).collect()
    }
}

/// Has a person choose a reason.
fn choose() -> Result<ReasonCode, Error> {
    make_room();
    for reason in ReasonCode::all() {
        let line = format!("{:>2}  {reason:<20}  {}\n", reason.number(), reason.meaning());
        // Where it cannot be shown, the question tells enough.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    loop {
        match prompt::ask("reason code:")?.expose().trim().parse() {
            Ok(reason) => return Ok(reason),
            Err(error) => tell(&format!("{error}")),
        }
    }
}
