//! Hashes of managers, as CycloneDX writes them.

use serde::Serialize;

use crate::sha256;

/// A hash with its algorithm, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Hash {
    alg: &'static str,
    content: String,
}

impl Hash {
    /// Of `sha256:` with hexadecimal digits or `sha512-` with base64 (SRI); `None` of what is no hash of one file (`h1:` of Go).
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("sha256:") {
            let is_whole = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            return is_whole.then(|| Self {
                alg: "SHA-256",
                content: digits.to_ascii_lowercase(),
            });
        }
        let (name, base64) = text.split_once('-')?;
        let (alg, length) = match name {
            "sha1" => ("SHA-1", 20),
            "sha256" => ("SHA-256", 32),
            "sha384" => ("SHA-384", 48),
            "sha512" => ("SHA-512", 64),
            _ => return None,
        };
        let bytes = decode(base64)?;
        (bytes.len() == length).then(|| Self {
            alg,
            content: sha256::digits(&bytes),
        })
    }
}

/// Base64 (RFC 4648 section 4).
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_files_are_hexadecimal_and_others_are_none() {
        let read = |text: &str| Hash::parse(text).map(|hash| (hash.alg, hash.content));
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = Some(("SHA-256", of_nothing.to_owned()));
        assert_eq!(read(&format!("sha256:{of_nothing}")), expected);
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(read(sri), expected);
        for none in [
            "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha512-AAAA",
            "md5-00",
            "",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
