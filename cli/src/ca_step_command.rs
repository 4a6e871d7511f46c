use std::{path::Path, time::Duration};

use countersign::{
    CertificateFile, Column, Error, KeyKind, Table, plain,
    provisioner::{Deployment, Exposure, NewKey, ProvisionerError, shown, wait_until_listed},
    step_ca::StepCa,
};
use step::{Ca, CaUrl, Provisioner, RootFingerprint};

use crate::{
    ca_step_args::{CaStepCommand, CaStepProvisioner, Kind},
    commands::{print, tell, usage},
    progress::waiting_for,
};

/// How often the CA is asked whether it lists a provisioner.
const PAUSE: Duration = Duration::from_secs(2);

/// What is shown of a CA's provisioners, and how much of each.
const TABLE: [Column; 4] =
    [Column::new("type", 16), Column::new("name", 64), Column::new("key id", 64), Column::new("encrypted key", 32)];

pub(crate) async fn run(command: CaStepCommand) -> Result<(), Error> {
    let CaStepCommand::Provisioner(order) = command;
    match &order.check {
        Some(url) => check(url, &order).await,
        None => make(*order).await,
    }
}

async fn make(order: CaStepProvisioner) -> Result<(), Error> {
    let (Some(kind), Some(url), Some(bucket)) = (order.kind, &order.ca_url, &order.bucket) else {
        usage("--type, --ca-url and --bucket are required")
    };
    let (fingerprint, _) = pinned(&order)?;
    let provisioner = Provisioner { kind: kind.into(), name: order.name.clone(), kid: None };
    let ca = Ca { url: url.clone(), fingerprint, provisioner };
    let out = out(kind, &order);
    out.map_or(Ok(()), NewKey::root_is_free)?;
    // Before anything is made: what cannot be stored is of no use.
    let deployment = Deployment::connect(bucket.clone(), order.stack.clone());
    let deployment = within(order.timeout, async {
        let deployment = deployment.await?;
        let found = deployment.look(kind.into()).await?;
        if !order.replace {
            deployment.is_free(&found, &ca)?;
        }
        Ok((deployment, found))
    });
    let (deployment, found) = deployment.await?;
    let key = match (&order.import, kind) {
        (Some(file), _) => NewKey::import(file, order.password_file.as_deref())?,
        (None, Kind::Jwk) => NewKey::jwk()?,
        (None, Kind::X5c) => NewKey::x5c(order.key_type.unwrap_or(KeyKind::EcdsaP256))?,
    };
    let provisioner = key.provisioner_json(&order.name);
    if order.wait {
        show(&provisioner)?;
        tell("nothing is stored before the CA lists it");
        let listed = wait_until_listed(&key, &order.name, &ca.url, &ca.fingerprint, PAUSE);
        waiting_for("the CA to list the provisioner", listed).await?;
    }
    if let Some(folder) = out {
        let files = key.write_root(folder)?;
        let (certificate, private) = (files.certificate.display(), files.key.display());
        tell(&format!("the root is in {certificate}, its private key in {private}: keep that one offline"));
    }
    within(order.timeout, async { Ok(deployment.store(&key, &ca, found).await?) }).await?;
    let (secret, object) = (deployment.signing_secret(kind.into()), deployment.object());
    tell(&format!("the key is stored in the secret {secret}, and which CA it is for in {object}"));
    if order.wait { Ok(()) } else { show(&provisioner) }
}

/// The folder for a root, where there is to be one. Ends the process where the options of the types are mixed.
fn out(kind: Kind, order: &CaStepProvisioner) -> Option<&Path> {
    match kind {
        Kind::Jwk if order.out.is_some() || order.key_type.is_some() => {
            usage("--type x5c is required with --out and --key-type")
        }
        Kind::X5c if order.import.is_some() => usage("--type jwk is required with --import"),
        Kind::X5c if order.out.is_none() => usage("--out is required with --type x5c"),
        Kind::Jwk | Kind::X5c => order.out.as_deref(),
    }
}

fn show(provisioner: &serde_json::Value) -> Result<(), Error> {
    tell("add this to authority.provisioners in the CA's configuration, and have the CA read it:");
    // Whole lines, also for who reads line by line while this waits.
    print(format!("{provisioner:#}\n").as_bytes())
}

async fn within<T>(timeout: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    waiting_for("AWS", tokio::time::timeout(timeout, work)).await.map_err(|_| Error::TimedOut)?
}

/// The fingerprint of the CA's root, and the root where it is in a file.
fn pinned(order: &CaStepProvisioner) -> Result<(RootFingerprint, Option<CertificateFile>), Error> {
    match (&order.fingerprint, &order.root) {
        (Some(fingerprint), _) => Ok((*fingerprint, None)),
        (None, Some(file)) => {
            let root = CertificateFile::read(file)?;
            Ok((RootFingerprint::of(root.first().der()), Some(root)))
        }
        (None, None) => usage("--fingerprint or --root is required"),
    }
}

async fn check(url: &CaUrl, order: &CaStepProvisioner) -> Result<(), Error> {
    let (fingerprint, root) = pinned(order)?;
    let shown = waiting_for("the CA", async {
        let root = match root {
            Some(root) => root.first().clone(),
            None => StepCa::root(url, &fingerprint, order.timeout).await?,
        };
        shown(&StepCa::new(url.clone(), root).timeout(order.timeout)).await
    });
    let shown = shown.await?;
    let mut text = Vec::new();
    let mut table = Table::new(&mut text, &TABLE, None);
    for provisioner in &shown {
        let listed = &provisioner.provisioner;
        let cells = [listed.kind(), listed.name(), listed.kid().unwrap_or_default(), provisioner.exposure.text()];
        table.row(cells).expect("memory takes what is written");
    }
    table.finish().expect("memory takes what is written");
    print(&text)?;
    let exposed = shown.iter().filter(|provisioner| provisioner.exposure != Exposure::None);
    let names: Vec<&str> = exposed.map(|provisioner| provisioner.provisioner.name()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(ProvisionerError::Exposed(plain(&names.join(", "))).into())
}
