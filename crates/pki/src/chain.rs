use crate::Certificate;

/// Whether these are a chain from a leaf, or from an intermediate, to a root: each is signed by the next one, an authority that may have
/// as many others below it, and the last by itself.
///
/// Not checked: times, name constraints, and whether the root is one that is trusted.
#[must_use]
pub fn is_chain(certificates: &[Certificate]) -> bool {
    let Some(root) = certificates.last() else { return false };
    let follows = |below: usize, pair: &[Certificate]| {
        let [certificate, issuer] = pair else { return false };
        // What is below an issuer, without the first of the chain.
        let may_have = issuer.path_length().is_none_or(|length| below <= usize::from(length));
        issuer.is_ca() && may_have && certificate.is_signed_by(issuer)
    };
    root.is_ca() && root.is_signed_by(root) && certificates.windows(2).enumerate().all(|(at, pair)| follows(at, pair))
}
