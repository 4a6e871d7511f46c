use aws::{Connection, S3Bucket, SecretsManager};
use aws_lc_rs::digest::{SHA256, digest};
use ports::{
    AppendSecret, ETag, Fault, FindSecret, Precondition, ReadObject, ReadSecret, Stage, VersionSelector, WriteObject,
};
use step::{Ca, ProvisionerKey, ProvisionerKind, x5c::Issuer};

use super::{NewKey, ProvisionerError};
use crate::Error;

/// Where the broker looks for its provisioner: the bucket and the secrets of a stack.
#[derive(Debug)]
pub struct Deployment<O, S> {
    bucket: String,
    stack: String,
    objects: O,
    secrets: S,
}

/// What was there before. Storing fails where it is there no more.
#[derive(Debug)]
pub struct Found {
    /// Names of the secrets, and the ids of their versions: the current one and the one before it.
    keys: Vec<(String, [Option<String>; 2])>,
    ca: Option<(Option<Ca>, ETag)>,
}

impl Deployment<S3Bucket, SecretsManager> {
    /// The deployment of this bucket and stack, with AWS credentials from where the AWS SDKs look for them.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn connect(bucket: String, stack: String) -> Result<Self, Error> {
        let connection = Connection::from_environment().await;
        if let Some(lack) = connection.lacks().await {
            return Err(lack.into());
        }
        let objects = S3Bucket::new(&connection, bucket.clone());
        Ok(Self { bucket, stack, objects, secrets: SecretsManager::new(&connection) })
    }
}

impl<O: ReadObject + WriteObject, S: ReadSecret + AppendSecret + FindSecret> Deployment<O, S> {
    /// Looks at what is there, of what a provisioner of this type needs.
    ///
    /// # Errors
    /// [`ProvisionerError::NoSecret`], [`ProvisionerError::NotPermitted`], [`ProvisionerError::Aws`].
    pub async fn look(&self, kind: ProvisionerKind) -> Result<Found, ProvisionerError> {
        let issuer = match kind {
            ProvisionerKind::Jwk => None,
            ProvisionerKind::X5c => Some(Issuer::SECRET_NAME),
        };
        let mut keys = Vec::new();
        for name in issuer.into_iter().chain([ProvisionerKey::secret_name(kind)]) {
            let secret = self.secret(name);
            if !self.secrets.exists(&secret).await.map_err(of("secretsmanager:DescribeSecret"))? {
                return Err(ProvisionerError::NoSecret(secret));
            }
            let versions =
                [self.version(&secret, Stage::Current).await?, self.version(&secret, Stage::Previous).await?];
            keys.push((secret, versions));
        }
        let ca = match self.objects.read(Ca::OBJECT, None, Ca::MAX_BYTES).await {
            Ok(object) => object.map(|object| (Ca::from_json(object.bytes.expose()), object.etag)),
            Err(Fault::Missing) => None,
            Err(fault) => return Err(ProvisionerError::of("s3:GetObject", fault)),
        };
        Ok(Found { keys, ca })
    }

    /// Whether nothing would be replaced.
    ///
    /// # Errors
    /// [`ProvisionerError::KeyExists`], [`ProvisionerError::OtherCa`].
    pub fn is_free(&self, found: &Found, ca: &Ca) -> Result<(), ProvisionerError> {
        let taken = found.keys.iter().find(|(_, [current, _])| current.is_some());
        if let Some((secret, _)) = taken {
            return Err(ProvisionerError::KeyExists(secret.clone()));
        }
        match &found.ca {
            Some((there, _)) if there.as_ref() != Some(ca) => Err(ProvisionerError::OtherCa(self.object())),
            Some(_) | None => Ok(()),
        }
    }

    /// Stores the key, then which CA it is for.
    ///
    /// # Errors
    /// [`ProvisionerError::Changed`], [`ProvisionerError::NotPermitted`], [`ProvisionerError::Aws`]. Where the key is stored and the CA
    /// is not, the broker has no provisioner yet, or signs with the new key in the name of the old one; to repeat helps.
    pub async fn store(&self, key: &NewKey, ca: &Ca, found: Found) -> Result<(), ProvisionerError> {
        for (name, value) in key.secrets() {
            let secret = self.secret(name);
            let seen = found.keys.iter().find(|(found, _)| *found == secret).map(|(_, versions)| versions);
            let [current, previous] =
                seen.map_or(["none"; 2], |seen| seen.each_ref().map(|id| id.as_deref().unwrap_or("none")));
            // So a version that somebody else stored meanwhile is not replaced.
            let seen = format!("countersign/provisioner {current} {previous}");
            let token = hex::encode(digest(&SHA256, seen.as_bytes()));
            match self.secrets.append(&secret, &value, &token).await {
                Ok(()) => {}
                Err(Fault::Conflict) => return Err(ProvisionerError::Changed(format!("the secret {secret}"))),
                Err(Fault::Missing) => return Err(ProvisionerError::NoSecret(secret)),
                Err(fault) => return Err(ProvisionerError::of("secretsmanager:PutSecretValue", fault)),
            }
        }
        let precondition = match found.ca {
            Some((Some(there), _)) if there == *ca => return Ok(()),
            Some((_, etag)) => Precondition::Unchanged(etag),
            None => Precondition::Absent,
        };
        match self.objects.write(Ca::OBJECT, ca.to_json(), "application/json", precondition).await {
            Err(Fault::Conflict) => Err(ProvisionerError::Changed(self.object())),
            stored => stored.map_err(of("s3:PutObject")),
        }
    }

    /// The name of the secret that signs for provisioners of this type.
    #[must_use]
    pub fn signing_secret(&self, kind: ProvisionerKind) -> String {
        self.secret(ProvisionerKey::secret_name(kind))
    }

    /// The object that says which CA it is.
    #[must_use]
    pub fn object(&self) -> String {
        format!("s3://{}/{}", self.bucket, Ca::OBJECT)
    }

    fn secret(&self, name: &str) -> String {
        format!("{}/step-ca/{name}", self.stack)
    }

    /// The id of the version with this label, where there is one.
    async fn version(&self, secret: &str, stage: Stage) -> Result<Option<String>, ProvisionerError> {
        let selector = VersionSelector { id: None, stage: Some(stage.label()) };
        match self.secrets.read(secret, selector).await {
            Ok(version) => Ok(Some(version.version_id)),
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(ProvisionerError::of("secretsmanager:GetSecretValue", fault)),
        }
    }
}

fn of(action: &'static str) -> impl Fn(Fault) -> ProvisionerError {
    move |fault| ProvisionerError::of(action, fault)
}
