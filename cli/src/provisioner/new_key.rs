use std::{path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pki::KeyKind;
use ports::{Clock as _, SystemClock};
use protocol::{Secret, SystemRandom};
use serde::{Deserialize, de::IgnoredAny};
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

    /// What the provisioner knows it as: [`ProvisionerKey::known_as`].
    #[must_use]
    pub fn known_as(&self) -> String {
        match self {
            Self::Jwk(key) => key.kid().to_owned(),
            Self::X5c { leaf, .. } => leaf.known_as(),
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

/// What tells a key from a provisioner that holds one.
#[derive(Deserialize)]
struct Members {
    kty: Option<IgnoredAny>,
    #[serde(rename = "encryptedKey")]
    encrypted_key: Option<String>,
}

fn not_replaced(error: Error) -> Error {
    if let Error::Ca(CaError::FileExists(path)) = error { ProvisionerError::FileExists(path).into() } else { error }
}

fn parse(text: &Secret<Vec<u8>>, password: Option<&[u8]>) -> Result<JwkKey, ProvisionerError> {
    let text = str::from_utf8(text.expose()).map_err(|_| ProvisionerError::NotImported(step::KeyError::Malformed))?;
    // Members that may be secret are not kept.
    let members: Option<Members> = serde_json::from_str(text).ok();
    let encrypted = match &members {
        Some(Members { kty: Some(_), .. }) => return JwkKey::from_json(text).map_err(ProvisionerError::NotImported),
        Some(Members { encrypted_key: Some(encrypted), .. }) => encrypted,
        Some(_) | None => text,
    };
    let password = password.ok_or(ProvisionerError::NoPassword)?;
    JwkKey::from_encrypted(encrypted, password).map_err(ProvisionerError::NotImported)
}

/// The bytes without the end of the line that editors put there.
fn line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use serde_json::json;
    use step::KeyError;

    use super::*;

    fn name(text: &str) -> ProvisionerName {
        text.parse().unwrap()
    }

    /// A key as `step` encrypts it, with its password and id.
    fn encrypted() -> (String, String, String) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/step-ca/key-compact.json");
        let vector: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        (text("jwe"), text("password"), text("kid"))
    }

    fn import(key: &str, password: Option<&str>) -> Result<NewKey, Error> {
        let folder = tempfile::tempdir().unwrap();
        let [file, password_file] = ["key", "password"].map(|name| folder.path().join(name));
        fs::write(&file, key).unwrap();
        fs::write(&password_file, password.unwrap_or_default()).unwrap();
        NewKey::import(&file, password.map(|_| password_file.as_path()))
    }

    #[test]
    fn a_key_is_imported_as_step_encrypts_it_alone_or_in_its_provisioner_or_in_the_clear() {
        let (jwe, password, kid) = encrypted();
        let provisioner =
            json!({ "type": "JWK", "name": "a", "key": { "kty": "EC" }, "encryptedKey": jwe }).to_string();
        let NewKey::Jwk(plain) = import(&jwe, Some(&password)).unwrap() else { panic!("another type") };
        let plain = plain.to_json();
        for (text, password) in [
            (&jwe, Some(format!("{password}\n"))),
            (&format!("{jwe}\n"), Some(format!("{password}\r\n"))),
            (&provisioner, Some(password.clone())),
            (plain.expose(), None),
        ] {
            let NewKey::Jwk(key) = import(text, password.as_deref()).unwrap() else { panic!("another type") };
            assert_eq!((key.kid(), key.to_json().expose()), (kid.as_str(), plain.expose()));
        }
    }

    #[test]
    fn what_is_no_key_or_has_another_password_is_not_imported() {
        let (jwe, password, _) = encrypted();
        assert!(matches!(import(&jwe, None), Err(Error::Provisioner(ProvisionerError::NoPassword))));
        let refused = |key: &str, password: &str| match import(key, Some(password)) {
            Err(Error::Provisioner(ProvisionerError::NotImported(why))) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&jwe, "wrong"), KeyError::WrongPassword);
        assert_eq!(refused(&jwe, &format!("{password}\n\n")), KeyError::WrongPassword);
        assert_eq!(refused(r#"{"kty":"EC"}"#, &password), KeyError::Malformed);
        for other in ["", "null", "[]", r#"{"encryptedKey":""}"#, r#"{"encryptedKey":"a.b.c"}"#] {
            assert_eq!(refused(other, &password), KeyError::MalformedJwe, "{other}");
        }
    }

    #[test]
    fn a_key_is_listed_where_its_own_public_half_is() {
        let [key, other] = [NewKey::jwk().unwrap(), NewKey::jwk().unwrap()];
        let [x5c, another] = [NewKey::x5c(KeyKind::EcdsaP256).unwrap(), NewKey::x5c(KeyKind::EcdsaP256).unwrap()];
        let listed = |json: Value| [ListedProvisioner::new(json)];
        for (key, other) in [(&key, &other), (&x5c, &another), (&key, &x5c), (&x5c, &key)] {
            let shown = listed(key.provisioner_json(&name("a")));
            assert!(key.is_listed(&name("a"), &shown));
            assert!(!key.is_listed(&name("b"), &shown) && !other.is_listed(&name("a"), &shown));
        }
        let bundle = [&another, &x5c].map(|key| roots(&listed(key.provisioner_json(&name("a")))[0]).unwrap()).concat();
        let shown = listed(json!({ "type": "x5c", "name": "a", "roots": BASE64_STANDARD.encode(bundle) }));
        assert!(x5c.is_listed(&name("a"), &shown), "beside other roots");
        for other in
            [json!({ "type": "X5C", "name": "a" }), json!({ "type": "X5C", "name": "a", "roots": "?" }), json!(3)]
        {
            assert!(!x5c.is_listed(&name("a"), &listed(other)));
        }
    }

    #[test]
    fn nothing_secret_is_printed_of_a_key() {
        for key in [NewKey::jwk().unwrap(), NewKey::x5c(KeyKind::EcdsaP256).unwrap()] {
            let shown = format!("{}{key:?}", key.provisioner_json(&name("a")));
            for (_, secret) in key.secrets() {
                let secret: Value = serde_json::from_str(secret.expose()).unwrap();
                for member in ["d", "key"] {
                    let secret = secret[member].as_str();
                    assert!(secret.is_none_or(|secret| !shown.contains(secret)), "{member}");
                }
            }
            assert!(!shown.contains("PRIVATE") && !shown.contains("\"d\"") && !shown.contains("encryptedKey"));
        }
    }

    #[test]
    fn a_root_is_written_for_its_owner_alone_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("root");
        let key = NewKey::x5c(KeyKind::EcdsaP256).unwrap();
        NewKey::root_is_free(&out).unwrap();
        let files = key.write_root(&out).unwrap();
        for (path, name) in [(&files.certificate, "root.pem"), (&files.key, "root-key.pem")] {
            assert_eq!(path, &out.join(name));
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        // They belong together.
        files.read().unwrap();
        let NewKey::X5c { authority, .. } = &key else { panic!("another type") };
        assert!(authority.issuer.certificate().is_signed_by(files.read().unwrap().0.certificate()));
        let again = NewKey::x5c(KeyKind::EcdsaP256).unwrap().write_root(&out);
        assert!(matches!(again, Err(Error::Provisioner(ProvisionerError::FileExists(path))) if path == files.key));
    }
}
