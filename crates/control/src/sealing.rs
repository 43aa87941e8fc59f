//! Sealing: how secrets are kept (AES-256-GCM, NIST SP 800-38D, a random nonce for each).
//!
//! What is sealed says with which key, and opens only in its place: the place is the additional data that the tag covers, so what is stored
//! for one credential cannot be put in the place of another's.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bailiwick_model::limits::SEALING_KEYS;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::fresh;
use crate::signed_head::HeadKey;

/// Of a key.
const KEY_BYTES: usize = 32;
/// Of a key's digest that its id shows.
const ID_BYTES: usize = 8;
/// What the first byte of a sealed value says how to read the rest.
const FORM: u8 = 1;
/// A key's id is an HMAC of this with the key.
const ID_LABEL: &[u8] = b"bailiwick sealing key";

/// The seed of the key pair that signs heads of audit logs is an HMAC of this with the key.
const SIGNING_LABEL: &[u8] = b"bailiwick audit log head signing key";

/// The keys that secrets are sealed with: new ones with the first, the others open what was sealed before.
///
/// A key's bytes are wiped when it is dropped (the cipher's own copy by AWS-LC, which wipes whatever it frees) and never printed.
pub struct SealingKeys {
    current: SealingKey,
    older: Vec<SealingKey>,
}

struct SealingKey {
    id: String,
    cipher: RandomizedNonceKey,
    /// Derived from the key.
    signer: Ed25519KeyPair,
}

/// Why a text is not a list of keys. None of it holds a part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingKeysError {
    /// No key.
    #[error("there is no key: one key a line is wanted, 32 bytes in hexadecimal or base64")]
    Empty,
    /// Something else than a key.
    #[error("line {line} is not a key: 32 bytes in hexadecimal or base64 are wanted")]
    NotAKey {
        /// Counted from 1.
        line: usize,
    },
    /// A key that is there already.
    #[error("line {line} is the same key as one before it")]
    Twice {
        /// Counted from 1.
        line: usize,
    },
    /// More than anybody needs.
    #[error(
        "there are more than {SEALING_KEYS} keys: seal everything anew with the first, and remove the others"
    )]
    TooMany,
}

/// Why something cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It is sealed with a key that is not among these.
    #[error("it is sealed with the key {key}, which was not given")]
    UnknownKey {
        /// The key's id.
        key: String,
    },
    /// It is not what was sealed, or not in its place.
    #[error("it was changed since it was sealed, or belongs to something else")]
    NotAuthentic,
}

/// Something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The id of the key that it is sealed with.
    pub key: String,
    /// How to read the rest (1), nonce, ciphertext, tag.
    pub bytes: Vec<u8>,
}

impl SealingKeys {
    /// One new key, of random bytes, and the text that it can be read from again.
    pub fn generate() -> (Self, Zeroizing<String>) {
        let bytes = Zeroizing::new(fresh::random::<KEY_BYTES>());
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in bytes.iter() {
            text.push(hex_digit(byte >> 4));
            text.push(hex_digit(byte & 15));
        }
        let keys = Self {
            current: SealingKey::new(&bytes),
            older: Vec::new(),
        };
        (keys, text)
    }

    /// The id of the key that new secrets are sealed with. It says nothing of the key.
    pub fn current(&self) -> &str {
        &self.current.id
    }

    /// Signs with the key pair that is derived from the current key: the public key, and the signature.
    pub(crate) fn sign(&self, message: &[u8]) -> (HeadKey, Vec<u8>) {
        let signer = &self.current.signer;
        let mut public = [0; 32];
        public.copy_from_slice(signer.public_key().as_ref());
        (
            HeadKey::from(public),
            signer.sign(message).as_ref().to_vec(),
        )
    }

    /// Whether what is sealed with the key of this id can be opened.
    pub fn know(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// Seals a secret with the current key. It opens only with the same `place`.
    pub fn seal(&self, place: &[&str], secret: &[u8]) -> Sealed {
        // Room for the tag: growing would leave a copy of the secret behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(secret);
        let nonce = self
            .current
            .cipher
            .seal_in_place_append_tag(Aad::from(bound_to(place)), &mut *sealed)
            .expect("AES-GCM seals what is far below 64 GiB");
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(nonce.as_ref());
        bytes.extend_from_slice(&sealed);
        Sealed {
            key: self.current.id.clone(),
            bytes,
        }
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    ///
    /// See [`UnsealError`].
    pub fn unseal(
        &self,
        place: &[&str],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let key = self
            .find(&sealed.key)
            .ok_or_else(|| UnsealError::UnknownKey {
                key: sealed.key.clone(),
            })?;
        let Some((&FORM, rest)) = sealed.bytes.split_first() else {
            return Err(UnsealError::NotAuthentic);
        };
        let (nonce, ciphertext) = rest
            .split_at_checked(NONCE_LEN)
            .ok_or(UnsealError::NotAuthentic)?;
        let nonce =
            Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::NotAuthentic)?;
        let mut opened = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .cipher
            .open_in_place(nonce, Aad::from(bound_to(place)), &mut opened)
            .map_err(|_| UnsealError::NotAuthentic)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn find(&self, id: &str) -> Option<&SealingKey> {
        let mut all = std::iter::once(&self.current).chain(&self.older);
        all.find(|key| key.id == id)
    }
}

impl SealingKey {
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), ID_LABEL);
        let digits = tag.as_ref()[..ID_BYTES]
            .iter()
            .flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)]);
        let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), SIGNING_LABEL);
        Self {
            id: digits.collect(),
            signer: Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
                .expect("32 bytes are a seed of Ed25519"),
            cipher: RandomizedNonceKey::new(&AES_256_GCM, bytes)
                .expect("32 bytes are a key of AES-256"),
        }
    }
}

/// A place as bytes: every part with its length, so that no two places are written alike.
fn bound_to(place: &[&str]) -> Vec<u8> {
    let mut bytes = vec![FORM];
    for part in place {
        let length = u32::try_from(part.len()).expect("parts of a place are ids and names");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble)])
}

/// One key, in hexadecimal or in base64 of either alphabet (RFC 4648).
fn key_of(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let bytes = Zeroizing::new(if text.len() == 2 * KEY_BYTES {
        let nibble = |digit: char| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let digits = text.chars().map(nibble).collect::<Option<Vec<_>>>()?;
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    } else {
        let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
        engines.iter().find_map(|engine| engine.decode(text).ok())?
    });
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != KEY_BYTES {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

/// One key a line, the current one first; empty lines and those that begin with `#` are passed over, and commas end a key too.
impl FromStr for SealingKeys {
    type Err = SealingKeysError;

    fn from_str(text: &str) -> Result<Self, SealingKeysError> {
        let mut keys: Vec<SealingKey> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim_start().starts_with('#') {
                continue;
            }
            for text in text
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty())
            {
                let bytes = key_of(text).ok_or(SealingKeysError::NotAKey { line })?;
                let key = SealingKey::new(&bytes);
                if keys.iter().any(|known| known.id == key.id) {
                    return Err(SealingKeysError::Twice { line });
                }
                if keys.len() == SEALING_KEYS {
                    return Err(SealingKeysError::TooMany);
                }
                keys.push(key);
            }
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(SealingKeysError::Empty)?;
        Ok(Self {
            current,
            older: keys.collect(),
        })
    }
}

/// The ids of the keys alone.
impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let older: Vec<_> = self.older.iter().map(|key| &key.id).collect();
        f.debug_struct("SealingKeys")
            .field("current", &self.current.id)
            .field("older", &older)
            .finish()
    }
}

#[cfg(test)]
mod tests;
