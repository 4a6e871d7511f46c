use std::{path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pki::KeyKind;
use ports::{Clock as _, SystemClock};
use protocol::{Secret, SystemRandom};
use serde_json::Value;
use step::{CaUrl, JwkKey, ProvisionerKey, ProvisionerKind, ProvisionerName, RootFingerprint, X5cKey, x5c};

use super::ProvisionerError;
use crate::{
    CaError, CaFiles, Error,
    material::read,
    step_ca::{ListedProvisioner, StepCa},
};

/// The most that is read of a key or a password, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A provisioner's key that is not stored yet.
#[derive(Debug)]
pub enum NewKey {
    /// Of a JWK provisioner.
    Jwk(JwkKey),
    /// Of an X5C provisioner.
    X5c {
        /// Root and intermediate, which are new too.
        authority: Box<x5c::Authority>,
        /// The key that signs.
        leaf: Box<X5cKey>,
    },
}

impl NewKey {
    /// Makes the key of a JWK provisioner.
    ///
    /// # Errors
    /// [`ProvisionerError::NotMade`].
    pub fn jwk() -> Result<Self, ProvisionerError> {
        JwkKey::generate().map(Self::Jwk).map_err(ProvisionerError::NotMade)
    }

    /// Makes root, intermediate and leaf of an X5C provisioner, with keys of this kind.
    ///
    /// # Errors
    /// [`ProvisionerError::NotMade`].
    pub fn x5c(kind: KeyKind) -> Result<Self, ProvisionerError> {
        let now = SystemClock.unix_seconds();
        let make = || {
            let authority = x5c::new_authority(kind, now, &SystemRandom)?;
            let leaf = authority.issuer.new_leaf(now, &SystemRandom)?;
            Ok(Self::X5c { authority: Box::new(authority), leaf: Box::new(leaf) })
        };
        make().map_err(ProvisionerError::NotMade)
    }

    /// Reads the key of a JWK provisioner from a file: as `step` encrypts it, alone or as the member `encryptedKey` of the
    /// provisioner in the CA's configuration; or a private JWK that is not encrypted.
    ///
    /// # Errors
    /// [`ProvisionerError::NotImported`], [`ProvisionerError::NoPassword`], [`Error::File`], [`Error::Damaged`].
    pub fn import(file: &Path, password_file: Option<&Path>) -> Result<Self, Error> {
        let text = read(file, MAX_BYTES, None)?;
        let password = password_file.map(|path| read(path, MAX_BYTES, None)).transpose()?;
        let key = parse(&text, password.as_ref().map(|password| line(password.expose())))?;
        Ok(Self::Jwk(key))
    }

    /// The type of the provisioner.
    #[must_use]
    pub const fn kind(&self) -> ProvisionerKind {
        match self {
            Self::Jwk(_) => ProvisionerKind::Jwk,
            Self::X5c { .. } => ProvisionerKind::X5c,
        }
    }

    /// What to add to `authority.provisioners` in the CA's configuration. Nothing of it is secret.
    #[must_use]
    pub fn provisioner_json(&self, name: &ProvisionerName) -> Value {
        match self {
            Self::Jwk(key) => key.provisioner_json(name),
            Self::X5c { authority, .. } => authority.provisioner_json(name),
        }
    }

    /// Writes the root of an X5C provisioner and its key, where there is none yet, with mode 0600, into `root.pem` and `root-key.pem`.
    ///
    /// # Errors
    /// [`ProvisionerError::FileExists`], [`Error::File`].
    pub fn write_root(&self, folder: &Path) -> Result<CaFiles, Error> {
        let files = Self::root_files(folder);
        Self::root_is_free(folder)?;
        if let Self::X5c { authority, .. } = self {
            files.write(&authority.root, &authority.root_key).map_err(not_replaced)?;
        }
        Ok(files)
    }

    /// Whether nothing stands in the way of [`NewKey::write_root`].
    ///
    /// # Errors
    /// [`ProvisionerError::FileExists`].
    pub fn root_is_free(folder: &Path) -> Result<(), Error> {
        Self::root_files(folder).are_free().map_err(not_replaced)
    }

    fn root_files(folder: &Path) -> CaFiles {
        CaFiles { certificate: folder.join("root.pem"), key: folder.join("root-key.pem") }
    }

    /// Whether this is one of the provisioners.
    fn is_listed(&self, name: &ProvisionerName, listed: &[ListedProvisioner]) -> bool {
        let mut namesakes = listed.iter().filter(|listed| listed.is(self.kind().as_str(), name.as_str()));
        match self {
            // The id is the key's thumbprint.
            Self::Jwk(key) => namesakes.any(|listed| listed.kid() == Some(key.kid())),
            Self::X5c { authority, .. } => {
                let root = authority.root.to_pem();
                namesakes.any(|listed| roots(listed).is_some_and(|roots| roots.contains(root.trim())))
            }
        }
    }

    /// What is stored, by the last part of the secret's name, in the order of storing: what signs comes last.
    pub(super) fn secrets(&self) -> Vec<(&'static str, Secret<String>)> {
        let signs = ProvisionerKey::secret_name(self.kind());
        match self {
            Self::Jwk(key) => vec![(signs, key.to_json())],
            Self::X5c { authority, leaf } => {
                vec![(x5c::Issuer::SECRET_NAME, authority.issuer.to_json()), (signs, leaf.to_json())]
            }
        }
    }
}

/// Waits until the CA, whose root has this fingerprint, lists the key's provisioner. It asks again after each pause, also where the CA
/// cannot be reached: it is started anew with another configuration.
///
/// # Errors
/// [`Error::StepCa`] where what answers is another CA.
pub async fn wait_until_listed(
    key: &NewKey,
    name: &ProvisionerName,
    url: &CaUrl,
    fingerprint: &RootFingerprint,
    pause: Duration,
) -> Result<(), Error> {
    let mut ca = None;
    loop {
        let asked = async {
            let known = match ca.take() {
                Some(known) => known,
                None => StepCa::new(url.clone(), StepCa::root(url, fingerprint, pause.max(PATIENCE)).await?),
            };
            ca.insert(known).provisioners().await
        };
        match asked.await {
            Ok(listed) if key.is_listed(name, &listed) => return Ok(()),
            Ok(_) | Err(Error::TimedOut) => {}
            Err(Error::StepCa(error)) if error.may_pass() => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
    }
}

/// How long the CA may take to give its root.
const PATIENCE: Duration = Duration::from_secs(10);

/// The certificates that a listed X5C provisioner trusts, PEM.
fn roots(listed: &ListedProvisioner) -> Option<String> {
    let roots = BASE64_STANDARD.decode(listed.json()["roots"].as_str()?).ok()?;
    String::from_utf8(roots).ok()
}

fn not_replaced(error: Error) -> Error {
    if let Error::Ca(CaError::FileExists(path)) = error { ProvisionerError::FileExists(path).into() } else { error }
}

fn parse(text: &Secret<Vec<u8>>, password: Option<&[u8]>) -> Result<JwkKey, ProvisionerError> {
    let text = str::from_utf8(text.expose()).map_err(|_| ProvisionerError::NotImported(step::KeyError::Malformed))?;
    let text = text.trim();
    let json: Option<Value> = serde_json::from_str(text).ok();
    let member = |name: &str| json.as_ref().and_then(|json| json.get(name));
    if member("kty").is_some() {
        return JwkKey::from_json(text).map_err(ProvisionerError::NotImported);
    }
    // As a provisioner in the CA's configuration, or as a text of JSON.
    let encrypted = member("encryptedKey").or(json.as_ref()).and_then(Value::as_str).unwrap_or(text);
    let password = password.ok_or(ProvisionerError::NoPassword)?;
    JwkKey::from_encrypted(encrypted, password).map_err(ProvisionerError::NotImported)
}

/// The bytes without the end of the line that editors put there.
fn line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
