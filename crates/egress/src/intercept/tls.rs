//! TLS on both sides of an intercepted connection.

use std::sync::{Arc, OnceLock};

use bailiwick_model::Host;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;

/// The protocol that both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Application {
    /// HTTP/1.1, whether it was named or nothing was.
    Http1 {
        /// Whether the client named it.
        named: bool,
    },
    /// HTTP/2.
    Http2,
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

impl Application {
    /// What is offered to a client, which asked for it.
    pub(super) fn offered(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 { named: true } => vec![HTTP1.to_vec()],
            Self::Http1 { named: false } => Vec::new(),
            Self::Http2 => vec![HTTP2.to_vec()],
        }
    }
}

/// What of the protocols that a client names can be offered to the server in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    http1: bool,
    http2: bool,
}

impl Wanted {
    /// `None` if the client names protocols, and HTTP is none of them.
    pub(super) fn of<'a>(named: Option<impl Iterator<Item = &'a [u8]>>) -> Option<Self> {
        let Some(named) = named else {
            return Some(Self {
                http1: false,
                http2: false,
            });
        };
        let mut wanted = Self {
            http1: false,
            http2: false,
        };
        for protocol in named {
            wanted.http1 |= protocol == HTTP1;
            wanted.http2 |= protocol == HTTP2;
        }
        (wanted.http1 || wanted.http2).then_some(wanted)
    }

    fn offered(self) -> Vec<Vec<u8>> {
        let http2 = self.http2.then(|| HTTP2.to_vec());
        let http1 = self.http1.then(|| HTTP1.to_vec());
        http2.into_iter().chain(http1).collect()
    }

    /// What is spoken, once the server chose. A client that can only HTTP/2 is not served another protocol.
    pub(super) fn settled(self, chosen: Option<&[u8]>) -> Option<Application> {
        match chosen {
            Some(protocol) if protocol == HTTP2 && self.http2 => Some(Application::Http2),
            Some(protocol) if protocol == HTTP1 && self.http1 => {
                Some(Application::Http1 { named: true })
            }
            None if self.http1 || !self.http2 => Some(Application::Http1 { named: self.http1 }),
            Some(_) | None => None,
        }
    }
}

/// The one implementation of cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// How servers are verified, for every sandbox of a process: by what this machine trusts, and what the operator adds.
#[derive(Debug, Default)]
pub(crate) struct UpstreamTls {
    added: Vec<CertificateDer<'static>>,
    /// Reading what the machine trusts takes milliseconds, so it waits for the first use.
    config: OnceLock<Result<ClientConfig, rustls::Error>>,
}

impl UpstreamTls {
    pub(crate) fn trusting(added: Vec<CertificateDer<'static>>) -> Self {
        Self {
            added,
            config: OnceLock::new(),
        }
    }

    /// How to speak to a server.
    pub(super) fn config(&self, wanted: Wanted) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config = self.config.get_or_init(|| {
            let verifier = Verifier::new_with_extra_roots(self.added.iter().cloned(), provider())?;
            let config = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            Ok(config)
        });
        let mut config = config.clone()?;
        config.alpn_protocols = wanted.offered();
        Ok(Arc::new(config))
    }
}

/// Whom the server's certificate must be for.
pub(super) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).ok(),
        Host::Address(address) => Some(ServerName::IpAddress((*address).into())),
    }
}
