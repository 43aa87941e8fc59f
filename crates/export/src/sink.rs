//! A destination that records are delivered to.

use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::limits::EXPORT_TIME;

use crate::file::Lines;
use crate::syslog::{Datagrams, Local, Stream};
use crate::webhook::Posts;
use crate::{Delivery, Destination, ExportError, WebhookSecret};

/// A destination that records are delivered to, with what is open to it.
pub struct Sink(Kind);

enum Kind {
    File(Lines),
    SyslogUdp(Datagrams),
    SyslogTcp(Stream),
    SyslogUnix(Local),
    Webhook(Box<Posts>),
}

impl Sink {
    /// Makes ready to deliver. A file is made if it is not there, so that what cannot be written shows now; nobody is connected to.
    ///
    /// # Errors
    ///
    /// [`ExportError::File`], [`ExportError::NoSecret`] for a webhook without one, [`ExportError::Trust`].
    pub fn open(
        destination: &Destination,
        dialer: &Arc<Dialer>,
        secret: Option<&WebhookSecret>,
    ) -> Result<Self, ExportError> {
        let dialer = Arc::clone(dialer);
        Ok(Self(match destination {
            Destination::File(path) => Kind::File(Lines::open(path.clone())?),
            Destination::SyslogUdp(address) => {
                Kind::SyslogUdp(Datagrams::new(address.clone(), dialer))
            }
            Destination::SyslogTcp(address) => {
                Kind::SyslogTcp(Stream::new(address.clone(), dialer))
            }
            Destination::SyslogUnix(path) => Kind::SyslogUnix(Local::new(path.clone())),
            Destination::Webhook(webhook) => {
                let secret = secret.ok_or(ExportError::NoSecret)?;
                let posts = Posts::new(webhook.clone(), dialer, secret.clone())?;
                Kind::Webhook(Box::new(posts))
            }
        }))
    }

    /// Delivers records, all or none as far as the destination tells: a file has them on its disk, a webhook has acknowledged them, and
    /// syslog has been sent them.
    ///
    /// # Errors
    ///
    /// See [`ExportError`]; they are to be delivered again.
    pub async fn deliver(&mut self, delivery: &Delivery) -> Result<(), ExportError> {
        let records = delivery.records.as_slice();
        let delivering = async {
            match &mut self.0 {
                Kind::File(lines) => lines.write(records).await,
                Kind::SyslogUdp(datagrams) => datagrams.send(records).await,
                Kind::SyslogTcp(stream) => stream.send(records).await,
                Kind::SyslogUnix(local) => local.send(records).await,
                Kind::Webhook(posts) => posts.post(delivery).await,
            }
        };
        let delivered = tokio::time::timeout(EXPORT_TIME, delivering).await;
        delivered.unwrap_or(Err(ExportError::Timeout))
    }
}
