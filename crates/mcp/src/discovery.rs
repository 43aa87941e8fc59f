//! Which authorization server gives tokens for an MCP server, and what it is asked before a person goes there: RFC 9728, RFC 8414 or OpenID Connect
//! Discovery, and RFC 7591.
//!
//! All of it is said by servers that may lie. So each address is asked under the policy and none is followed elsewhere, a document must be about
//! what it was asked for, and an endpoint is one of TLS.

use bailiwick_model::limits::{ACCESS_TOKEN_CHARS, OAUTH_DOCUMENT_BYTES};
use bailiwick_outbound::{Outbound, OutboundError};
use bailiwick_policy::Policy;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::answer::{Answer, Wanted};
use crate::outbound::{Redirects, Request, allowed, ask};
use crate::raw::read;

/// An authorization server, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// What it calls itself.
    pub issuer: String,
    /// Where a person goes.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Url,
    /// Where clients register, if they may.
    pub registration_endpoint: Option<Url>,
    /// Whether what a person brings back says whose it is (RFC 9207).
    pub says_issuer: bool,
    /// What tokens are asked for (RFC 8707); none of a server of before that.
    pub resource: Option<String>,
    /// What tokens are to allow, if the MCP server says so.
    pub scope: Option<String>,
}

/// Who one is to an authorization server.
#[derive(Clone)]
pub struct RegisteredAs {
    /// The client's id.
    pub client_id: String,
    /// Its secret, if it got one.
    pub client_secret: Option<Zeroizing<String>>,
    /// How it is shown.
    pub method: RegisteredMethod,
}

/// How a client shows that it is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisteredMethod {
    /// It does not.
    None,
    /// By HTTP Basic.
    Basic,
    /// In the body.
    Post,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It was not answered with one.
    #[error("{url} answered {status}, and no JSON object of at most {OAUTH_DOCUMENT_BYTES} bytes")]
    None {
        /// Where it would be.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// Nothing answered, or it may not be asked.
    #[error("{url} could not be asked: {source}")]
    NoAnswer {
        /// Where it would be.
        url: String,
        /// Why.
        source: OutboundError,
    },
}

/// Why it is not known who gives tokens for a server.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The server did not answer, or may not be asked.
    #[error("the MCP server could not be asked: {0}")]
    NoAnswer(#[source] OutboundError),
    /// The server answers without a token.
    #[error("the MCP server answered {0} without a token, and not 401: it wants none")]
    NotProtected(u16),
    /// A document could not be had.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The document about the server is about another one.
    #[error("the document about the MCP server is about {0:?}")]
    OtherResource(String),
    /// No authorization server is named.
    #[error("the document about the MCP server names no authorization server")]
    NoIssuer,
    /// The authorization server calls itself something else.
    #[error("the authorization server {asked:?} calls itself {said:?}")]
    OtherIssuer {
        /// Who was named.
        asked: String,
        /// Who it says it is.
        said: String,
    },
    /// Codes are not protected.
    #[error("the authorization server does not take PKCE with S256 (RFC 7636)")]
    NoPkce,
    /// An endpoint is none that may be used.
    #[error("the {0} is no https URL")]
    Endpoint(&'static str),
    /// An endpoint is where nothing may be asked.
    #[error("the {name} may not be reached: {source}")]
    NotAllowed {
        /// Which.
        name: &'static str,
        /// Why.
        source: OutboundError,
    },
    /// It does not take clients that register themselves.
    #[error("the authorization server registers no clients: name a client that is known there")]
    NoRegistration,
    /// It did not register this one.
    #[error("the authorization server answered {0} and registered no client")]
    NotRegistered(u16),
}

type Ways<'a> = (&'a Outbound, &'a Policy);

/// A JSON object at an address, which is not followed elsewhere.
///
/// # Errors
///
/// See [`DocumentError`].
pub async fn fetch_document(
    outbound: &Outbound,
    policy: &Policy,
    url: &Url,
) -> Result<Value, DocumentError> {
    let request = Request {
        method: Method::GET,
        url: url.clone(),
        headers: vec![(ACCEPT, HeaderValue::from_static("application/json"))],
        body: Bytes::new(),
        redirects: Redirects::Never,
    };
    let answer = ask((outbound, policy), request, Wanted::Whole, None).await;
    let answer = answer.map_err(|source| DocumentError::NoAnswer {
        url: url.to_string(),
        source,
    })?;
    object(&answer).ok_or_else(|| DocumentError::None {
        url: url.to_string(),
        status: answer.status,
    })
}

fn object(answer: &Answer) -> Option<Value> {
    let is_one = answer.is_success() && answer.body.len() <= OAUTH_DOCUMENT_BYTES;
    let value: Value = is_one.then(|| read(&answer.body))??;
    value.is_object().then_some(value)
}

/// Who gives tokens for an MCP server.
///
/// # Errors
///
/// See [`DiscoveryError`].
pub async fn discover(
    outbound: &Outbound,
    policy: &Policy,
    server: &Url,
) -> Result<AuthorizationServer, DiscoveryError> {
    let way = (outbound, policy);
    let challenge = challenge(way, server).await?;
    let resource = resource(way, server, challenge.metadata).await?;
    let (issuer, named) = match &resource {
        Some(resource) => {
            let issuer = resource.authorization_servers.first();
            (issuer.ok_or(DiscoveryError::NoIssuer)?.clone(), true)
        }
        // Revision 2025-03-26: the server is its own authorization server.
        None => (server.origin().ascii_serialization(), false),
    };
    let metadata = metadata(way, &issuer, server).await?;
    let mut found = metadata.checked(&issuer, server)?;
    let scopes = resource
        .as_ref()
        .map(|resource| resource.scopes_supported.join(" "));
    found.scope = challenge.scope.or(scopes).filter(|scope| !scope.is_empty());
    found.resource = resource.map(|resource| resource.resource).filter(|_| named);
    for (name, url) in [
        (
            "authorization endpoint",
            Some(&found.authorization_endpoint),
        ),
        ("token endpoint", Some(&found.token_endpoint)),
        (
            "registration endpoint",
            found.registration_endpoint.as_ref(),
        ),
    ] {
        if let Some(url) = url {
            let reached = allowed(way, url).await;
            reached.map_err(|source| DiscoveryError::NotAllowed { name, source })?;
        }
    }
    Ok(found)
}

/// What a server says to who shows no token (RFC 6750, section 3, and RFC 9728, section 5.1).
#[derive(Default)]
struct Challenge {
    metadata: Option<Url>,
    scope: Option<String>,
}

async fn challenge(way: Ways<'_>, server: &Url) -> Result<Challenge, DiscoveryError> {
    let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "bailiwick", "version": env!("CARGO_PKG_VERSION")},
    }});
    let both = HeaderValue::from_static("application/json, text/event-stream");
    let json = HeaderValue::from_static("application/json");
    let request = Request {
        method: Method::POST,
        url: server.clone(),
        headers: vec![(ACCEPT, both), (CONTENT_TYPE, json)],
        body: Bytes::from(begin.to_string()),
        redirects: Redirects::Never,
    };
    let answer = ask(way, request, Wanted::Head, None).await;
    let answer = answer.map_err(DiscoveryError::NoAnswer)?;
    if answer.status != 401 {
        return Err(DiscoveryError::NotProtected(answer.status));
    }
    let said = answer.header(WWW_AUTHENTICATE).unwrap_or_default();
    Ok(Challenge {
        metadata: parameter(said, "resource_metadata").and_then(|url| url.parse().ok()),
        scope: parameter(said, "scope"),
    })
}

/// A parameter of a challenge, as a token or a quoted text.
fn parameter(challenge: &str, wanted: &str) -> Option<String> {
    let mut rest = challenge;
    while let Some(at) = rest.find(wanted) {
        let is_whole = rest[..at].ends_with([' ', ',']);
        let after = rest[at + wanted.len()..].trim_start();
        if let Some(value) = after.strip_prefix('=').filter(|_| is_whole) {
            let value = value.trim_start();
            let text = match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => value.split([',', ' ']).next(),
            };
            return text.map(str::to_owned).filter(|text| !text.is_empty());
        }
        rest = &rest[at + wanted.len()..];
    }
    None
}

/// RFC 9728, section 2.
#[derive(Deserialize)]
struct Resource {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// The document about a server; none if there is none at all.
async fn resource(
    way: Ways<'_>,
    server: &Url,
    named: Option<Url>,
) -> Result<Option<Resource>, DiscoveryError> {
    let is_named = named.is_some();
    let places = match named {
        Some(url) => vec![url],
        None => known_places(server, "oauth-protected-resource"),
    };
    let Some(document) = first(way, &places, is_named).await? else {
        return Ok(None);
    };
    let resource: Resource =
        serde_json::from_value(document).map_err(|_| DiscoveryError::NoIssuer)?;
    let about = Url::parse(&resource.resource).ok();
    let is_about = about.is_some_and(|about| {
        let inside = server
            .path()
            .strip_prefix(about.path().trim_end_matches('/'));
        about.origin() == server.origin()
            && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_about {
        Ok(Some(resource))
    } else {
        Err(DiscoveryError::OtherResource(resource.resource))
    }
}

/// The first of these that is a document. Only one that is not there is passed over, and none that was named.
async fn first(
    way: Ways<'_>,
    places: &[Url],
    is_named: bool,
) -> Result<Option<Value>, DiscoveryError> {
    for url in places {
        match fetch_document(way.0, way.1, url).await {
            Ok(document) => return Ok(Some(document)),
            Err(DocumentError::None { status, .. })
                if (400..500).contains(&status) && !is_named => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Where a document about something is: between its host and its path, and at its host.
fn known_places(about: &Url, name: &str) -> Vec<Url> {
    let path = about.path().trim_end_matches('/');
    let mut places = Vec::new();
    for path in [path, ""] {
        let mut url = about.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&format!("/.well-known/{name}{path}"));
        if !places.contains(&url) {
            places.push(url);
        }
    }
    places
}

/// RFC 8414, section 2.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

async fn metadata(way: Ways<'_>, issuer: &str, server: &Url) -> Result<Metadata, DiscoveryError> {
    // Who is on the way to a document names the endpoints.
    let url = endpoint(issuer, "issuer", server)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: &str| {
        let mut place = url.clone();
        place.set_path(path);
        place
    };
    let mut places = vec![
        at(&format!("/.well-known/oauth-authorization-server{path}")),
        at(&format!("/.well-known/openid-configuration{path}")),
    ];
    if !path.is_empty() {
        places.push(at(&format!("{path}/.well-known/openid-configuration")));
    }
    let document = first(way, &places, false).await?;
    let document = document.ok_or_else(|| DocumentError::None {
        url: places[0].to_string(),
        status: 404,
    })?;
    serde_json::from_value(document).map_err(|_| DiscoveryError::NoIssuer)
}

impl Metadata {
    /// What it says, if it speaks for this issuer and can be used.
    fn checked(self, asked: &str, server: &Url) -> Result<AuthorizationServer, DiscoveryError> {
        // Who speaks for another one would have codes of that one sent to itself (RFC 8414, section 3.3).
        if self.issuer.trim_end_matches('/') != asked.trim_end_matches('/') {
            return Err(DiscoveryError::OtherIssuer {
                asked: asked.to_owned(),
                said: self.issuer,
            });
        }
        let mut methods = self.code_challenge_methods_supported.iter();
        if !methods.any(|method| method == "S256") {
            return Err(DiscoveryError::NoPkce);
        }
        let registration = self.registration_endpoint.as_deref();
        let registration = registration.map(|text| endpoint(text, "registration endpoint", server));
        Ok(AuthorizationServer {
            authorization_endpoint: endpoint(
                &self.authorization_endpoint,
                "authorization endpoint",
                server,
            )?,
            token_endpoint: endpoint(&self.token_endpoint, "token endpoint", server)?,
            registration_endpoint: registration.transpose()?,
            says_issuer: self.authorization_response_iss_parameter_supported,
            issuer: self.issuer,
            resource: None,
            scope: None,
        })
    }
}

/// An endpoint is asked over TLS; on this machine as its MCP server is.
fn endpoint(text: &str, name: &'static str, server: &Url) -> Result<Url, DiscoveryError> {
    let no = || DiscoveryError::Endpoint(name);
    let url = Url::parse(text).map_err(|_| no())?;
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_secure =
        url.scheme() == "https" || (url.scheme() == "http" && is_here && server.scheme() == "http");
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_secure && is_plain {
        Ok(url)
    } else {
        Err(no())
    }
}

/// RFC 7591, section 3.2.1.
#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<Zeroizing<String>>,
    token_endpoint_auth_method: Option<String>,
}

/// Registers a client that brings people back to this address.
///
/// # Errors
///
/// See [`DiscoveryError`].
pub async fn register(
    outbound: &Outbound,
    policy: &Policy,
    server: &AuthorizationServer,
    redirect_uri: &str,
) -> Result<RegisteredAs, DiscoveryError> {
    let endpoint = server.registration_endpoint.as_ref();
    let endpoint = endpoint.ok_or(DiscoveryError::NoRegistration)?;
    let body = json!({
        "client_name": "Bailiwick",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let json = HeaderValue::from_static("application/json");
    let request = Request {
        method: Method::POST,
        url: endpoint.clone(),
        headers: vec![(ACCEPT, json.clone()), (CONTENT_TYPE, json)],
        body: Bytes::from(body.to_string()),
        redirects: Redirects::Never,
    };
    let answer = ask((outbound, policy), request, Wanted::Whole, None).await;
    let answer = answer.map_err(DiscoveryError::NoAnswer)?;
    let read = || -> Option<Registered> { serde_json::from_value(object(&answer)?).ok() };
    let registered = read().and_then(Registered::usable);
    registered.ok_or(DiscoveryError::NotRegistered(answer.status))
}

impl Registered {
    fn usable(self) -> Option<RegisteredAs> {
        let is_text = |text: &str| {
            !text.is_empty()
                && text.len() <= ACCESS_TOKEN_CHARS
                && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        };
        let secret = self.client_secret.filter(|secret| !secret.is_empty());
        let method = match (self.token_endpoint_auth_method.as_deref(), &secret) {
            (Some("none"), _) | (_, None) => RegisteredMethod::None,
            (Some("client_secret_post"), Some(_)) => RegisteredMethod::Post,
            (Some("client_secret_basic") | None, Some(_)) => RegisteredMethod::Basic,
            (Some(_), Some(_)) => return None,
        };
        let fits = is_text(&self.client_id) && secret.as_ref().is_none_or(|text| is_text(text));
        fits.then_some(RegisteredAs {
            client_id: self.client_id,
            client_secret: secret.filter(|_| method != RegisteredMethod::None),
            method,
        })
    }
}

#[cfg(test)]
#[path = "discovery/tests.rs"]
mod tests;
