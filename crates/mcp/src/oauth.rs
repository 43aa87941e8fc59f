//! An access token for a code (RFC 6749, section 4.1.3), and another one for a refresh token (section 6), for one resource where the server tells
//! them apart (RFC 8707).

use std::fmt;
use std::time::Duration;

use bailiwick_model::limits::{ACCESS_TOKEN_CHARS, REFRESH_TOKEN_CHARS, TOKEN_LIFE_MOST};
use bailiwick_outbound::{Outbound, OutboundError};
use bailiwick_policy::Policy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::answer::{Answer, ShownAnswer, Wanted};
use crate::outbound::{Redirects, Request, ask};
use crate::raw::read;
use crate::secrets::{Secrets, form_encoded};

/// How a client proves to a token endpoint who it is (RFC 6749, section 2.3).
#[derive(Clone, Copy)]
pub enum ClientAuthentication<'a> {
    /// It does not: a public client.
    None,
    /// This secret, with HTTP Basic.
    Basic(&'a str),
    /// This secret, in the body.
    Post(&'a str),
}

/// What is asked for, of whom.
#[derive(Clone, Copy)]
pub struct Refresh<'a> {
    /// Where to ask.
    pub token_endpoint: &'a Url,
    /// Who asks.
    pub client_id: &'a str,
    /// And proves it how.
    pub authentication: ClientAuthentication<'a>,
    /// What is exchanged.
    pub refresh_token: &'a str,
    /// What the token is for.
    pub resource: Option<&'a str>,
    /// What it is to allow.
    pub scope: Option<&'a str>,
}

/// A code that a person brought back, of whom it is exchanged.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// Where to ask.
    pub token_endpoint: &'a Url,
    /// Who asks.
    pub client_id: &'a str,
    /// And proves it how.
    pub authentication: ClientAuthentication<'a>,
    /// What is exchanged.
    pub code: &'a str,
    /// What proves that it was asked for here (RFC 7636).
    pub code_verifier: &'a str,
    /// Where the person was sent back to.
    pub redirect_uri: &'a str,
    /// What the token is for.
    pub resource: Option<&'a str>,
}

/// What an authorization server gave.
#[derive(Clone)]
pub struct Tokens {
    /// What requests carry.
    pub access_token: Zeroizing<String>,
    /// What takes the place of the refresh token that was used, if the server says so: the old one may be worth nothing now.
    pub refresh_token: Option<Zeroizing<String>>,
    /// For how long the access token is taken, if the server says so.
    pub expires_in: Option<Duration>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token endpoint answered, and gave none.
    #[error("the token endpoint answered {} and gave no token", .answer.status)]
    Refused {
        /// What may be shown of the answer.
        answer: ShownAnswer,
        /// Whether it said that what it was shown will not do (RFC 6749, section 5.2), rather than that it cannot now.
        is_final: bool,
    },
    /// The token endpoint did not answer.
    #[error("the token endpoint could not be asked: {0}")]
    NoAnswer(#[from] OutboundError),
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Asks a token endpoint for another access token. Redirections are not followed: what is sent is the endpoint's alone.
///
/// # Errors
///
/// See [`RefreshError`].
pub async fn refresh(
    outbound: &Outbound,
    policy: &Policy,
    refresh: Refresh<'_>,
) -> Result<Tokens, RefreshError> {
    let mut pairs = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.refresh_token),
    ];
    let optional = [("resource", refresh.resource), ("scope", refresh.scope)];
    pairs.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let client = (refresh.client_id, refresh.authentication);
    let secret = refresh.refresh_token;
    ask_for_tokens(
        (outbound, policy),
        refresh.token_endpoint,
        client,
        (&pairs, secret),
    )
    .await
}

/// Asks a token endpoint for the tokens of a code. Redirections are not followed.
///
/// # Errors
///
/// See [`RefreshError`].
pub async fn exchange(
    outbound: &Outbound,
    policy: &Policy,
    exchange: Exchange<'_>,
) -> Result<Tokens, RefreshError> {
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", exchange.code),
        ("code_verifier", exchange.code_verifier),
        ("redirect_uri", exchange.redirect_uri),
    ];
    pairs.extend(exchange.resource.map(|resource| ("resource", resource)));
    let client = (exchange.client_id, exchange.authentication);
    let secret = exchange.code;
    ask_for_tokens(
        (outbound, policy),
        exchange.token_endpoint,
        client,
        (&pairs, secret),
    )
    .await
}

async fn ask_for_tokens(
    way: (&Outbound, &Policy),
    endpoint: &Url,
    (client_id, authentication): (&str, ClientAuthentication<'_>),
    (pairs, secret): (&[(&str, &str)], &str),
) -> Result<Tokens, RefreshError> {
    let mut secrets = Secrets::default();
    secrets.add(secret);
    let mut headers = vec![
        (ACCEPT, HeaderValue::from_static("application/json")),
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        ),
    ];
    headers.extend(authorization(client_id, authentication, &mut secrets));
    let request = Request {
        method: Method::POST,
        url: endpoint.clone(),
        headers,
        body: Bytes::from_owner(Form(form(pairs, client_id, authentication))),
        redirects: Redirects::Never,
    };
    let answer = ask(way, request, Wanted::Whole, None).await?;
    tokens(&answer).ok_or_else(|| refused(&answer, &secrets))
}

/// A body that is wiped when it was sent.
struct Form(Zeroizing<String>);

impl AsRef<[u8]> for Form {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn form(
    pairs: &[(&str, &str)],
    client_id: &str,
    authentication: ClientAuthentication<'_>,
) -> Zeroizing<String> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(pairs);
    match authentication {
        ClientAuthentication::Basic(_) => {}
        ClientAuthentication::None => {
            form.append_pair("client_id", client_id);
        }
        ClientAuthentication::Post(secret) => {
            form.append_pair("client_id", client_id)
                .append_pair("client_secret", secret);
        }
    }
    Zeroizing::new(form.finish())
}

/// The header of HTTP Basic; name and secret are encoded as forms are (RFC 6749, section 2.3.1).
fn authorization(
    client_id: &str,
    authentication: ClientAuthentication<'_>,
    secrets: &mut Secrets,
) -> Option<(HeaderName, HeaderValue)> {
    let secret = match authentication {
        ClientAuthentication::None => return None,
        ClientAuthentication::Post(secret) => {
            secrets.add(secret);
            return None;
        }
        ClientAuthentication::Basic(secret) => secret,
    };
    let (id, encoded) = (form_encoded(client_id), form_encoded(secret));
    let pair = Zeroizing::new(format!("{}:{}", *id, *encoded));
    let pair = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    secrets.add(secret);
    secrets.add(&pair);
    let value = Zeroizing::new(format!("Basic {}", *pair));
    let mut value = HeaderValue::from_str(&value).expect("base64 is ASCII");
    value.set_sensitive(true);
    Some((AUTHORIZATION, value))
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Success {
    access_token: Zeroizing<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    refresh_token: Option<Zeroizing<String>>,
}

/// A number; some servers write it as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    /// What makes no sense is as if nothing had been said.
    fn duration(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        let said = Duration::try_from_secs_f64(seconds).ok()?;
        Some(said.min(TOKEN_LIFE_MOST))
    }
}

/// What an answer gives, if it is one that gives tokens.
fn tokens(answer: &Answer) -> Option<Tokens> {
    if !answer.is_success() {
        return None;
    }
    let success: Success = read(&answer.body)?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    let refresh_token = success.refresh_token.filter(|token| !token.is_empty());
    let is_right = success.token_type.as_ref().is_none_or(is_bearer)
        && is_token(&success.access_token, ACCESS_TOKEN_CHARS)
        && refresh_token
            .as_ref()
            .is_none_or(|token| is_token(token, REFRESH_TOKEN_CHARS));
    is_right.then(|| Tokens {
        access_token: success.access_token,
        refresh_token,
        expires_in: success.expires_in.and_then(|seconds| seconds.duration()),
    })
}

/// What RFC 6749, appendix A.12 and A.17, lets a token have.
fn is_token(token: &str, most: usize) -> bool {
    let is_visible = |byte: u8| (0x20..=0x7e).contains(&byte);
    !token.is_empty() && token.len() <= most && token.bytes().all(is_visible)
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Problem {
    error: String,
}

fn refused(answer: &Answer, secrets: &Secrets) -> RefreshError {
    if answer.is_success() {
        // It may hold tokens all the same, in a form that is not understood.
        return RefreshError::Refused {
            answer: answer.shown_without_body(secrets),
            is_final: false,
        };
    }
    let problem: Option<Problem> = read(&answer.body);
    let final_ones = [
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "invalid_target",
        "unsupported_grant_type",
    ];
    let is_final = matches!(answer.status, 400 | 401)
        && problem.is_some_and(|problem| final_ones.contains(&problem.error.as_str()));
    RefreshError::Refused {
        answer: answer.shown(secrets),
        is_final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Tokens> {
        tokens(&Answer::made(200, body.as_bytes(), true))
    }

    #[test]
    fn tokens_are_read_with_their_life() {
        let tokens = read(
            r#"{"access_token": "a", "token_type": "BEARER", "expires_in": 3600, "refresh_token": "r", "x": 1}"#,
        )
        .unwrap();
        assert_eq!(*tokens.access_token, "a");
        assert_eq!(*tokens.refresh_token.clone().unwrap(), "r");
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(3600)));
        assert!(!format!("{tokens:?}").contains('"'));
        let text = read(r#"{"access_token": "a", "expires_in": "60"}"#).unwrap();
        assert_eq!(text.expires_in, Some(Duration::from_secs(60)));
        for nonsense in ["-1", "1e999", "\"soon\"", "null"] {
            let body = format!(r#"{{"access_token": "a", "expires_in": {nonsense}}}"#);
            assert!(read(&body).is_none_or(|tokens| tokens.expires_in.is_none()));
        }
        let long = read(r#"{"access_token": "a", "expires_in": 1e15}"#).unwrap();
        assert_eq!(long.expires_in, Some(TOKEN_LIFE_MOST));
    }

    #[test]
    fn what_is_no_token_is_none() {
        for body in [
            "",
            "[]",
            r#"{"token_type": "bearer"}"#,
            r#"{"access_token": ""}"#,
            r#"{"access_token": "a\r\nx-evil: 1"}"#,
            r#"{"access_token": "a", "token_type": "mac"}"#,
            r#"{"access_token": "a", "refresh_token": "é"}"#,
        ] {
            assert!(read(body).is_none(), "{body}");
        }
        let long = format!(
            r#"{{"access_token": "{}"}}"#,
            "a".repeat(ACCESS_TOKEN_CHARS + 1)
        );
        assert!(read(&long).is_none());
    }
}
