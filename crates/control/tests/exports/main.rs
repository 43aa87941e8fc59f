//! The continuous export of the audit log, on SQLite and on PostgreSQL.

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
use jiff::{SignedDuration, Timestamp};
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

on_both!(
    what_was_and_what_is_new_is_delivered_in_its_order,
    a_restart_neither_loses_nor_repeats,
    of_several_servers_one_delivers_and_another_goes_on,
    a_destination_that_fails_gets_everything_once_it_is_back_and_holds_nothing_up,
    a_lease_is_one_holders_until_it_ends,
);

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

async fn what_was_and_what_is_new_is_delivered_in_its_order(place: Place) {
    let (_directory, path) = file();
    change(&place, &["a", "b"]).await;
    let running = Running::start(&place, &path);
    assert_eq!(until(&path, 3).await, [1, 2, 3]);
    change(&place, &["c", "d"]).await;
    assert_eq!(until(&path, 5).await, [1, 2, 3, 4, 5]);
    // Another organization's too, and what is written can be checked as an exported log is.
    let other = place
        .control
        .create_organization("Other", Bootstrap::default());
    other.await.unwrap();
    until(&path, 6).await;
    running.stop().await;
    let text = fs::read_to_string(&path).unwrap();
    let mut chains = std::collections::BTreeMap::new();
    for line in text.lines() {
        let (organization, entry) = AuditLine::parse(line).unwrap();
        let chain = chains
            .entry(organization.clone())
            .or_insert_with(|| bailiwick_store::AuditChain::new(organization));
        chain.follow(&entry).unwrap();
    }
    assert_eq!(chains.len(), 2);
}

async fn a_restart_neither_loses_nor_repeats(place: Place) {
    let (_directory, path) = file();
    for round in 0..3 {
        change(&place, &[&format!("a{round}"), &format!("b{round}")]).await;
        let running = Running::start(&place, &path);
        until(&path, 3 + 2 * round).await;
        running.stop().await;
    }
    assert_eq!(delivered(&path), [1, 2, 3, 4, 5, 6, 7]);
    // A crash leaves half a line and a cursor before it.
    change(&place, &["x"]).await;
    let text = fs::read_to_string(&path).unwrap() + "{\"organization_id\":\"or";
    fs::write(&path, text).unwrap();
    let running = Running::start(&place, &path);
    assert_eq!(until(&path, 8).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    running.stop().await;
}

async fn of_several_servers_one_delivers_and_another_goes_on(place: Place) {
    let (_directory, path) = file();
    let first = Running::start(&place, &path);
    let second = Running::start(&place, &path);
    change(&place, &["a", "b", "c"]).await;
    until(&path, 4).await;
    first.stop().await;
    change(&place, &["d", "e"]).await;
    until(&path, 6).await;
    second.stop().await;
    assert_eq!(delivered(&path), [1, 2, 3, 4, 5, 6]);
}

async fn a_destination_that_fails_gets_everything_once_it_is_back_and_holds_nothing_up(
    place: Place,
) {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("audit.jsonl");
    let running = Running::start(&place, &path);
    until(&path, 1).await;
    let away = directory.path().join("away");
    fs::rename(&logs, &away).unwrap();
    let begun = Instant::now();
    change(&place, &["a", "b", "c"]).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    tokio::time::sleep(Duration::from_secs(2)).await;
    fs::rename(&away, &logs).unwrap();
    assert_eq!(until(&path, 4).await, [1, 2, 3, 4]);
    running.stop().await;
}

async fn a_lease_is_one_holders_until_it_ends(place: Place) {
    let store = &place.store;
    let now = Timestamp::now();
    let later = |seconds| now + SignedDuration::from_secs(seconds);
    let lease = async |holder: &str, at: i64, until: i64| {
        store
            .lease("audit=file:/a", holder, later(at), later(until))
            .await
            .unwrap()
    };
    assert!(lease("first", 0, 10).await);
    assert!(!lease("second", 5, 15).await);
    assert!(lease("first", 9, 19).await);
    assert!(!lease("second", 11, 21).await);
    assert!(lease("second", 19, 29).await);
    store.release("audit=file:/a", "first").await.unwrap();
    assert!(!lease("first", 20, 30).await);
    store.release("audit=file:/a", "second").await.unwrap();
    assert!(lease("first", 20, 30).await);
    let (one, other) = tokio::join!(lease("x", 31, 41), lease("y", 31, 41));
    assert_ne!(one, other);
}
