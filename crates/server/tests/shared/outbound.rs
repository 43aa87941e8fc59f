//! The way to a test's own servers, as a server of Bailiwick's has it: one name is pinned to loopback, one authority is trusted.

use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_mcp::Outbound;
use bailiwick_policy::{HostFacts, Pins};
use bailiwick_testkit::Authority;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// With this pin (`NAME=ADDR:PORT`) and this authority.
pub(crate) fn outbound(authority: &Authority, pin: &str) -> Outbound {
    let loopback = "127.0.0.1".parse().unwrap();
    let facts = HostFacts {
        addresses: vec![loopback, "::1".parse().unwrap()],
        listeners: Vec::new(),
    };
    let (_, host) = tokio::sync::watch::channel(Arc::new(facts));
    let dialer = Dialer::new(DialOptions {
        pins: [pin.parse().unwrap()].into_iter().collect::<Pins>(),
        ..DialOptions::new(host)
    });
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority.certificate()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Outbound::new(Arc::new(dialer), Arc::new(tls))
}
