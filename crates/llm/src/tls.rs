//! TLS to upstreams.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;

/// The authorities that this machine trusts. A configuration with others, such as a private one, can be given to a client in its place; which
/// protocols are offered is the client's to say.
///
/// # Errors
///
/// The authorities cannot be read.
pub fn trusting_this_machine() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}
