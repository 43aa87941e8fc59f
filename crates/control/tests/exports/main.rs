//! The continuous export of records, on SQLite and on PostgreSQL.

mod audit_log;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_control::{
    AuditLine, Bootstrap, Caller, Control, Credentials, Export, NewEnvironmentRequest, SealingKeys,
};
use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_export::Sink;
use bailiwick_policy::HostFacts;
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_testkit::Postgres;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A database with one organization, and its administrator.
struct Place {
    store: Store,
    control: Control,
    caller: Caller,
    _directory: TempDir,
    _database: Option<Postgres>,
}

impl Place {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on(url, directory, None).await
    }

    async fn postgres() -> Self {
        let database = Postgres::start();
        let url = format!("postgres://postgres@{}/postgres", database.address());
        let directory = tempfile::tempdir().unwrap();
        Self::on(url.parse().unwrap(), directory, Some(database)).await
    }

    async fn on(url: DatabaseUrl, directory: TempDir, database: Option<Postgres>) -> Self {
        let store = Store::open(&url).await.unwrap();
        let control = Control::new(store.clone(), keys());
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let key = first.unwrap().key;
        let credentials = Credentials {
            key: &key,
            address: None,
        };
        let caller = control.authenticate(credentials).await.unwrap();
        Self {
            store,
            control,
            caller,
            _directory: directory,
            _database: database,
        }
    }
}

fn keys() -> SealingKeys {
    "01".repeat(32).parse().unwrap()
}

const PATIENCE: Duration = Duration::from_secs(60);

fn export(path: &Path) -> Export {
    format!("audit=file:{}", path.display()).parse().unwrap()
}

fn sink(export: &Export) -> Sink {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let dialer = Arc::new(Dialer::new(DialOptions::new(host)));
    Sink::open(&export.destination, &dialer, None).unwrap()
}

/// An exporter that runs until it is told to end.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(place: &Place, path: &Path) -> Self {
        let control = Control::new(place.store.clone(), keys());
        let export = export(path);
        let sink = sink(&export);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move { control.export(&export, sink, stopped).await });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    (directory, path)
}

/// The numbers of the entries in a file, per organization in the order in which they stand there.
fn delivered(path: &Path) -> Vec<i64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| AuditLine::parse(line).unwrap().1.sequence)
        .collect()
}

async fn until(path: &Path, count: usize) -> Vec<i64> {
    let begun = Instant::now();
    loop {
        let found = delivered(path);
        if found.len() >= count {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "only {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn change(place: &Place, names: &[&str]) {
    for name in names {
        let body = json!({"name": name}).as_object().cloned();
        let request = NewEnvironmentRequest {
            body: body.unwrap(),
            ..NewEnvironmentRequest::default()
        };
        let made = place.control.create_environment(&place.caller, request);
        made.await.unwrap();
    }
}

/// Each fact, once for each database.
macro_rules! on_both {
    ($($fact:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(crate::Place::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(crate::Place::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;
