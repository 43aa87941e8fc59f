//! Whose certificates are taken.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

/// Why there are no settings.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotTrusted {
    /// What was given is no list of certificates.
    #[error("the certificates that are to be trusted cannot be read")]
    Certificates(#[source] Arc<rustls::pki_types::pem::Error>),
    /// The authorities that this machine trusts, or the ones beside them.
    #[error("the authorities that this machine trusts cannot be used")]
    Authorities(#[from] rustls::Error),
}

/// Settings by which the authorities that this machine trusts are trusted, and those in `added` (PEM). Which protocols are offered is not said here.
///
/// # Errors
///
/// See [`NotTrusted`].
pub fn trusting(added: Option<&str>) -> Result<Arc<ClientConfig>, NotTrusted> {
    let added = added.unwrap_or_default().as_bytes();
    let added = CertificateDer::pem_slice_iter(added).collect::<Result<Vec<_>, _>>();
    let added = added.map_err(|error| NotTrusted::Certificates(Arc::new(error)))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(added, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
