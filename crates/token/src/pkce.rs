//! Proof Key for Code Exchange (RFC 7636), method S256 alone.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use protocol::{Random, Secret};

use crate::base64url;

/// What a client keeps to itself until it comes for its token: 43 to 128 unreserved characters (RFC 7636 section 4.1).
#[derive(Clone, Debug)]
pub struct CodeVerifier(Secret<String>);

/// The SHA-256 of a verifier in base64url without padding (RFC 7636 section 4.2): 43 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeVerifier {
    /// A new verifier: 32 random bytes in base64url.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        Self(Secret::new(base64url::encode(Secret::new(bytes).expose())))
    }

    /// Reads a verifier; `None` where its length or alphabet is not the RFC's.
    #[must_use]
    pub fn parse(text: Secret<String>) -> Option<Self> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let valid = (43..=128).contains(&text.expose().len()) && text.expose().bytes().all(unreserved);
        valid.then_some(Self(text))
    }

    /// The challenge that it answers.
    #[must_use]
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(base64url::encode(digest(&SHA256, self.0.expose().as_bytes())))
    }

    /// Lends the verifier. Secret until the token is fetched.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl CodeChallenge {
    /// Reads a challenge; `None` where it is not a SHA-256 in base64url without padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digest = protocol::compact::decode(text)?;
        (digest.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The challenge as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this verifier answers it, in constant time.
    #[must_use]
    pub fn is_answered_by(&self, verifier: &CodeVerifier) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), verifier.challenge().0.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use protocol::SystemRandom;

    use super::*;

    fn verifier(text: &str) -> Option<CodeVerifier> {
        CodeVerifier::parse(Secret::new(text.to_owned()))
    }

    #[test]
    fn the_example_of_the_rfc_holds() {
        // RFC 7636 appendix B.
        let verifier = verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let challenge = CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.is_answered_by(&verifier));
        assert!(!challenge.is_answered_by(&CodeVerifier::generate(&SystemRandom)));
    }

    #[test]
    fn what_is_no_verifier_or_challenge_is_refused() {
        assert!(verifier(&"~".repeat(128)).is_some());
        for bad in ["", &"a".repeat(42), &"a".repeat(129), &format!("{} ", "a".repeat(43)), &"ä".repeat(30)] {
            assert!(verifier(bad).is_none(), "{bad}");
        }
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        for bad in ["", &challenge[1..], &format!("{challenge}="), &challenge.replace('-', "+"), "dBjftJeZ4CVP"] {
            assert!(CodeChallenge::parse(bad).is_none(), "{bad}");
        }
    }
}
