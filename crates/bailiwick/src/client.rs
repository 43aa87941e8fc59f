//! The client of a server, for whoever holds a key: its `/api`, and of `/v1` what stands only there.
//!
//! It connects by itself and not through `dial`, which decides what sandboxes and agents may reach: here a person reaches a server of
//! their choice, most often on this machine, which `dial` never lets anybody reach.

mod answer;
mod collection;
mod follow;
mod form;
mod records;
mod refusal;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use reqwest::redirect::Policy;
use reqwest::{Method, NoProxy, Proxy, Response};
use serde_json::Value;
use url::{Host, Url};

use crate::host_environment::HostEnvironment;
pub(crate) use answer::{AnswerForm, Column, print_list, print_one};
pub(crate) use collection::{
    AGENTS, Collection, ENVIRONMENTS, FILES, KNOWLEDGE_CONNECTORS, LLM_PROXIES, MCP_CATALOG,
    MCP_GATEWAYS, MEMBERS, MODEL_UPSTREAMS, ROLES, SERVICE_ACCOUNTS, SESSIONS, SKILLS, TEAMS,
    VAULTS, name_key,
};
pub(crate) use follow::{Event, Follow};
pub(crate) use form::{FormFile, Upload};
pub(crate) use records::Records;
pub(crate) use refusal::Refusal;

/// The server of a machine on which nothing was configured.
const USUAL_SERVER: &str = "http://127.0.0.1:8080";
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may take, the verification of a large log included.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Which server, and how it is reached.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArguments {
    /// The server [default: $BAILIWICK_SERVER, else http://127.0.0.1:8080]. The key is $BAILIWICK_API_KEY.
    #[arg(long, value_name = "URL")]
    server: Option<Url>,
    /// Send the key without TLS to another machine, too.
    #[arg(long)]
    plain_http: bool,
}

/// One server, as the holder of one key.
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    key: String,
    runtime: tokio::runtime::Runtime,
}

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No key was given.
    #[error(
        "BAILIWICK_API_KEY is not set: it is the key that the server's first start printed, or one of `bailiwick key create`"
    )]
    NoKey,
    /// The key holds what no header can.
    #[error("BAILIWICK_API_KEY is not a key")]
    NotAKey,
    /// The URL is none of a server.
    #[error("{0} is no server: write http://HOST:PORT or https://HOST")]
    NotAServer(String),
    /// Whoever is in between would see the key.
    #[error(
        "{0} is another machine, and would get the key without TLS: use https, or allow it with --plain-http"
    )]
    PlainHttp(Url),
    /// It did not answer.
    #[error(
        "cannot reach {server}: is `bailiwick up` running there? Another server is named by --server or BAILIWICK_SERVER"
    )]
    Unreachable { server: Url, source: reqwest::Error },
    /// It refused.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Something else answered.
    #[error("{0} does not answer as a server of this version does")]
    NotUnderstood(Url),
    /// Nothing has the name.
    #[error("there is no {noun} {text:?}; `{listed_by}` lists them")]
    Nothing {
        noun: &'static str,
        text: String,
        listed_by: &'static str,
    },
    /// Several have the name.
    #[error("several have the name: {noun} {text:?} may be {}; write the id", .ids.join(" or "))]
    Several {
        noun: &'static str,
        text: String,
        ids: Vec<String>,
    },
}

impl ClientError {
    /// Whether it was what was typed, and not the server or the network.
    pub(crate) fn is_bad_input(&self) -> bool {
        match self {
            Self::NoKey
            | Self::NotAKey
            | Self::NotAServer(_)
            | Self::PlainHttp(_)
            | Self::Nothing { .. }
            | Self::Several { .. } => true,
            Self::Refused(refusal) => refusal.is_final(),
            Self::Unreachable { .. } | Self::NotUnderstood(_) => false,
        }
    }
}

impl Client {
    /// Nothing is sent yet.
    pub(crate) fn new(arguments: &ServerArguments, host: &HostEnvironment) -> anyhow::Result<Self> {
        let server = server(arguments, host)?;
        let key = host.api_key.clone().ok_or(ClientError::NoKey)?;
        Ok(Self {
            http: http(&server, host)?,
            server,
            key,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// What is at this path.
    pub(crate) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.json(&self.get_text(path, query)?)
    }

    /// What is at this path, to the letter.
    pub(crate) fn get_text(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<String> {
        self.answer(self.http.get(self.url_with(path, query)?))
    }

    /// What is found at this path by a body. Nothing changes.
    fn ask(&self, path: &[&str], query: &[(&str, &str)], body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(self.url_with(path, query)?);
        self.json(&self.answer(request.json(body))?)
    }

    /// Does something with what is at this path; `version` is the one that must still be there.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        version: Option<i64>,
    ) -> anyhow::Result<Value> {
        self.send_with(method, path, &[], body, version)
    }

    /// The same, with more to say beside the path.
    pub(crate) fn send_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        version: Option<i64>,
    ) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, self.url_with(path, query)?);
        if let Some(version) = version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.json(&self.answer(request)?)
    }

    fn url_with(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, ClientError> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn url(&self, path: &[&str]) -> Result<Url, ClientError> {
        let mut url = self.server.clone();
        url.path_segments_mut()
            .map_err(|()| ClientError::NotAServer(self.server.to_string()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    fn json(&self, text: &str) -> anyhow::Result<Value> {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        let value = serde_json::from_str(text);
        Ok(value.map_err(|_| self.not_understood())?)
    }

    /// What answered is not what it should be.
    pub(crate) fn not_understood(&self) -> ClientError {
        ClientError::NotUnderstood(self.server.clone())
    }

    fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<String> {
        self.runtime.block_on(self.whole(request))
    }

    async fn whole(&self, request: reqwest::RequestBuilder) -> anyhow::Result<String> {
        let text = self.response(request).await?.text().await;
        Ok(text.map_err(|source| self.unreachable(source))?)
    }

    /// An answer that says yes, whose body has yet to come.
    fn begun(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Response> {
        Ok(self.runtime.block_on(self.response(request))?)
    }

    async fn response(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let unreachable = |source| self.unreachable(source);
        let request = request.header("x-api-key", &self.key);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(unreachable)?;
        Err(match Refusal::read(status, &text) {
            Some(refusal) => ClientError::Refused(Box::new(refusal)),
            None => self.not_understood(),
        })
    }

    /// Waits for what several requests come to.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Sends events to a session, and answers with them as they are there.
    pub(crate) async fn say(&self, session: &str, events: &Value) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(self.url(&["v1", "sessions", session, "events"])?);
        let body = serde_json::json!({"events": events});
        self.json(&self.whole(request.json(&body)).await?)
    }

    /// Why nothing came of a request.
    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        if source.is_builder() {
            return ClientError::NotAKey;
        }
        let server = self.server.clone();
        ClientError::Unreachable { server, source }
    }
}

/// What connects to a server, and to no other: it follows no redirections, so that nobody else gets the key.
pub(crate) fn http(server: &Url, host: &HostEnvironment) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
        // The variables are read in one place, as everywhere.
        .no_proxy();
    if let Some(proxy) = proxy(server, host)? {
        builder = builder.proxy(proxy);
    }
    builder.build().context("cannot prepare to connect")
}

fn server(arguments: &ServerArguments, host: &HostEnvironment) -> Result<Url, ClientError> {
    let url = match (&arguments.server, &host.server) {
        (Some(url), _) => url.clone(),
        (None, variable) => {
            let text = variable.as_deref().unwrap_or(USUAL_SERVER);
            Url::parse(text).map_err(|_| ClientError::NotAServer(text.to_owned()))?
        }
    };
    checked(url, arguments.plain_http)
}

/// The address of a server to which a key may be sent: over TLS, or to this machine, unless `plain_http` allows another one.
pub(crate) fn checked(url: Url, plain_http: bool) -> Result<Url, ClientError> {
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    match url.scheme() {
        "https" if is_plain => Ok(url),
        "http" if is_plain && (is_this_machine(&url) || plain_http) => Ok(url),
        "http" if is_plain => Err(ClientError::PlainHttp(url)),
        // A secret in it is not shown.
        _ => Err(ClientError::NotAServer(
            url.host_str().unwrap_or("what was given").to_owned(),
        )),
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// The proxy between this machine and the server, as the variables say.
fn proxy(server: &Url, host: &HostEnvironment) -> anyhow::Result<Option<Proxy>> {
    let variables = &host.proxy;
    let named = match server.scheme() {
        "https" => &variables.https_proxy,
        _ => &variables.http_proxy,
    };
    let Some(url) = named.as_ref().or(variables.all_proxy.as_ref()) else {
        return Ok(None);
    };
    if is_this_machine(server) {
        return Ok(None);
    }
    let proxy = Proxy::all(url).context("the proxy of the environment cannot be used")?;
    let except = variables.no_proxy.as_deref().and_then(NoProxy::from_string);
    Ok(Some(proxy.no_proxy(except)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(url: &str, plain_http: bool) -> bool {
        let arguments = ServerArguments {
            server: Some(Url::parse(url).unwrap()),
            plain_http,
        };
        server(&arguments, &HostEnvironment::read()).is_ok()
    }

    #[test]
    fn a_key_goes_without_tls_to_this_machine_alone() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:1/",
            "https://example.com",
        ] {
            assert!(allowed(url, false), "{url}");
        }
        for url in [
            "http://example.com",
            "http://192.0.2.1:8080",
            "http://localhost.example.com",
        ] {
            assert!(!allowed(url, false), "{url}");
            assert!(allowed(url, true), "{url}");
        }
        for url in [
            "ftp://example.com",
            "https://user:secret@example.com",
            "https://example.com/?a=b",
        ] {
            assert!(!allowed(url, true), "{url}");
        }
    }
}
