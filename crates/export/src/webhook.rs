//! Webhooks: a POST for each delivery, signed as Standard Webhooks are (`webhook-id`, `webhook-timestamp`, `webhook-signature`), so that a
//! receiver knows who sent it and that it is not an old one that somebody kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use bailiwick_dial::Dialer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::destination::Webhook;
use crate::{Delivery, ExportError, tls};

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, by the specification of Standard Webhooks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What deliveries are signed with; it is never printed.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

/// A text that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of a webhook is `whsec_` and 24 to 64 bytes in base64")]
pub struct NotAWebhookSecret;

impl FromStr for WebhookSecret {
    type Err = NotAWebhookSecret;

    fn from_str(text: &str) -> Result<Self, NotAWebhookSecret> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(NotAWebhookSecret)?;
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| NotAWebhookSecret)?);
        if SECRET_BYTES.contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(NotAWebhookSecret)
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whsec_…")
    }
}

impl WebhookSecret {
    /// `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let message = format!("{id}.{timestamp}.{body}");
        let tag = hmac::sign(&key, message.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// A receiver of POST requests.
pub(crate) struct Posts {
    webhook: Webhook,
    dialer: Arc<Dialer>,
    secret: WebhookSecret,
    tls: Arc<ClientConfig>,
}

impl Posts {
    pub(crate) fn new(
        webhook: Webhook,
        dialer: Arc<Dialer>,
        secret: WebhookSecret,
    ) -> Result<Self, ExportError> {
        Ok(Self {
            webhook,
            dialer,
            secret,
            tls: tls::config().map_err(Arc::new)?,
        })
    }

    /// Returns once the receiver said that it has them. A redirection is no such word, and is not followed.
    pub(crate) async fn post(&self, delivery: &Delivery) -> Result<(), ExportError> {
        let request = self.request(delivery);
        let stream = self.dialer.dial_for_operator(&self.webhook.address).await?;
        let url = &self.webhook.url;
        let status = if url.scheme() == "https" {
            let name = url.host_str().unwrap_or_default();
            let name = name
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            let name = ServerName::try_from(name)
                .map_err(|error| ExportError::Connection(std::io::Error::other(error)))?;
            let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
            send(connecting.await.map_err(ExportError::Connection)?, request).await?
        } else {
            send(stream, request).await?
        };
        if status.is_success() {
            Ok(())
        } else {
            Err(ExportError::Status(status.as_u16()))
        }
    }

    fn request(&self, delivery: &Delivery) -> Request<Full<Bytes>> {
        let records: Vec<_> = delivery
            .records
            .iter()
            .map(|record| record.json.as_str())
            .collect();
        let body = format!("{{\"records\":[{}]}}", records.join(","));
        let timestamp = Timestamp::now().as_second();
        let signature = self.secret.sign(&delivery.id, timestamp, &body);
        let url = &self.webhook.url;
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        Request::post(target)
            .header(HOST, host)
            .header(USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .expect("a URL and ids are what a request may have")
    }
}

/// Sends it over a connection of its own: deliveries are seconds apart, and receivers close what is idle.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, ExportError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    connection.abort();
    Ok(answer?.status())
}
