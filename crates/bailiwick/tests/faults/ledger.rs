//! What clients were told, kept where no crash of the server reaches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{BOUND, Face};

/// Changes that are made of each environment.
const CHANGES: u32 = 3;
/// Between two attempts on a database that is away.
const PAUSE: Duration = Duration::from_millis(20);

/// Environments and their descriptions.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<String, Known>,
    /// Requests that were answered with success.
    pub(crate) acknowledged: usize,
    /// Requests of which nobody knows whether they were done.
    pub(crate) in_doubt: usize,
}

/// One environment.
#[derive(Debug)]
struct Known {
    /// What was acknowledged last.
    acknowledged: String,
    /// What was asked for after that, without an answer.
    in_doubt: Option<String>,
}

/// Numbers the names of environments.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What the writers of one ledger share.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    put_down: AtomicBool,
    acknowledged: AtomicUsize,
}

/// What becomes of a request.
enum Outcome {
    Done(String),
    /// The server said that its database is away.
    Unavailable,
    /// There was no answer.
    CutOff,
}

impl Pen {
    /// Writers end after the request that they wait for.
    pub(crate) fn put_down(&self) {
        self.put_down.store(true, Ordering::Relaxed);
    }

    /// How many requests were answered with success.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    fn is_down(&self) -> bool {
        self.put_down.load(Ordering::Relaxed)
    }
}

impl Ledger {
    /// Makes and changes environments until the server is gone or the pen is put down.
    pub(crate) async fn write(face: Face, pen: Arc<Pen>) -> Self {
        let mut ledger = Self::default();
        while !pen.is_down() {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number}", face.url);
            let body = json!({"name": name, "description": "0", "config": {"type": "cloud"}});
            let outcome = request(&face, "/v1/environments", body).await;
            match ledger.told(&pen, outcome) {
                Outcome::Done(id) => {
                    if !ledger.change(&face, &pen, &id).await {
                        break;
                    }
                }
                Outcome::Unavailable => tokio::time::sleep(PAUSE).await,
                Outcome::CutOff => break,
            }
        }
        ledger
    }

    /// Whether the server is still there.
    async fn change(&mut self, face: &Face, pen: &Pen, id: &str) -> bool {
        let mut known = Known {
            acknowledged: "0".to_owned(),
            in_doubt: None,
        };
        let mut there = true;
        for number in 1..=CHANGES {
            if pen.is_down() {
                break;
            }
            let description = number.to_string();
            let body = json!({"description": description});
            let outcome = request(face, &format!("/v1/environments/{id}"), body).await;
            match self.told(pen, outcome) {
                Outcome::Done(_) => known.acknowledged = description,
                unknown @ (Outcome::Unavailable | Outcome::CutOff) => {
                    known.in_doubt = Some(description);
                    there = matches!(unknown, Outcome::Unavailable);
                    break;
                }
            }
        }
        self.known.insert(id.to_owned(), known);
        there
    }

    fn told(&mut self, pen: &Pen, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done(_) => {
                self.acknowledged += 1;
                pen.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Unavailable | Outcome::CutOff => self.in_doubt += 1,
        }
        outcome
    }

    /// Adds what another writer was told.
    pub(crate) fn add(&mut self, other: Self) {
        self.known.extend(other.known);
        self.acknowledged += other.acknowledged;
        self.in_doubt += other.in_doubt;
    }

    /// Compares everything with what the server says.
    ///
    /// # Panics
    ///
    /// When something that was acknowledged is not there.
    pub(crate) async fn compare(&self, face: &Face) {
        for (id, known) in &self.known {
            let found = face.get(&format!("/v1/environments/{id}")).await;
            let found = found.expect("an answer");
            assert_eq!(found.status, StatusCode::OK, "{id} is lost: {found:?}");
            let description = found.text("description");
            assert!(
                description == known.acknowledged || known.in_doubt.as_deref() == Some(description),
                "{id} is {description:?} and should be {known:?}"
            );
        }
    }
}

/// Sends a request that changes something; a failure is one that may be retried, comes in time and gives nothing away.
async fn request(face: &Face, path: &str, body: serde_json::Value) -> Outcome {
    let begun = Instant::now();
    let Ok(answer) = face.ask(Method::POST, path, Some(body)).await else {
        assert!(begun.elapsed() < BOUND, "no answer within {BOUND:?}");
        return Outcome::CutOff;
    };
    if answer.status == StatusCode::OK {
        return Outcome::Done(answer.text("id").to_owned());
    }
    assert_unavailable(&answer);
    Outcome::Unavailable
}

/// The database is away: nothing else, and no word of what is inside.
#[track_caller]
pub(crate) fn assert_unavailable(answer: &crate::Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.should_retry, "true", "{answer:?}");
    assert_eq!(answer.body["error"]["type"], "api_error", "{answer:?}");
    let told = answer.body.to_string().to_lowercase();
    for inside in [
        "sqlx",
        "postgres",
        "sqlite",
        "terminating",
        "127.0.0.1",
        "select",
    ] {
        assert!(!told.contains(inside), "{answer:?}");
    }
}
