use pem_rfc7468::{Decoder, LineEnding};
use protocol::Secret;

use crate::{MAX_PEM_BYTES, PkiError};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One PEM block (RFC 7468), not decoded yet.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    text: &'a str,
}

impl Block<'_> {
    /// Whether the block has the headers of RFC 1421 that say that OpenSSL encrypted it.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.text.contains("Proc-Type:") && self.text.contains("ENCRYPTED")
    }

    /// What is in it, which may be a private key.
    pub(crate) fn decode(&self) -> Result<Secret<Vec<u8>>, PkiError> {
        let mut decoder = Decoder::new_detect_wrap(self.text.as_bytes()).map_err(|_| PkiError::MalformedPem)?;
        // Of its final size at once: a vector that grows would leave copies behind.
        let mut der = vec![0; decoder.remaining_len()];
        let decoded = decoder.decode(&mut der).map(|_| ());
        let der = Secret::new(der);
        decoded.map_err(|_| PkiError::MalformedPem)?;
        Ok(der)
    }
}

/// Splits a text of at most `limit` bytes into its PEM blocks, between which there is white space alone.
pub(crate) fn blocks(text: &str, limit: usize) -> Result<Vec<Block<'_>>, PkiError> {
    if text.len() > limit {
        return Err(PkiError::Oversized);
    }
    let mut blocks = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let (label, _) =
            rest.strip_prefix(BEGIN).and_then(|rest| rest.split_once(DASHES)).ok_or(PkiError::MalformedPem)?;
        let end = format!("{END}{label}{DASHES}");
        let length = rest.find(&end).ok_or(PkiError::MalformedPem)? + end.len();
        let (text, others) = rest.split_at(length);
        blocks.push(Block { label, text });
        rest = others.trim_ascii_start();
    }
    Ok(blocks)
}

/// Decodes a text that is one block under this label and nothing else.
pub(crate) fn single(text: &str, label: &str) -> Result<Vec<u8>, PkiError> {
    match blocks(text, MAX_PEM_BYTES)?.as_slice() {
        [block] if block.label == label => Ok(block.decode()?.take()),
        [_] => Err(PkiError::WrongLabel),
        [] => Err(PkiError::MalformedPem),
        _ => Err(PkiError::SeveralBlocks),
    }
}

/// Writes a block.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, LineEnding::LF, der).expect("a label of capital letters and a few kilobytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "CERTIFICATE";

    #[test]
    fn one_block_reads_whatever_its_lines_end_with() {
        let pem = encode(LABEL, &[7; 100]);
        let one_line = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", "BwcH".repeat(30));
        for (good, length) in
            [(pem.clone(), 100), (pem.replace('\n', "\r\n"), 100), (format!("\n {pem}\n\n"), 100), (one_line, 90)]
        {
            assert_eq!(single(&good, LABEL), Ok(vec![7; length]), "{good}");
        }
    }

    #[test]
    fn what_is_not_one_block_alone_is_refused() {
        let pem = encode(LABEL, &[7; 100]);
        let cases = [
            ("empty", String::new(), PkiError::MalformedPem),
            ("text before", format!("text\n{pem}"), PkiError::MalformedPem),
            ("text after", format!("{pem}text"), PkiError::MalformedPem),
            ("two blocks", format!("{pem}{pem}"), PkiError::SeveralBlocks),
            ("another label", encode("X509 CRL", &[7]), PkiError::WrongLabel),
            ("no end", pem.replace("-----END", "----END"), PkiError::MalformedPem),
            ("another end", pem.replace("END CERT", "END CART"), PkiError::MalformedPem),
            ("a wrong character", pem.replacen("Bw", "B*", 1), PkiError::MalformedPem),
            ("a header", pem.replacen("-\n", "-\nComment: text\n\n", 1), PkiError::MalformedPem),
            ("too large", encode(LABEL, &[7; MAX_PEM_BYTES]), PkiError::Oversized),
        ];
        for (name, bad, error) in cases {
            assert_eq!(single(&bad, LABEL), Err(error), "{name}");
        }
    }
}
