//! The exports of a server: opened before it serves, so that what cannot be delivered to shows at the start.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bailiwick_control::{Control, Export, RecordKind};
use bailiwick_dial::Dialer;
use bailiwick_export::{Sink, WebhookSecret};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::secret_key;
use crate::bad_input::BadInput;
use crate::command::up;
use crate::host_environment::HostEnvironment;

/// The variable that holds the secret.
const VARIABLE: &str = "BAILIWICK_EXPORT_SECRET";

/// What is exported, ready.
pub(super) struct Exports(Vec<(Export, Sink)>);

impl Exports {
    /// Opens what was asked for.
    ///
    /// # Errors
    ///
    /// [`BadInput`], and what cannot be opened.
    pub(super) fn open(
        arguments: &up::Arguments,
        host: &HostEnvironment,
        dialer: &Arc<Dialer>,
    ) -> anyhow::Result<Self> {
        let secret = secret(arguments.export_secret_file.as_deref(), host)?;
        let mut names = BTreeSet::new();
        let mut open = Vec::new();
        for export in &arguments.exports {
            if !names.insert(export.name()) {
                return Err(BadInput::ExportTwice(export.name()).into());
            }
            let sink = Sink::open(&export.destination, dialer, secret.as_ref())
                .with_context(|| format!("cannot export {}", export.name()))?;
            open.push((export.clone(), sink));
        }
        Ok(Self(open))
    }

    /// To which records of a kind must be delivered before they may be taken away.
    pub(super) fn names(&self, kind: RecordKind) -> Vec<String> {
        let exports = self.0.iter().map(|(export, _)| export);
        exports
            .filter(|export| export.kind == kind)
            .map(Export::name)
            .collect()
    }

    /// Delivers until `stop` says so.
    pub(super) fn start(self, control: &Arc<Control>, stop: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut running = JoinSet::new();
        for (export, sink) in self.0 {
            let (control, stop) = (Arc::clone(control), stop.clone());
            running.spawn(async move { control.export(&export, sink, stop).await });
        }
        running
    }
}

fn secret(file: Option<&Path>, host: &HostEnvironment) -> Result<Option<WebhookSecret>, BadInput> {
    let (text, place) = match (file, &host.export_secret) {
        (Some(path), _) => (secret_key::read(path)?, path.display().to_string()),
        (None, Some(text)) => (text.clone().into(), VARIABLE.to_owned()),
        (None, None) => return Ok(None),
    };
    let secret = text.parse();
    let wrong = |source| BadInput::ExportSecret { place, source };
    Ok(Some(secret.map_err(wrong)?))
}
