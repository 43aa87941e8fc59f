//! Which headers pass. Both ways it is a list of those that do: what is not known stays here.

use bailiwick_model::limits::LLM_PASSED_HEADER_BYTES;
use hyper::HeaderMap;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    USER_AGENT,
};

use crate::Secret;

/// What a request may have for its upstream besides what the proxy says itself. Whose account it is (`openai-organization`, `openai-project`) is
/// the key's to say, which is not the client's.
const OF_REQUESTS: [HeaderName; 7] = [
    ACCEPT,
    USER_AGENT,
    ANTHROPIC_VERSION,
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-client-request-id"),
];
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// What an answer may have for the client.
const OF_ANSWERS: [&str; 13] = [
    "cache-control",
    "content-encoding",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "vary",
    "warning",
    "x-request-id",
    "x-should-retry",
];
/// And what begins so.
const FAMILIES_OF_ANSWERS: [&str; 3] = ["anthropic-", "openai-", "x-ratelimit-"];
/// But not whose account the key is of.
const OF_THE_ACCOUNT: [&str; 3] = [
    "anthropic-organization-id",
    "openai-organization",
    "openai-project",
];

/// The headers for an upstream, but for its key.
pub(super) fn of_request(from: &HeaderMap, has_body: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    // Its place: it is the first, and says what the URL of the upstream does.
    headers.insert(HOST, HeaderValue::from_static(""));
    for name in OF_REQUESTS {
        for value in from.get_all(&name) {
            if value.len() <= LLM_PASSED_HEADER_BYTES {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    if has_body {
        // Another character set would be another text than the one that was read.
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
    }
    // What an answer took can be read of it only as it is.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// The Messages API wants a version of everybody; somebody who speaks to the proxy with other tools may have none.
pub(super) fn with_version(headers: &mut HeaderMap, version: &'static str) {
    let version = HeaderValue::from_static(version);
    headers.entry(ANTHROPIC_VERSION).or_insert(version);
}

/// The headers for the client.
pub(super) fn of_answer(mut headers: HeaderMap, key: Option<&Secret>) -> HeaderMap {
    let passes = |name: &HeaderName, value: &HeaderValue| {
        is_for_clients(name.as_str())
            && value.len() <= LLM_PASSED_HEADER_BYTES
            && !key.is_some_and(|key| key.is_in(value.as_bytes()))
    };
    let strangers: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| !passes(name, value))
        .map(|(name, _)| name.clone())
        .collect();
    for name in strangers {
        headers.remove(name);
    }
    headers
}

fn is_for_clients(name: &str) -> bool {
    let is_of_a_family = FAMILIES_OF_ANSWERS
        .iter()
        .any(|family| name.starts_with(family));
    (is_of_a_family && !OF_THE_ACCOUNT.contains(&name)) || OF_ANSWERS.contains(&name)
}

/// Whether the bytes of an answer are its text.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_none_or(|encoding| encoding == "identity")
}

/// Whether an answer is a stream of events.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    const STREAM: &[u8] = b"text/event-stream";
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        let (begin, rest) = kind.split_at(kind.len().min(STREAM.len()));
        begin.eq_ignore_ascii_case(STREAM)
            && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let all = all.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        all.collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn nothing_of_the_client_goes_out_that_is_not_on_the_list() {
        let from = headers(&[
            ("authorization", "Bearer virtual"),
            ("x-api-key", "virtual"),
            ("api-key", "virtual"),
            ("cookie", "a=b"),
            ("host", "proxy.test"),
            ("connection", "keep-alive, anthropic-beta"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("content-type", "application/json; charset=utf-16"),
            ("accept-encoding", "gzip"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("openai-organization", "org-1"),
            ("x-stainless-os", "Linux"),
            ("user-agent", "sdk/1"),
            ("anthropic-beta", "a,b"),
            ("anthropic-version", "2023-06-01"),
        ]);
        let out = of_request(&from, true);
        assert_eq!(
            names(&out),
            [
                "accept-encoding",
                "anthropic-beta",
                "anthropic-version",
                "content-type",
                "host",
                "user-agent"
            ]
        );
        assert_eq!(out["host"], "");
        assert_eq!(out["content-type"], "application/json");
        assert_eq!(out["accept-encoding"], "identity");
    }

    #[test]
    fn an_answer_keeps_what_clients_go_by_and_nothing_that_has_the_key() {
        let key = "sk-secret".parse().unwrap();
        let from = headers(&[
            ("content-type", "application/json"),
            ("request-id", "req_1"),
            ("anthropic-ratelimit-tokens-remaining", "5"),
            ("anthropic-organization-id", "org"),
            ("openai-processing-ms", "7"),
            ("openai-organization", "org"),
            ("openai-echo", "Bearer sk-secret"),
            ("x-should-retry", "false"),
            ("retry-after", "1"),
            ("set-cookie", "a=b"),
            ("connection", "close"),
            ("content-length", "5"),
            ("server", "cloud"),
            ("trailer", "x-usage"),
            ("alt-svc", "h3"),
        ]);
        let out = of_answer(from, Some(&key));
        assert_eq!(
            names(&out),
            [
                "anthropic-ratelimit-tokens-remaining",
                "content-type",
                "openai-processing-ms",
                "request-id",
                "retry-after",
                "x-should-retry"
            ]
        );
    }

    #[test]
    fn a_stream_of_events_is_told_by_its_media_type() {
        let stream = |kind: &'static str| is_stream(&headers(&[("content-type", kind)]));
        assert!(stream("text/event-stream"));
        assert!(stream("Text/Event-Stream; charset=utf-8"));
        assert!(stream("text/event-stream ;charset=utf-8"));
        assert!(!stream("text/event-streams"));
        assert!(!stream("application/json"));
        assert!(!stream(""));
        assert!(!is_stream(&HeaderMap::new()));
    }
}
