use pki::{Certificate, is_chain};
use step::{RootFingerprint, SerialNumber};

/// Whose certificate it is, by its chain. [`Owner::of`] alone makes one.
#[derive(Debug)]
pub(crate) struct Owner {
    name: String,
}

impl Owner {
    /// The common name of a certificate of this serial number, shown with its chain: leaf, intermediates, root, in this order. The
    /// root is the one of this fingerprint, each is signed by the next, and all but the first are authorities: else whoever has a
    /// certificate could sign himself one of any serial number.
    ///
    /// Not checked: times, since a certificate that has ended is none that is worth protecting; and whether the CA knows the serial
    /// number.
    pub(crate) fn of(pem: &str, serial: &SerialNumber, root: &RootFingerprint) -> Option<Self> {
        let chain = Certificate::chain_from_pem(pem).ok()?;
        let [leaf, authorities @ ..] = chain.as_slice() else { return None };
        let is_it = !leaf.is_ca()
            && leaf.serial_decimal() == serial.as_str()
            && authorities.last().is_some_and(|last| root.is_of(last.der()));
        // Last, since signatures take time.
        (is_it && is_chain(&chain)).then_some(())?;
        Some(Self { name: leaf.common_name()?.to_owned() })
    }

    /// Its common name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
