//! The continuous export of records: what is new goes to each destination in its order, and what was delivered is remembered, so that a
//! restart goes on from there. Requests know nothing of it: it reads what they left in the database, at its own pace.

use std::time::Duration;

use bailiwick_export::{Delivery, Destination, ExportError, Record, Sink};
use bailiwick_model::limits::{
    EXPORT_BACK_OFF, EXPORT_BATCH, EXPORT_BATCH_BYTES, EXPORT_END, EXPORT_LEASE, EXPORT_LOOK,
};
use bailiwick_model::{OrganizationId, RequestId, ResourceId as _};
use bailiwick_store::{AuditEntry, FlowFilter, LimitAlert, StoreError, StoredFlow};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::watch;

use crate::audit_json::AuditLine;
use crate::control::Control;
use crate::flows::FlowLine;
use crate::spend::LimitAlertLine;
use crate::{clock, fresh};

/// What is exported. A new kind is one more line here, and one in `Control::records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The audit log.
    Audit,
    /// What sandboxes of sessions tried to reach.
    Flows,
    /// Thresholds of limits that were passed.
    Limits,
}

impl RecordKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Audit, Self::Flows, Self::Limits];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Flows => "flows",
            Self::Limits => "limits",
        }
    }
}

/// Records of one kind, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Which.
    pub kind: RecordKind,
    /// Where.
    pub destination: Destination,
}

/// A text that is no export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnExport {
    /// No records in front.
    #[error("an export is RECORDS=DESTINATION, such as audit=file:/var/log/bailiwick/audit.jsonl")]
    Form,
    /// There are no such records.
    #[error("{0:?} are no records that are exported: there are audit, flows and limits")]
    Kind(String),
    /// They can go nowhere.
    #[error(transparent)]
    Destination(#[from] bailiwick_export::NotADestination),
}

impl std::str::FromStr for Export {
    type Err = NotAnExport;

    fn from_str(text: &str) -> Result<Self, NotAnExport> {
        let (kind, destination) = text.split_once('=').ok_or(NotAnExport::Form)?;
        let known = RecordKind::ALL.iter().find(|known| known.as_str() == kind);
        Ok(Self {
            kind: *known.ok_or_else(|| NotAnExport::Kind(kind.to_owned()))?,
            destination: destination.parse()?,
        })
    }
}

impl Export {
    /// What is remembered of it, and leased: it holds no secret.
    pub fn name(&self) -> String {
        format!("{}={}", self.kind.as_str(), self.destination)
    }
}

/// One export, by one of the servers that share a database.
struct Exporter<'a> {
    control: &'a Control,
    name: String,
    kind: RecordKind,
    sink: Sink,
    /// Who it is among the servers.
    holder: String,
    /// Until when it alone delivers.
    leased: Option<Timestamp>,
    /// Whether the last attempt failed: what fails for an hour is told once.
    failing: bool,
    /// Whether it is to end.
    stop: watch::Receiver<bool>,
}

/// Why nothing was delivered.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("the database did not answer as it should")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Destination(#[from] ExportError),
    #[error("a record cannot be written as JSON")]
    Record(#[from] serde_json::Error),
}

impl Control {
    /// Delivers what there is to a destination, and then what is new, until `stop`. Of several servers one does; when it stops, another goes on
    /// at once.
    ///
    /// A delivery that is under way then has some seconds to end: what is cut off is delivered again.
    pub async fn export(&self, export: &Export, sink: Sink, stop: watch::Receiver<bool>) {
        let mut exporter = Exporter {
            control: self,
            name: export.name(),
            kind: export.kind,
            sink,
            holder: fresh::id::<RequestId>(clock::now()).to_string(),
            leased: None,
            failing: false,
            stop: stop.clone(),
        };
        tokio::select! {
            () = cut_off(stop) => {}
            () = exporter.run() => {}
        }
        // It ends by itself otherwise.
        let _ = self.store.release(&exporter.name, &exporter.holder).await;
    }

    /// Records of an organization after the one with the number `after`, at most `limit`, each with its number.
    async fn records(
        &self,
        organization: &OrganizationId,
        kind: RecordKind,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Record)>, Halt> {
        let scope = self.store.scope(organization);
        match kind {
            RecordKind::Audit => {
                let entries = scope.audit_entries(after, limit).await?.into_iter();
                let record = |entry: AuditEntry| {
                    let number = (entry.sequence, entry.at);
                    numbered(kind, number, &AuditLine::of(organization, entry)?)
                };
                entries.map(record).collect()
            }
            RecordKind::Flows => {
                let found = scope.flows(after, limit, &FlowFilter::default()).await?;
                let record = |stored: StoredFlow| {
                    let number = (stored.sequence, stored.kept_at);
                    numbered(kind, number, &FlowLine::of(organization, stored)?)
                };
                found.into_iter().map(record).collect()
            }
            RecordKind::Limits => {
                let found = scope.limit_alerts(after, limit).await?.into_iter();
                let record = |stored: LimitAlert| {
                    let number = (stored.sequence, stored.at);
                    numbered(kind, number, &LimitAlertLine::of(organization, stored)?)
                };
                found.map(record).collect()
            }
        }
    }
}

fn numbered(
    kind: RecordKind,
    (number, at): (i64, Timestamp),
    line: &impl Serialize,
) -> Result<(i64, Record), Halt> {
    let record = Record {
        kind: kind.as_str(),
        at,
        json: serde_json::to_string(line)?,
    };
    Ok((number, record))
}

/// Resolves some time after it was asked to end.
async fn cut_off(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(EXPORT_END).await;
}

/// How many of these fit into one delivery: one at least.
fn fitting(found: &[(i64, Record)]) -> usize {
    let mut bytes = 0;
    let sums = found.iter().map(|(_, record)| {
        bytes += record.json.len();
        bytes
    });
    let fits = sums.take_while(|sum| *sum <= EXPORT_BATCH_BYTES).count();
    fits.max(1)
}

/// Twice as long, up to a bound, and never exactly: several that failed together do not come again together.
fn longer(wait: Duration) -> Duration {
    let [byte] = fresh::random::<1>();
    let jitter = f64::from(byte) / 255.0 / 4.0;
    (wait * 2).min(EXPORT_BACK_OFF).mul_f64(1.0 - jitter)
}

impl Exporter<'_> {
    async fn run(&mut self) {
        let mut wait = EXPORT_LOOK;
        while !*self.stop.borrow() {
            let done = self.round().await;
            self.tell(done.as_ref().err());
            wait = match done {
                Ok(()) => EXPORT_LOOK,
                Err(_) => longer(wait),
            };
            let _ = tokio::time::timeout(wait, self.stop.wait_for(|stop| *stop)).await;
        }
    }

    /// Delivers everything there is, if nobody else does.
    async fn round(&mut self) -> Result<(), Halt> {
        if !self.lease().await? {
            return Ok(());
        }
        for organization in self.control.store.organizations().await? {
            while self.batch(&organization).await? {
                if *self.stop.borrow() || !self.lease().await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether this server delivers. What it holds is prolonged when half of it is over.
    async fn lease(&mut self) -> Result<bool, StoreError> {
        let now = clock::now();
        let whole = SignedDuration::try_from(EXPORT_LEASE).unwrap_or_default();
        if self.leased.is_some_and(|until| now < until - whole / 2) {
            return Ok(true);
        }
        let (store, until) = (&self.control.store, now + whole);
        let is_ours = store.lease(&self.name, &self.holder, now, until).await?;
        self.leased = is_ours.then_some(until);
        Ok(is_ours)
    }

    /// Delivers some records of an organization; whether there may be more.
    async fn batch(&mut self, organization: &OrganizationId) -> Result<bool, Halt> {
        let control = self.control;
        let scope = control.store.scope(organization);
        let after = scope.delivered(&self.name).await?;
        let found = control
            .records(organization, self.kind, after, EXPORT_BATCH)
            .await?;
        let full = found.len() == EXPORT_BATCH as usize;
        let fitting = fitting(&found);
        let more = full || fitting < found.len();
        let found: Vec<_> = found.into_iter().take(fitting).collect();
        let (Some(&(first, _)), Some(&(last, _))) = (found.first(), found.last()) else {
            return Ok(false);
        };
        let delivery = Delivery {
            id: format!(
                "{}-{}-{first}-{last}",
                self.kind.as_str(),
                organization.as_str()
            ),
            records: found.into_iter().map(|(_, record)| record).collect(),
        };
        self.sink.deliver(&delivery).await?;
        control
            .store
            .delivered(organization, &self.name, last)
            .await?;
        Ok(more)
    }

    fn tell(&mut self, halt: Option<&Halt>) {
        match halt {
            Some(halt) if !self.failing => {
                tracing::warn!(export = self.name, "the export has stopped: {halt}");
            }
            None if self.failing => tracing::info!(export = self.name, "the export goes on"),
            Some(_) | None => {}
        }
        self.failing = halt.is_some();
    }
}
