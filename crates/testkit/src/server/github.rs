//! GitHub's API as far as issues go: pages by `Link`, times, limits, what was deleted and what was moved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::stand_in::{Asked, Said, StandIn};
use crate::Authority;

/// The repository that there is.
const REPOSITORY: &str = "/repos/acme/app";
/// Issues and comments on one page, however many are asked for: pages are tested with few of them.
const PER_PAGE: usize = 2;

/// A stand-in of `https://NAME/`, with the repository `acme/app`.
#[derive(Debug)]
pub struct GitHubServer {
    stand_in: StandIn,
    state: Arc<Mutex<State>>,
}

/// An issue.
#[derive(Debug, Clone, Default)]
pub struct GitHubIssue {
    /// What it is called.
    pub title: String,
    /// What it says.
    pub body: String,
    /// When it last changed, RFC 3339.
    pub updated_at: String,
    /// Whether it is closed.
    pub is_closed: bool,
    /// Whether it is a pull request.
    pub is_pull: bool,
    /// Who said what.
    pub comments: Vec<(String, String)>,
}

/// How the server limits requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitHubLimit {
    /// 403 with the time at which the limit begins anew, so many seconds from now.
    Primary(u64),
    /// 429 with `Retry-After` of so many seconds.
    Secondary(u64),
}

#[derive(Debug, Default)]
struct State {
    issues: BTreeMap<u64, GitHubIssue>,
    gone: Vec<u64>,
    moved: Vec<u64>,
    /// For how many requests, and how.
    limit: Option<(u32, GitHubLimit)>,
    fail_next: Option<u16>,
    token: Option<String>,
    name: String,
}

impl GitHubServer {
    /// One that takes this token alone, or whoever comes.
    pub fn start(authority: &Authority, name: &str, token: Option<&str>) -> Self {
        let state = State {
            token: token.map(str::to_owned),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let answer = move |asked: &Asked| lock(&shared).answer(asked);
        let stand_in = StandIn::secure(authority, &[name], answer);
        lock(&state).name = format!("{name}:{}", stand_in.address().port());
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

    /// Adds or changes an issue.
    pub fn put(&self, number: u64, issue: GitHubIssue) {
        lock(&self.state).issues.insert(number, issue);
    }

    /// Deletes an issue: 410.
    pub fn delete(&self, number: u64) {
        let mut state = lock(&self.state);
        state.issues.remove(&number);
        state.gone.push(number);
    }

    /// Moves an issue to another repository: 301 to it.
    pub fn transfer(&self, number: u64) {
        let mut state = lock(&self.state);
        state.issues.remove(&number);
        state.moved.push(number);
    }

    /// Answers that many of the next requests with a limit.
    pub fn limit_next(&self, requests: u32, limit: GitHubLimit) {
        lock(&self.state).limit = Some((requests, limit));
    }

    /// Answers the next request with this status.
    pub fn fail_next(&self, status: u16) {
        lock(&self.state).fail_next = Some(status);
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
        if let Some((left, limit)) = self.limit.filter(|(left, _)| *left > 0) {
            self.limit = Some((left - 1, limit));
            return limited(limit);
        }
        let expected = self.token.as_ref().map(|token| format!("Bearer {token}"));
        if expected.is_some() && asked.header("authorization") != expected.as_deref() {
            return Said::status(401);
        }
        let path = asked.path();
        if path == "/repos/other/app/issues/77" {
            return answer(&self.issue(77, &GitHubIssue::default(), "other/app"));
        }
        let Some(path) = path.strip_prefix(REPOSITORY) else {
            return Said::status(404);
        };
        let parts: Vec<_> = path.split('/').skip(1).collect();
        match parts[..] {
            ["issues"] => {
                let said = self.list(asked);
                let tag = format!("W/\"{}\"", said.body.len());
                if asked.header("if-none-match") == Some(&tag) {
                    return Said::status(304);
                }
                said.with("etag", &tag)
            }
            ["issues", number] => self.one(number.parse().unwrap_or_default()),
            ["issues", number, "comments"] => {
                self.comments(number.parse().unwrap_or_default(), asked)
            }
            _ => Said::status(404),
        }
    }

    fn list(&self, asked: &Asked) -> Said {
        let since = asked
            .parameter("since")
            .map(|since| since.replace("%3A", ":"));
        let mut issues: Vec<_> = self
            .issues
            .iter()
            .filter(|(_, issue)| {
                since
                    .as_ref()
                    .is_none_or(|since| issue.updated_at >= *since)
            })
            .filter(|(_, issue)| asked.parameter("state") == Some("all") || !issue.is_closed)
            .collect();
        if asked.parameter("sort") == Some("updated") {
            issues.sort_by_key(|(_, issue)| issue.updated_at.clone());
        }
        let issues = issues.into_iter();
        let all = issues.map(|(number, issue)| self.issue(*number, issue, "acme/app"));
        self.paged(&all.collect::<Vec<_>>(), asked)
    }

    fn one(&self, number: u64) -> Said {
        if let Some(issue) = self.issues.get(&number) {
            return answer(&self.issue(number, issue, "acme/app"));
        }
        if self.moved.contains(&number) {
            let to = format!("https://{}/repos/other/app/issues/77", self.name);
            return Said::status(301).with("location", &to);
        }
        Said::status(if self.gone.contains(&number) {
            410
        } else {
            404
        })
    }

    fn comments(&self, number: u64, asked: &Asked) -> Said {
        let Some(issue) = self.issues.get(&number) else {
            return Said::status(404);
        };
        let comments = issue.comments.iter().map(|(who, what)| {
            json!({"body": what, "user": {"login": who}, "created_at": "2026-03-04T05:06:07Z"})
        });
        self.paged(&comments.collect::<Vec<_>>(), asked)
    }

    fn paged(&self, all: &[Value], asked: &Asked) -> Said {
        let page = asked.parameter("page").and_then(|page| page.parse().ok());
        let page: usize = page.unwrap_or(1);
        let shown: Vec<_> = all
            .iter()
            .skip((page - 1) * PER_PAGE)
            .take(PER_PAGE)
            .collect();
        let said = answer(&json!(shown));
        if all.len() <= page * PER_PAGE {
            return said;
        }
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        let kept = query.split('&').filter(|pair| !pair.starts_with("page="));
        let kept = kept.collect::<Vec<_>>().join("&");
        let base = format!("https://{}{}?{kept}", self.name, asked.path());
        let link = format!(
            "<{base}&page={}>; rel=\"next\", <{base}&page=99>; rel=\"last\"",
            page + 1
        );
        said.with("link", &link)
    }

    fn issue(&self, number: u64, issue: &GitHubIssue, repository: &str) -> Value {
        let mut value = json!({
            "number": number,
            "title": issue.title,
            "body": issue.body,
            "state": if issue.is_closed { "closed" } else { "open" },
            "html_url": format!("https://github.test/{repository}/issues/{number}"),
            "repository_url": format!("https://{}/repos/{repository}", self.name),
            "updated_at": issue.updated_at,
            "user": {"login": "alice"},
            "labels": [{"name": "bug"}],
            "comments": issue.comments.len(),
        });
        if issue.is_pull {
            value["pull_request"] = json!({"url": "https://github.test/x"});
        }
        value
    }
}

fn answer(value: &Value) -> Said {
    Said::page("application/json; charset=utf-8", value.to_string())
}

fn limited(limit: GitHubLimit) -> Said {
    match limit {
        GitHubLimit::Primary(seconds) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let reset = now.expect("a time after 1970").as_secs() + seconds;
            Said::status(403)
                .with("x-ratelimit-remaining", "0")
                .with("x-ratelimit-reset", &reset.to_string())
        }
        GitHubLimit::Secondary(seconds) => {
            Said::status(429).with("retry-after", &seconds.to_string())
        }
    }
}
