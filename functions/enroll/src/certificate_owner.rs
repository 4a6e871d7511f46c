use pki::Certificate;
use step::{RootFingerprint, SerialNumber};

/// The longest chain, in bytes of PEM.
const MAX_CHAIN_BYTES: usize = 32 * 1024;

/// The most certificates of a chain: each is a signature to verify.
const MAX_CHAIN: usize = 8;

/// Whose certificate it is, by its chain. [`Owner::of`] alone makes one.
#[derive(Debug)]
pub(crate) struct Owner {
    name: String,
}

impl Owner {
    /// The common name of a certificate of this serial number, shown with its chain: leaf, intermediates, root, in this order. The
    /// root is the one of this fingerprint, each is signed by the next, all but the first are authorities, and the first is none: else
    /// whoever has a certificate could sign himself one of any serial number.
    ///
    /// Not checked: times, since what has ended is not worth a revocation; and whether the CA knows the serial number.
    pub(crate) fn of(pem: &str, serial: &SerialNumber, root: &RootFingerprint) -> Option<Self> {
        if pem.len() > MAX_CHAIN_BYTES {
            return None;
        }
        let chain = Certificate::chain_from_pem(pem).ok()?;
        let [leaf, authorities @ ..] = chain.as_slice() else { return None };
        let is_of_the_ca = authorities.last().is_some_and(|last| root.is_of(last.der()));
        if !is_of_the_ca || chain.len() > MAX_CHAIN || leaf.is_ca() || !authorities.iter().all(Certificate::is_ca) {
            return None;
        }
        if leaf.serial_decimal() != serial.as_str() {
            return None;
        }
        let name = leaf.common_name()?.to_owned();
        let is_signed = chain.windows(2).all(|pair| pair[0].is_signed_by(&pair[1]));
        (is_signed && chain.last().is_some_and(|root| root.is_signed_by(root))).then_some(Self { name })
    }

    /// Its common name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
