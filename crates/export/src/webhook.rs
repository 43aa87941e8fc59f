//! Webhooks: a POST for each delivery, signed as Standard Webhooks are (`webhook-id`, `webhook-timestamp`, `webhook-signature`), so that a
//! receiver knows who sent it and that it is not an old one that somebody kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use bailiwick_dial::Dialer;
use bailiwick_model::limits::EXPORT_TIME;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::destination::Webhook;
use crate::{Delivery, ExportError, Receiver};

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

/// A receiver of signed deliveries.
pub(crate) struct Posts {
    receiver: Receiver,
    secret: WebhookSecret,
}

impl Posts {
    pub(crate) fn new(
        webhook: Webhook,
        dialer: Arc<Dialer>,
        secret: WebhookSecret,
    ) -> Result<Self, ExportError> {
        let receiver = Receiver::new(webhook.0, dialer)?;
        Ok(Self { receiver, secret })
    }

    /// Returns once the receiver said that it has them. A redirection is no such word, and is not followed.
    pub(crate) async fn post(&self, delivery: &Delivery) -> Result<(), ExportError> {
        let records: Vec<_> = delivery
            .records
            .iter()
            .map(|record| record.json.as_str())
            .collect();
        let body = format!("{{\"records\":[{}]}}", records.join(","));
        let headers = self.headers(&delivery.id, &body);
        let status = self
            .receiver
            .post(headers, body.into(), EXPORT_TIME)
            .await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(ExportError::Status(status.as_u16()))
        }
    }

    fn headers(&self, id: &str, body: &str) -> HeaderMap {
        let timestamp = Timestamp::now().as_second();
        let signature = self.secret.sign(id, timestamp, body);
        let value = |text: &str| HeaderValue::from_str(text).expect("ids and base64 are ASCII");
        HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("webhook-id"), value(id)),
            (
                HeaderName::from_static("webhook-timestamp"),
                timestamp.into(),
            ),
            (
                HeaderName::from_static("webhook-signature"),
                value(&signature),
            ),
        ])
    }
}
