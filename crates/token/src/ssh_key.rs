use aws_lc_rs::{
    digest::{SHA256, digest},
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaVerificationAlgorithm,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    },
};
use ssh_encoding::{Decode as _, Reader as _};
use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, Mpint,
    public::{EcdsaPublicKey, KeyData, RsaPublicKey},
};

use crate::Fingerprint;

/// The lengths of RSA keys that are accepted, in bytes of the modulus: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Bits of the flags that a security key signs (Web Authentication section 6.1).
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 4;

/// An ssh public key of a kind that can sign for a token: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ecdsa-sha2-nistp384`, `ssh-rsa` of
/// 2048 to 8192 bits, and the hardware-backed `sk-ssh-ed25519@openssh.com` and `sk-ecdsa-sha2-nistp256@openssh.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    key: ssh_key::PublicKey,
    fingerprint: Fingerprint,
}

/// A text or a blob that is no key of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSshKey {
    /// It is no public key in OpenSSH's form.
    #[error("not an ssh public key")]
    Form,
    /// A certificate, DSA, P-521, RSA of another length, or what this program has never heard of.
    #[error("an ssh key of a kind that is not accepted here")]
    Kind,
}

/// What a security key says of its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// It was touched.
    pub user_present: bool,
    /// It was given a PIN, or a finger that it knows.
    pub user_verified: bool,
    /// How often it has signed. Not compared with earlier ones, as OpenSSH does not either.
    pub counter: u32,
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefusal {
    /// It is not a signature in the form of RFC 4253 section 6.6.
    #[error("not an ssh signature")]
    Malformed,
    /// It is of `ssh-rsa`: RSA with SHA-1.
    #[error("RSA with SHA-1")]
    Sha1,
    /// It is of another algorithm than the key's.
    #[error("a signature of another algorithm than the key's")]
    WrongAlgorithm,
    /// The key did not sign this.
    #[error("the signature does not hold")]
    WrongSignature,
}

impl SshKey {
    /// Reads `TYPE BASE64 [COMMENT]`.
    ///
    /// # Errors
    /// [`InvalidSshKey`].
    pub fn from_openssh(text: &str) -> Result<Self, InvalidSshKey> {
        Self::new(ssh_key::PublicKey::from_openssh(text).map_err(|_| InvalidSshKey::Form)?)
    }

    /// Reads a public key blob (RFC 4253 section 6.6), as agents give it.
    ///
    /// # Errors
    /// [`InvalidSshKey`].
    pub fn from_blob(blob: &[u8], comment: &str) -> Result<Self, InvalidSshKey> {
        let mut key = ssh_key::PublicKey::from_bytes(blob).map_err(|_| InvalidSshKey::Form)?;
        key.set_comment(comment);
        Self::new(key)
    }

    fn new(key: ssh_key::PublicKey) -> Result<Self, InvalidSshKey> {
        let data = key.key_data();
        let is_curve = |curve| matches!(curve, EcdsaCurve::NistP256 | EcdsaCurve::NistP384);
        let is_length = |key: &RsaPublicKey| key.n.as_positive_bytes().is_some_and(|n| RSA_BYTES.contains(&n.len()));
        let accepted = data.is_ed25519()
            || data.is_sk_ed25519()
            || data.is_sk_ecdsa_p256()
            || data.ecdsa().is_some_and(|key| is_curve(key.curve()))
            || data.rsa().is_some_and(is_length);
        if !accepted {
            return Err(InvalidSshKey::Kind);
        }
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(Self { fingerprint: fingerprint.parse().map_err(|_| InvalidSshKey::Form)?, key })
    }

    /// Its fingerprint.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The key's type, as it stands in `authorized_keys`.
    #[must_use]
    pub fn algorithm(&self) -> String {
        self.key.algorithm().to_string()
    }

    /// Its comment, which its owner chose.
    #[must_use]
    pub fn comment(&self) -> &str {
        self.key.comment()
    }

    /// Whether the private key is in a security key, which says of its user what [`Presence`] holds.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        self.application().is_some()
    }

    /// Verifies a signature blob (RFC 4253 section 6.6; RFC 5656, RFC 8332, RFC 8709; OpenSSH's PROTOCOL.u2f), with what a
    /// security key said of its user. Not checked: whether that suffices.
    ///
    /// # Errors
    /// [`SignatureRefusal`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<Presence, SignatureRefusal> {
        let mut reader = signature;
        let algorithm = Algorithm::decode(&mut reader).map_err(|_| SignatureRefusal::Malformed)?;
        let bytes = Vec::<u8>::decode(&mut reader).map_err(|_| SignatureRefusal::Malformed)?;
        // RSA's name says nothing of SHA-1.
        if algorithm == (Algorithm::Rsa { hash: None }) {
            return Err(SignatureRefusal::Sha1);
        }
        let (presence, message) = match self.application() {
            None => (Presence::default(), message.to_vec()),
            Some(application) => {
                let (flags, counter) = read_trailer(&mut reader)?;
                let [application, message] = [application.as_bytes(), message].map(|bytes| digest(&SHA256, bytes));
                let signed = [application.as_ref(), &[flags], &counter.to_be_bytes(), message.as_ref()].concat();
                let [user_present, user_verified] = [USER_PRESENT, USER_VERIFIED].map(|bit| flags & bit != 0);
                (Presence { user_present, user_verified, counter }, signed)
            }
        };
        if !reader.is_finished() {
            return Err(SignatureRefusal::Malformed);
        }
        let holds = match (self.key.key_data(), algorithm) {
            (KeyData::Ed25519(key), Algorithm::Ed25519) => ed25519(&key.0, &message, &bytes),
            (KeyData::SkEd25519(key), Algorithm::SkEd25519) => ed25519(&key.public_key().0, &message, &bytes),
            (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == curve => ecdsa(key, &message, &bytes)?,
            (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
                ecdsa(&EcdsaPublicKey::NistP256(*key.ec_point()), &message, &bytes)?
            }
            (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => rsa(key, hash, &message, &bytes),
            _ => return Err(SignatureRefusal::WrongAlgorithm),
        };
        if holds { Ok(presence) } else { Err(SignatureRefusal::WrongSignature) }
    }

    /// What a security key's signatures are bound to, `ssh:` as a rule.
    fn application(&self) -> Option<&str> {
        let data = self.key.key_data();
        let ed25519 = data.sk_ed25519().map(|key| key.application());
        ed25519.or_else(|| Some(data.sk_ecdsa_p256()?.application()))
    }
}

/// Flags and counter (PROTOCOL.u2f, "SSH U2F Signatures").
fn read_trailer(reader: &mut &[u8]) -> Result<(u8, u32), SignatureRefusal> {
    let flags = u8::decode(reader).map_err(|_| SignatureRefusal::Malformed)?;
    let counter = u32::decode(reader).map_err(|_| SignatureRefusal::Malformed)?;
    Ok((flags, counter))
}

fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// RFC 5656 section 3.1.2: r and s as multiple precision integers.
fn ecdsa(key: &EcdsaPublicKey, message: &[u8], signature: &[u8]) -> Result<bool, SignatureRefusal> {
    let (algorithm, size): (&EcdsaVerificationAlgorithm, usize) = match key.curve() {
        EcdsaCurve::NistP256 => (&ECDSA_P256_SHA256_FIXED, 32),
        EcdsaCurve::NistP384 => (&ECDSA_P384_SHA384_FIXED, 48),
        EcdsaCurve::NistP521 => return Err(SignatureRefusal::WrongAlgorithm),
    };
    let mut reader = signature;
    let mut fixed = Vec::with_capacity(2 * size);
    for _ in 0..2 {
        let number = Mpint::decode(&mut reader).map_err(|_| SignatureRefusal::Malformed)?;
        let number = number.as_positive_bytes().filter(|number| number.len() <= size);
        let number = number.ok_or(SignatureRefusal::Malformed)?;
        fixed.resize(fixed.len() + size - number.len(), 0);
        fixed.extend_from_slice(number);
    }
    if !reader.is_finished() {
        return Err(SignatureRefusal::Malformed);
    }
    Ok(UnparsedPublicKey::new(algorithm, key.as_sec1_bytes()).verify(message, &fixed).is_ok())
}

/// RFC 8332 section 3. Some agents leave out leading zeros, and OpenSSH takes it.
fn rsa(key: &RsaPublicKey, hash: HashAlg, message: &[u8], signature: &[u8]) -> bool {
    let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else { return false };
    let algorithm = match hash {
        HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => return false,
    };
    let Some(missing) = n.len().checked_sub(signature.len()) else { return false };
    let signature = [&vec![0; missing][..], signature].concat();
    PublicKeyComponents { n, e }.verify(algorithm, message, &signature).is_ok()
}
