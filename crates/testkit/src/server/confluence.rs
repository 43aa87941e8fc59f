//! Confluence's API as far as pages go: spaces, pages by a cursor, versions, the trash.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::stand_in::{Asked, Said, StandIn};
use crate::Authority;

/// Pages in one answer, however many are asked for: lists are tested with few of them.
const PER_ANSWER: usize = 2;

/// A stand-in of `https://NAME/wiki`, with the spaces `DOCS` (id 100) and `TEAM` (id 200).
#[derive(Debug)]
pub struct ConfluenceServer {
    stand_in: StandIn,
    state: Arc<Mutex<State>>,
}

/// A page.
#[derive(Debug, Clone, Default)]
pub struct ConfluencePage {
    /// The id of its space.
    pub space: String,
    /// What it is called.
    pub title: String,
    /// What it says, in the storage format.
    pub body: String,
    /// How often it was changed.
    pub version: u64,
    /// Whether it is in the trash.
    pub is_trashed: bool,
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeMap<u64, ConfluencePage>,
    fail_next: Option<u16>,
    authorization: Option<String>,
    /// Where the next part of a list is said to be, instead of where it is.
    lying_next: Option<String>,
}

impl ConfluenceServer {
    /// One that takes this `Authorization` alone, or whoever comes.
    pub fn start(authority: &Authority, name: &str, authorization: Option<&str>) -> Self {
        let state = State {
            authorization: authorization.map(str::to_owned),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let answer = move |asked: &Asked| lock(&shared).answer(asked);
        let stand_in = StandIn::secure(authority, &[name], answer);
        Self { stand_in, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.stand_in.address()
    }

    /// The requests that have reached it.
    pub fn stand_in(&self) -> &StandIn {
        &self.stand_in
    }

    /// Adds or changes a page.
    pub fn put(&self, id: u64, page: ConfluencePage) {
        lock(&self.state).pages.insert(id, page);
    }

    /// Removes a page for good.
    pub fn purge(&self, id: u64) {
        lock(&self.state).pages.remove(&id);
    }

    /// Answers the next request with this status.
    pub fn fail_next(&self, status: u16) {
        lock(&self.state).fail_next = Some(status);
    }

    /// Says that the next part of every list is there.
    pub fn lie_about_next(&self, next: &str) {
        lock(&self.state).lying_next = Some(next.to_owned());
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Said {
        if let Some(status) = self.fail_next.take() {
            return Said::status(status);
        }
        let expected = self.authorization.as_deref();
        if expected.is_some() && asked.header("authorization") != expected {
            return Said::status(401);
        }
        let Some(path) = asked.path().strip_prefix("/wiki/api/v2/") else {
            return Said::status(404);
        };
        match path.split('/').collect::<Vec<_>>()[..] {
            ["spaces"] => spaces(asked),
            ["pages"] => self.list(asked, None),
            ["spaces", id, "pages"] => self.list(asked, Some(id)),
            ["pages", id] => self.one(id.parse().unwrap_or_default()),
            _ => Said::status(404),
        }
    }

    fn list(&self, asked: &Asked, space: Option<&str>) -> Said {
        let after: u64 = asked
            .parameter("cursor")
            .and_then(|cursor| cursor.parse().ok())
            .unwrap_or(0);
        let mut pages = self
            .pages
            .iter()
            .filter(|(id, page)| **id > after && !page.is_trashed)
            .filter(|(_, page)| space.is_none_or(|space| page.space == space));
        let shown: Vec<_> = pages.by_ref().take(PER_ANSWER).collect();
        let mut links = json!({"base": "https://wiki.test/wiki"});
        if let (Some((last, _)), Some(_)) = (shown.last(), pages.next()) {
            let next = format!("{}?limit={PER_ANSWER}&cursor={last}", asked.path());
            links["next"] = json!(self.lying_next.as_ref().unwrap_or(&next));
        }
        let results: Vec<_> = shown
            .into_iter()
            .map(|(id, page)| value(*id, page))
            .collect();
        answer(&json!({"results": results, "_links": links}))
    }

    fn one(&self, id: u64) -> Said {
        let Some(page) = self.pages.get(&id) else {
            return Said::status(404);
        };
        let mut page_value = value(id, page);
        page_value["body"] = json!({"storage": {"representation": "storage", "value": page.body}});
        answer(&page_value)
    }
}

fn spaces(asked: &Asked) -> Said {
    let all = [("DOCS", "100"), ("TEAM", "200")];
    let wanted = asked.parameter("keys").unwrap_or_default();
    let shown = all
        .iter()
        .filter(|(key, _)| wanted.split(',').any(|other| other == *key));
    let results: Vec<_> = shown
        .map(|(key, id)| json!({"key": key, "id": id}))
        .collect();
    answer(&json!({"results": results, "_links": {}}))
}

fn value(id: u64, page: &ConfluencePage) -> Value {
    json!({
        "id": id.to_string(),
        "spaceId": page.space,
        "status": if page.is_trashed { "trashed" } else { "current" },
        "title": page.title,
        "version": {"number": page.version, "createdAt": "2026-03-04T05:06:07.000Z"},
        "_links": {"webui": format!("/spaces/X/pages/{id}")},
    })
}

fn answer(value: &Value) -> Said {
    Said::page("application/json", value.to_string())
}
