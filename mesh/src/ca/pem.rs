//! Cutting PEM text (RFC 7468) into its blocks without touching their bytes.

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::roots::StoreError;

/// One block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// What it holds, for example `CERTIFICATE`.
    pub(super) label: &'a str,
    /// From `-----BEGIN` to the end of the `-----END` line, without the line break.
    pub(super) text: &'a str,
}

/// All blocks, in order. Text between them is ignored, as RFC 7468 section 2 says.
///
/// # Errors
/// [`StoreError::Pem`] if a block does not end.
pub(super) fn blocks(mut text: &str) -> Result<Vec<Block<'_>>, StoreError> {
    const BEGIN: &str = "-----BEGIN ";
    let mut found = Vec::new();
    while let Some(start) = text.find(BEGIN) {
        text = &text[start..];
        let (label, _) = text[BEGIN.len()..].split_once("-----").ok_or(StoreError::Pem)?;
        let end = format!("-----END {label}-----");
        let end = text.find(&end).ok_or(StoreError::Pem)? + end.len();
        found.push(Block { label, text: &text[..end] });
        text = &text[end..];
    }
    Ok(found)
}

/// Decodes the first certificate of a PEM text.
///
/// # Errors
/// [`StoreError::Pem`] if there is none, or its base64 is broken.
pub(super) fn certificate(text: &str) -> Result<CertificateDer<'static>, StoreError> {
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| StoreError::Pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_bytes() {
        let text = "note\n-----BEGIN A-----\nxy==\n-----END A-----\r\nmore\n-----BEGIN B C-----\n-----END B C-----";
        let found = blocks(text).unwrap();
        assert_eq!(found.iter().map(|block| block.label).collect::<Vec<_>>(), ["A", "B C"]);
        assert_eq!(found[0].text, "-----BEGIN A-----\nxy==\n-----END A-----");
        assert!(blocks("-----BEGIN A-----\nxy==\n-----END B-----").is_err());
        assert!(blocks("-----BEGIN A").is_err());
        assert!(blocks("nothing").unwrap().is_empty());
    }
}
