//! Requests of connectors: under the egress policy that is in force when each is made, within a time and a size, followed where that may be.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_fetch::{ACCEPTED_ENCODINGS, read_body};
use bailiwick_model::limits::{
    KNOWLEDGE_API_ENTRIES, KNOWLEDGE_REDIRECTS, KNOWLEDGE_REQUEST_TIME, KNOWLEDGE_RETRIES,
    KNOWLEDGE_RETRY_WAIT, KNOWLEDGE_WAIT_MOST,
};
use bailiwick_outbound::{Body, HttpUrl, Message, Outbound, Way};
use bailiwick_policy::Policy;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER,
};
use hyper::{Method, Response};
use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, SeqAccess, Visitor};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::host_of;
use crate::{DocumentError, ReadError, RequestError, SyncError};

/// The way out that a connector has.
#[derive(Clone)]
pub struct Access {
    /// Who connects, and records each connection.
    pub outbound: Outbound,
    /// The policy of the connector's environment. Each request asks the one that is in force when it is made.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// What time it is.
    pub now: fn() -> Timestamp,
}

/// A credential would cross the network where everybody can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential is sent over https alone")]
pub struct InsecureBase;

/// Which redirections are followed. The policy is asked about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// All. What is sent holds nothing that is for one server alone.
    Anywhere,
    /// Those to the same host, or, where the host stays, from http to https.
    WithinSite,
    /// Those to the same origin: a credential is sent.
    WithinOrigin,
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) url: HttpUrl,
    /// Values that are secret are marked so.
    pub(crate) headers: HeaderMap,
    pub(crate) redirects: Redirects,
    pub(crate) most_bytes: usize,
    pub(crate) wanted: Wanted,
}

/// Which bodies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Anything,
    /// Those of which a text may be made.
    Texts,
}

/// An answer.
pub(crate) struct Answer {
    /// Where it came from, after redirections.
    pub(crate) url: HttpUrl,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Without its content encoding, of a success; nothing of any other answer.
    pub(crate) body: Vec<u8>,
    /// Whether there is a body that is not wanted, and was not read.
    pub(crate) is_unread: bool,
}

impl Access {
    /// Asks once, and follows.
    pub(crate) async fn get(&self, question: &Question) -> Result<Answer, RequestError> {
        let deadline = Instant::now() + KNOWLEDGE_REQUEST_TIME;
        let mut url = question.url.clone();
        for _ in 0..=KNOWLEDGE_REDIRECTS {
            let asking = self.ask(&url, &question.headers, deadline);
            let asked = timeout_at(deadline, asking).await;
            let answer = asked.unwrap_or_else(|_| {
                Err(RequestError::Timeout {
                    host: host_of(&url),
                })
            })?;
            match next(&url, &answer)? {
                Some(to) if may_follow(&url, &to, question.redirects) => url = to,
                Some(to) => {
                    return Err(RequestError::Elsewhere {
                        host: host_of(&url),
                        to: host_of(&to),
                    });
                }
                None => return whole(url, answer, question, deadline).await,
            }
        }
        let host = host_of(&question.url);
        Err(RequestError::Redirects { host })
    }

    async fn ask(
        &self,
        url: &HttpUrl,
        headers: &HeaderMap,
        deadline: Instant,
    ) -> Result<Response<Body>, RequestError> {
        let policy = Arc::clone(&self.policy.borrow());
        let mut headers = headers.clone();
        headers.insert(
            ACCEPT_ENCODING,
            HeaderValue::from_static(ACCEPTED_ENCODINGS),
        );
        let message = Message {
            method: Method::GET,
            headers,
            body: Empty::<Bytes>::new(),
        };
        let way = Way::Policy(&*policy);
        let answer = self.outbound.ask(way, url, message, deadline).await;
        answer.map_err(|error| RequestError::of(url, error))
    }

    /// Asks an API, again where that may help: a few times when it is down, and when it says so where it has a limit.
    pub(crate) async fn get_api(&self, question: &Question) -> Result<Answer, ReadError> {
        let mut pause = KNOWLEDGE_RETRY_WAIT;
        let mut retries = 0;
        loop {
            let answer = self.get(question).await;
            let is_last = retries == KNOWLEDGE_RETRIES;
            retries += 1;
            let wait = match &answer {
                Ok(answer) if answer.status == 401 => {
                    let host = host_of(&answer.url);
                    return Err(SyncError::Unauthorized { host }.into());
                }
                Ok(answer) => match self.told_to_wait(answer)? {
                    Some(wait) => Some(wait),
                    None => matches!(answer.status, 500 | 502..=504).then_some(pause),
                },
                Err(error) => is_passing(error).then_some(pause),
            };
            match wait {
                Some(wait) if !is_last => sleep(wait).await,
                Some(_) | None => return Ok(answer?),
            }
            pause *= 2;
        }
    }

    /// How long to wait for a server that has a limit on requests, where its answer is about that.
    fn told_to_wait(&self, answer: &Answer) -> Result<Option<Duration>, SyncError> {
        let headers = &answer.headers;
        let is_used_up = number(headers, "x-ratelimit-remaining") == Some(0);
        let has_retry = headers.contains_key(RETRY_AFTER);
        let is_limit = match answer.status {
            429 => true,
            403 => is_used_up || has_retry,
            503 => has_retry,
            _ => false,
        };
        if !is_limit {
            return Ok(None);
        }
        let now = (self.now)();
        let wait = retry_after(headers, now)
            .or_else(|| is_used_up.then(|| until_reset(headers, now))?)
            .unwrap_or(Duration::from_secs(1));
        if wait > KNOWLEDGE_WAIT_MOST {
            let host = host_of(&answer.url);
            let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
            return Err(SyncError::RateLimited { host, until });
        }
        Ok(Some(wait))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: impl AsHeader) -> Option<&str> {
        self.headers.get(name.name())?.to_str().ok()
    }

    /// What the body says in JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        serde_json::from_slice(&self.body).map_err(|error| DocumentError::Malformed {
            host: host_of(&self.url),
            why: error.to_string(),
        })
    }

    /// As an error of the document that was asked for.
    pub(crate) fn status_error(&self) -> DocumentError {
        DocumentError::Status {
            host: host_of(&self.url),
            status: self.status,
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Names of headers, however they are given.
pub(crate) trait AsHeader {
    fn name(self) -> HeaderName;
}

impl AsHeader for HeaderName {
    fn name(self) -> HeaderName {
        self
    }
}

impl AsHeader for &'static str {
    fn name(self) -> HeaderName {
        HeaderName::from_static(self)
    }
}

/// As whom a source is asked.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// As anybody.
    Nobodys,
    /// As whoever this says, which nobody may see.
    Header(HeaderValue),
    /// As somebody whose credential no header can carry, such as one with a line feed at its end. Nothing is asked then: whoever asked as anybody
    /// would take for gone what only the credential sees.
    Unfit,
}

impl Credential {
    /// What `Authorization` says.
    pub(crate) fn of(value: &str) -> Self {
        let Ok(mut value) = HeaderValue::from_str(value) else {
            return Self::Unfit;
        };
        value.set_sensitive(true);
        Self::Header(value)
    }

    pub(crate) fn is_somebodys(&self) -> bool {
        match self {
            Self::Nobodys => false,
            Self::Header(_) | Self::Unfit => true,
        }
    }

    /// Adds it to what a source is asked with.
    pub(crate) fn add_to(
        &self,
        headers: &mut HeaderMap,
        source: &HttpUrl,
    ) -> Result<(), SyncError> {
        match self {
            Self::Nobodys => Ok(()),
            Self::Header(value) => {
                headers.insert(AUTHORIZATION, value.clone());
                Ok(())
            }
            Self::Unfit => Err(SyncError::Unauthorized {
                host: host_of(source),
            }),
        }
    }
}

/// The entries of one page of a list. They are counted while they are read: one of two bytes takes hundreds.
#[derive(Debug)]
pub(crate) struct Few<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reading<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {KNOWLEDGE_API_ENTRIES} entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Few<T>, A::Error> {
                let mut few = Vec::new();
                while let Some(entry) = all.next_element()? {
                    if few.len() == KNOWLEDGE_API_ENTRIES {
                        return Err(A::Error::invalid_length(few.len() + 1, &self));
                    }
                    few.push(entry);
                }
                Ok(Few(few))
            }
        }
        deserializer.deserialize_seq(Reading(PhantomData))
    }
}

/// Whether both have the same scheme, host and port.
pub(crate) fn is_same_origin(one: &HttpUrl, other: &HttpUrl) -> bool {
    one.url().origin() == other.url().origin()
}

/// Whether both are of one site: the same origin, but for an http that becomes https.
pub(crate) fn is_same_site(from: &HttpUrl, to: &HttpUrl) -> bool {
    let is_upgrade = !from.is_tls()
        && to.is_tls()
        && from.url().port().is_none()
        && to.url().port().is_none()
        && from.url().host() == to.url().host();
    is_upgrade || is_same_origin(from, to)
}

fn may_follow(from: &HttpUrl, to: &HttpUrl, redirects: Redirects) -> bool {
    // Nothing that was asked for over TLS is read without.
    let is_downgrade = from.is_tls() && !to.is_tls();
    match redirects {
        Redirects::Anywhere => !is_downgrade,
        Redirects::WithinSite => is_same_site(from, to),
        Redirects::WithinOrigin => is_same_origin(from, to),
    }
}

/// Where an answer leads.
fn next(from: &HttpUrl, answer: &Response<Body>) -> Result<Option<HttpUrl>, RequestError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.headers().get(LOCATION) else {
        return Ok(None);
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    let to = from.url().join(&location).ok();
    let to = to.and_then(|mut url| {
        url.set_fragment(None);
        HttpUrl::try_from(url).ok()
    });
    to.map(Some)
        .ok_or_else(|| RequestError::Address(location.into_owned()))
}

async fn whole(
    url: HttpUrl,
    answer: Response<Body>,
    question: &Question,
    deadline: Instant,
) -> Result<Answer, RequestError> {
    let (head, body) = answer.into_parts();
    let is_unread = question.wanted == Wanted::Texts && is_no_text(&head.headers);
    let body = if head.status.is_success() && !is_unread {
        let reading = read_body(&head.headers, body, question.most_bytes);
        let read = timeout_at(deadline, reading).await;
        let read = read.map_err(|_| RequestError::Timeout {
            host: host_of(&url),
        })?;
        read.map_err(|error| RequestError::of_body(&url, &error))?
    } else {
        Vec::new()
    };
    Ok(Answer {
        url,
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        is_unread,
    })
}

/// Whether a body is of a type of which no text is made, whatever it holds.
fn is_no_text(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_ascii_lowercase();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is_packed = matches!(
        essence,
        "application/zip" | "application/gzip" | "application/x-gzip" | "application/x-tar"
    );
    let kinds = ["image/", "video/", "audio/", "font/"];
    is_packed || kinds.iter().any(|kind| essence.starts_with(kind))
}

/// Whether asking again at once may help: something broke on the way.
fn is_passing(error: &RequestError) -> bool {
    match error {
        RequestError::Unreachable { .. }
        | RequestError::Http { .. }
        | RequestError::Timeout { .. } => true,
        RequestError::Address(_)
        | RequestError::Denied { .. }
        | RequestError::Tls { .. }
        | RequestError::TooLarge { .. }
        | RequestError::Encoding { .. }
        | RequestError::Redirects { .. }
        | RequestError::Elsewhere { .. } => false,
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Seconds, or a date, which counts from the answer's own (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let then = http_date(value)?;
    let own = headers.get(DATE).and_then(|date| date.to_str().ok());
    let from = own.and_then(http_date).unwrap_or(now);
    Some(between(from, then))
}

/// Until the moment at which a limit begins anew; a second more, since it is a whole number of them.
fn until_reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let reset = number(headers, "x-ratelimit-reset")?;
    let reset = Timestamp::from_second(reset.checked_add(1)?).ok()?;
    Some(between(now, reset))
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// A date of HTTP (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(zoned.timestamp())
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn redirections_stay_where_they_may() {
        let check = |from: &str, to: &str| {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            [
                Redirects::Anywhere,
                Redirects::WithinSite,
                Redirects::WithinOrigin,
            ]
            .map(|redirects| may_follow(&from, &to, redirects))
        };
        assert_eq!(check("http://a.test/", "http://a.test/x"), [true; 3]);
        assert_eq!(
            check("http://a.test/", "https://a.test/"),
            [true, true, false]
        );
        assert_eq!(check("https://a.test/", "http://a.test/"), [false; 3]);
        assert_eq!(
            check("https://a.test/", "https://b.test/"),
            [true, false, false]
        );
        assert_eq!(
            check("http://a.test:81/", "https://a.test/"),
            [true, false, false]
        );
    }

    #[test]
    fn entries_of_a_page_are_counted_while_they_are_read() {
        let list = |entries| format!("[{}{{}}]", "{},".repeat(entries - 1));
        let read = |entries| serde_json::from_str::<Few<IgnoredAny>>(&list(entries));
        assert_eq!(
            read(KNOWLEDGE_API_ENTRIES).unwrap().0.len(),
            KNOWLEDGE_API_ENTRIES
        );
        let error = read(KNOWLEDGE_API_ENTRIES + 1).unwrap_err().to_string();
        assert!(error.contains("a list of at most 1000 entries"), "{error}");
    }

    #[test]
    fn how_long_to_wait_is_told_in_seconds_or_by_a_date() {
        let wait = |value: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
            retry_after(&headers, Timestamp::UNIX_EPOCH).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7", None), Some(7));
        assert_eq!(wait("soon", None), None);
        let then = "Thu, 01 Jan 1970 00:01:00 GMT";
        assert_eq!(wait(then, None), Some(60));
        assert_eq!(wait(then, Some("Thu, 01 Jan 1970 00:00:50 GMT")), Some(10));
        assert_eq!(wait(then, Some("Thu, 01 Jan 1970 00:02:00 GMT")), Some(0));
    }
}
