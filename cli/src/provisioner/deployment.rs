use aws::{Connection, S3Bucket, SecretsManager};
use aws_lc_rs::digest::{SHA256, digest};
use ports::{
    AppendSecret, ETag, Fault, FindSecret, Precondition, ReadObject, ReadSecret, Stage, VersionSelector, WriteObject,
};
use step::{Ca, Provisioner, ProvisionerKey, ProvisionerKind, x5c::Issuer};

use super::{NewKey, ProvisionerError};
use crate::{AwsError, Error};

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
    /// [`ProvisionerError::NoSecret`], [`ProvisionerError::Aws`].
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
            Err(fault) => return Err(AwsError::of("s3:GetObject", fault).into()),
        };
        Ok(Found { keys, ca })
    }

    /// Whether nothing would be replaced. By which key the CA knows the provisioner does not matter: there is none.
    ///
    /// # Errors
    /// [`ProvisionerError::KeyExists`], [`ProvisionerError::OtherCa`].
    pub fn is_free(&self, found: &Found, ca: &Ca) -> Result<(), ProvisionerError> {
        let taken = found.keys.iter().find(|(_, [current, _])| current.is_some());
        if let Some((secret, _)) = taken {
            return Err(ProvisionerError::KeyExists(secret.clone()));
        }
        match &found.ca {
            Some((there, _)) if there.as_ref().map(any_key).as_ref() != Some(ca) => {
                Err(ProvisionerError::OtherCa(self.object()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Stores the key, then which CA it is for, with what the CA knows the key as.
    ///
    /// # Errors
    /// [`ProvisionerError::Changed`], [`ProvisionerError::NoSecret`], [`ProvisionerError::Aws`]. Where the key is stored and the CA is
    /// not, the key before signs on, if there is one; to repeat helps.
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
                Err(fault) => return Err(AwsError::of("secretsmanager:PutSecretValue", fault).into()),
            }
        }
        let provisioner = Provisioner { kid: Some(key.known_as()), ..ca.provisioner.clone() };
        let ca = Ca { provisioner, ..ca.clone() };
        let precondition = match found.ca {
            Some((Some(there), _)) if there == ca => return Ok(()),
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
            Err(fault) => Err(AwsError::of("secretsmanager:GetSecretValue", fault).into()),
        }
    }
}

/// The same, whatever its key.
fn any_key(ca: &Ca) -> Ca {
    Ca { provisioner: Provisioner { kid: None, ..ca.provisioner.clone() }, ..ca.clone() }
}

fn of(action: &'static str) -> impl Fn(Fault) -> ProvisionerError {
    move |fault| AwsError::of(action, fault).into()
}

#[cfg(test)]
mod tests {
    use ports::memory::{Failing, MemoryObjects, MemorySecrets};
    use protocol::SecretValue;

    use super::*;

    type Memory = Deployment<MemoryObjects, MemorySecrets>;

    /// A stack that was deployed, and has no provisioner yet.
    fn deployed() -> Memory {
        let secrets = MemorySecrets::default();
        ["jwk", "x5c", "x5c-intermediate"].iter().for_each(|name| secrets.create(&format!("prod/step-ca/{name}")));
        Deployment { bucket: "bucket".into(), stack: "prod".into(), objects: MemoryObjects::default(), secrets }
    }

    fn ca(kind: ProvisionerKind) -> Ca {
        Ca {
            url: "https://ca.example.com:9000".parse().unwrap(),
            fingerprint: "ab".repeat(32).parse().unwrap(),
            provisioner: Provisioner { kind, name: "countersign".parse().unwrap(), kid: None },
        }
    }

    async fn stored(deployment: &Memory, key: &NewKey) -> Result<(), ProvisionerError> {
        let found = deployment.look(key.kind()).await?;
        deployment.store(key, &ca(key.kind()), found).await
    }

    async fn value(deployment: &Memory, name: &str) -> Option<String> {
        let version = deployment.secrets.read(&format!("prod/step-ca/{name}"), VersionSelector::default()).await;
        version.ok().map(|version| match version.value {
            SecretValue::Text(text) => text.expose().clone(),
            SecretValue::Binary(_) => panic!("not text"),
        })
    }

    #[tokio::test]
    async fn the_broker_finds_what_is_stored() {
        let deployment = deployed();
        let [jwk, x5c] = [NewKey::jwk().unwrap(), NewKey::x5c(pki::KeyKind::EcdsaP256).unwrap()];
        let found = deployment.look(ProvisionerKind::Jwk).await.unwrap();
        deployment.is_free(&found, &ca(ProvisionerKind::Jwk)).unwrap();
        for (key, kind) in [(&jwk, ProvisionerKind::Jwk), (&x5c, ProvisionerKind::X5c)] {
            stored(&deployment, key).await.unwrap();
            let object = deployment.objects.peek(Ca::OBJECT).unwrap();
            let named = Ca::from_json(&object).unwrap();
            assert_eq!(any_key(&named), ca(kind));
            let secret = value(&deployment, ProvisionerKey::secret_name(kind)).await.unwrap();
            let read = ProvisionerKey::from_json(kind, &secret).unwrap();
            assert_eq!(*read.to_json().expose(), secret);
            assert_eq!(named.provisioner.kid, Some(read.known_as()));
        }
        let issuer = value(&deployment, "x5c-intermediate").await.unwrap();
        Issuer::from_json(&issuer).unwrap();
    }

    #[tokio::test]
    async fn what_is_there_is_in_the_way_of_what_is_new() {
        let deployment = deployed();
        stored(&deployment, &NewKey::jwk().unwrap()).await.unwrap();
        let there = ca(ProvisionerKind::Jwk);
        let found = deployment.look(ProvisionerKind::Jwk).await.unwrap();
        let taken = deployment.is_free(&found, &there);
        assert!(matches!(taken, Err(ProvisionerError::KeyExists(secret)) if secret == "prod/step-ca/jwk"));
        // The other type has no key, and the broker would change to it.
        let found = deployment.look(ProvisionerKind::X5c).await.unwrap();
        let taken = deployment.is_free(&found, &ca(ProvisionerKind::X5c));
        assert!(matches!(taken, Err(ProvisionerError::OtherCa(object)) if object == "s3://bucket/step-ca/ca.json"));
        // What says the same is not in the way, as after a try that was cut short; what nobody can read is.
        let cut = deployed();
        let provisioner = Provisioner { kid: Some("of a key that is gone".into()), ..there.provisioner.clone() };
        let with_key = Ca { provisioner, ..there.clone() };
        for (object, is_free) in [(there.to_json(), true), (with_key.to_json(), true), (b"{}".to_vec(), false)] {
            cut.objects.put(Ca::OBJECT, object);
            let found = cut.look(ProvisionerKind::Jwk).await.unwrap();
            assert_eq!(cut.is_free(&found, &there).is_ok(), is_free);
        }
    }

    #[tokio::test]
    async fn a_key_that_is_replaced_stays_as_the_version_before() {
        let deployment = deployed();
        let keys = [(); 3].map(|()| NewKey::jwk().unwrap());
        for key in &keys {
            stored(&deployment, key).await.unwrap();
        }
        let NewKey::Jwk(last) = &keys[2] else { panic!("another type") };
        assert_eq!(value(&deployment, "jwk").await.unwrap(), *last.to_json().expose());
        let before = VersionSelector { id: None, stage: Some(Stage::Previous.label()) };
        assert!(deployment.secrets.read("prod/step-ca/jwk", before).await.is_ok());
    }

    #[tokio::test]
    async fn of_two_operators_at_once_one_is_told() {
        let deployment = deployed();
        let [first, second] = [NewKey::jwk().unwrap(), NewKey::jwk().unwrap()];
        let ca = ca(ProvisionerKind::Jwk);
        let [seen, seen_too] =
            [deployment.look(first.kind()).await.unwrap(), deployment.look(first.kind()).await.unwrap()];
        deployment.store(&first, &ca, seen).await.unwrap();
        let late = deployment.store(&second, &ca, seen_too).await;
        assert!(matches!(late, Err(ProvisionerError::Changed(what)) if what == "the secret prod/step-ca/jwk"));
        let NewKey::Jwk(first) = &first else { panic!("another type") };
        assert_eq!(value(&deployment, "jwk").await.unwrap(), *first.to_json().expose());
        // The object alone.
        let deployment = deployed();
        let seen = deployment.look(ProvisionerKind::Jwk).await.unwrap();
        deployment.objects.put(Ca::OBJECT, b"{}".to_vec());
        let late = deployment.store(&second, &ca, seen).await;
        assert!(matches!(late, Err(ProvisionerError::Changed(what)) if what == deployment.object()));
    }

    #[tokio::test]
    async fn a_stack_that_is_not_deployed_and_missing_permission_are_told() {
        let nowhere = Memory { secrets: MemorySecrets::default(), ..deployed() };
        let missing = nowhere.look(ProvisionerKind::X5c).await;
        assert!(matches!(missing, Err(ProvisionerError::NoSecret(name)) if name == "prod/step-ca/x5c-intermediate"));
        let (deployment, key) = (deployed(), NewKey::jwk().unwrap());
        let found = deployment.look(key.kind()).await.unwrap();
        deployment.objects.switch.set(Failing::Forbidden);
        let refused = deployment.store(&key, &ca(key.kind()), found).await;
        assert!(matches!(refused, Err(ProvisionerError::Aws(AwsError::NotPermitted { action: "s3:PutObject", .. }))));
        let refused = deployment.look(key.kind()).await;
        assert!(matches!(refused, Err(ProvisionerError::Aws(AwsError::NotPermitted { action: "s3:GetObject", .. }))));
        deployment.secrets.switch.set(Failing::Unavailable);
        let refused = deployment.look(key.kind()).await;
        assert!(matches!(
            refused,
            Err(ProvisionerError::Aws(AwsError::NoAnswer { action: "secretsmanager:DescribeSecret", .. }))
        ));
    }
}
