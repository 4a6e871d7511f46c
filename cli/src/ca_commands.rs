use countersign::{CaError, CaFiles, CaRegistration, Error, RegisteredNow, Subject, SubjectFields};
use ports::{Clock as _, SystemClock};
use protocol::SystemRandom;

use crate::{
    ca_args::{CaCommand, CaRegister},
    ca_step_command,
    commands::{print, tell, usage},
    progress::waiting_for,
};

pub(crate) async fn run(command: CaCommand) -> Result<(), Error> {
    match command {
        CaCommand::Register(register) => self::register(*register).await,
        CaCommand::Step(step) => ca_step_command::run(step.command).await,
    }
}

async fn register(register: CaRegister) -> Result<(), Error> {
    let files = match &register {
        CaRegister { certificate: Some(certificate), key: Some(key), .. } => {
            if register.subject.fields() != SubjectFields::default() {
                usage("--new is required with a subject");
            }
            CaFiles { certificate: certificate.clone(), key: key.clone() }
        }
        _ => make(&register)?,
    };
    let (authority, key) = files.read()?;
    let registration = CaRegistration::new(authority, key)
        .kms_key(register.kms_key)
        .auto_registration(register.allow_auto_registration);
    let id = registration.id();
    let registered = match waiting_for("AWS", registration.run(register.timeout)).await {
        Ok(registered) => registered,
        Err(error) => {
            if register.new {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                tell(&format!("the CA is made; repeat with --certificate {certificate} --key {key}"));
            }
            return Err(error);
        }
    };
    match registered {
        RegisteredNow::Yes => tell("registered, and active"),
        RegisteredNow::Before { status } if status == "ACTIVE" => tell("it was registered before"),
        RegisteredNow::Before { status } => tell(&format!(
            "it was registered before, and is {}: aws iot update-ca-certificate --new-status ACTIVE --certificate-id {id}",
            status.replace(char::is_control, "?")
        )),
    }
    tell(&format!("its private key is in the parameter {}", registration.parameter()));
    print(format!("{id}\n").as_bytes())
}

/// Makes a CA and writes it.
fn make(register: &CaRegister) -> Result<CaFiles, Error> {
    let Some(out) = &register.out else { usage("--out is required with --new") };
    let files = CaFiles::in_folder(out);
    files.are_free()?;
    let subject = Subject::new(&register.subject.fields()).map_err(CaError::NotMade)?;
    let now = SystemClock.unix_seconds();
    let made = pki::new_root(&subject, register.key_type, now, register.days, &SystemRandom);
    let (certificate, key) = made.map_err(CaError::NotMade)?;
    files.write(&certificate, &key)?;
    tell(&format!("the new CA is in {} and {}", files.certificate.display(), files.key.display()));
    Ok(files)
}
