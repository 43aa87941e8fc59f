//! The certificate authority of one sandbox: what its programs trust, and the certificates that it gives out.
//!
//! A launch copies the memory of the process, so the key must not be there when a sandbox is launched. Before that it lies in a file of
//! the kernel's memory, whose descriptor the copy closes first of all.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use bailiwick_model::{Host, limits};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};
use rustix::fs::{MemfdFlags, memfd_create};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zeroize::Zeroizing;

use super::tls::Application;
use crate::clock::begin;

/// How long a certificate authority is valid: longer than any sandbox lives.
const VALID_DAYS: i64 = 397;

/// Whose certificates they are. The names differ, or a host's certificate looks as if it had signed itself.
const OF_AUTHORITY: &str = "Bailiwick, for this sandbox alone";
const OF_HOST: &str = "Bailiwick, in place of a host";

/// Why there is no certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// No key could be made.
    #[error("cannot make a key for the sandbox's certificate authority")]
    Key,
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The key could not be kept.
    #[error("cannot keep the key of the sandbox's certificate authority: {0}")]
    Kept(#[from] io::Error),
    /// TLS does not take the certificate.
    #[error("cannot use a certificate: {0}")]
    Tls(#[from] rustls::Error),
}

impl From<Unspecified> for AuthorityError {
    fn from(_: Unspecified) -> Self {
        Self::Key
    }
}

/// A certificate authority whose key is not in the memory of this process.
#[derive(Debug)]
pub struct DormantAuthority {
    params: CertificateParams,
    certificate: String,
    der: CertificateDer<'static>,
    key: File,
}

impl DormantAuthority {
    /// A new one, for one sandbox.
    ///
    /// # Errors
    ///
    /// See [`AuthorityError`].
    pub fn new() -> Result<Self, AuthorityError> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())?;
        let mut params = params(OF_AUTHORITY, begin().at);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&Key::read(pkcs8.as_ref())?)?;
        let mut key =
            File::from(memfd_create("authority", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
        key.write_all(pkcs8.as_ref())?;
        Ok(Self {
            params,
            certificate: certificate.pem(),
            der: certificate.der().clone(),
            key,
        })
    }

    /// Its certificate, PEM: for what is trusted inside.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its certificate, DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// Takes the key into memory. Only after the sandbox was launched.
    ///
    /// # Errors
    ///
    /// See [`AuthorityError`].
    pub fn wake(mut self) -> Result<Authority, AuthorityError> {
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES));
        self.key.seek(SeekFrom::Start(0))?;
        (&self.key)
            .take(KEY_FILE_BYTES as u64)
            .read_to_end(&mut pkcs8)?;
        self.key.set_len(0)?;
        let leaf =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())?;
        let private = PrivatePkcs8KeyDer::from(leaf.as_ref().to_vec());
        Ok(Authority {
            issuer: Issuer::new(self.params, Key::read(&pkcs8)?),
            certificate: self.der,
            leaf: Key::read(leaf.as_ref())?,
            signing: any_ecdsa_type(&PrivateKeyDer::Pkcs8(private))?,
            given: Mutex::default(),
        })
    }
}

/// Larger than a P-256 key in PKCS #8 is.
const KEY_FILE_BYTES: usize = 512;

/// The certificate authority of one sandbox.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    certificate: CertificateDer<'static>,
    /// One key for all certificates: making one takes longer than signing.
    leaf: Key,
    signing: Arc<dyn rustls::sign::SigningKey>,
    given: Mutex<HashMap<(Host, Application), Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

impl Authority {
    /// How to answer a client that means `host` and speaks `application`.
    pub(super) fn server_config(
        &self,
        host: &Host,
        application: Application,
    ) -> Result<Arc<ServerConfig>, AuthorityError> {
        let key = (host.clone(), application);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = given.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.certify(host, application)?);
        if given.len() >= limits::CERTIFICATES_KEPT {
            given.clear();
        }
        given.insert(key, Arc::clone(&config));
        Ok(config)
    }

    fn certify(
        &self,
        host: &Host,
        application: Application,
    ) -> Result<ServerConfig, AuthorityError> {
        let mut params = params(OF_HOST, begin().at);
        params.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            Host::Address(address) => SanType::IpAddress(*address),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&self.leaf, &self.issuer)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let certified = CertifiedKey::new(chain, Arc::clone(&self.signing));
        let mut config = ServerConfig::builder_with_provider(super::tls::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = application.offered();
        // One is what a client uses; each costs a write.
        config.send_tls13_tickets = 1;
        Ok(config)
    }
}

/// What every certificate has: a name that says whose it is, and a validity of whole days.
fn params(name: &str, now: Timestamp) -> CertificateParams {
    let day = |days: i64| {
        let date = now.to_zoned(TimeZone::UTC).date();
        let date = date.saturating_add(days.days());
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    let mut params = CertificateParams::default();
    params.not_before = day(-1);
    params.not_after = day(VALID_DAYS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A key that wipes itself.
struct Key(EcdsaKeyPair);

impl Key {
    fn read(pkcs8: &[u8]) -> Result<Self, AuthorityError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map(Self)
            .map_err(|_| AuthorityError::Key)
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature
            .map_err(|_| rcgen::Error::RemoteKeyError)?
            .as_ref()
            .to_vec())
    }
}
