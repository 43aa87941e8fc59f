//! The tool `web_fetch`: pages of the web, fetched outside of the sandbox.
//!
//! The hosted service fetches wherever its own servers reach. Here a page is fetched under the egress policy of the environment, by a
//! [`Fetcher`] that holds to it; what is checked in this module (the lists of domains, where a URL comes from) only narrows that. Every
//! redirect is checked as the first URL is.

use std::sync::Arc;

use bailiwick_model::limits;
use bailiwick_runtime::BoxFuture;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

mod address;
mod known;
mod page;

pub use address::Domains;
pub use known::{KnownUrls, Origin, UrlSource, UrlSources};

use crate::input::{Fields, InputProblem, explain};
use crate::result::ToolResult;
use crate::{Context, Tool};

/// `web_fetch` as an agent has it.
#[derive(Clone)]
pub struct WebFetch {
    /// What fetches.
    pub fetcher: Arc<dyn Fetcher>,
    /// Where it may go.
    pub domains: Domains,
    /// The most of a page that is shown, in tokens; one is counted as [`limits::WEB_TOKEN_BYTES`] bytes of its text.
    pub max_content_tokens: Option<u64>,
    /// The URLs that may be fetched; every one where there is none.
    pub known: Option<Arc<KnownUrls>>,
}

/// What fetches one URL, under the egress policy of the environment, and follows no redirect.
pub trait Fetcher: Send + Sync {
    /// Asks for `url` with GET, without cookies or credentials. `url` is http or https, with a host and without user information.
    ///
    /// # Errors
    ///
    /// See [`FetchProblem`].
    fn fetch<'a>(
        &'a self,
        url: &'a Url,
        limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchProblem>>;
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The status of HTTP.
    pub status: u16,
    /// `Content-Type`, as it was sent.
    pub media_type: Option<String>,
    /// `Location`, as it was sent.
    pub location: Option<String>,
    /// The body, without any content encoding.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchProblem {
    /// The egress policy.
    #[error("denied ({reason}) by the policy of {environment}{}", hint.as_deref().map(|hint| format!("; what would change that: {hint}")).unwrap_or_default())]
    Denied {
        /// The step that decided.
        reason: bailiwick_model::Reason,
        /// `environment NAME`.
        environment: String,
        /// What would allow it.
        hint: Option<String>,
    },
    /// The name does not resolve, nobody answers, or TLS failed.
    #[error("it could not be reached ({0})")]
    Unreachable(&'static str),
    /// More bytes than the limit.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// What came is no HTTP.
    #[error("the answer is no HTTP")]
    Malformed,
    /// Nobody can say now what the egress policy is, so nothing is fetched.
    #[error("the policy of the environment cannot be read now")]
    NoPolicy,
}

/// Why nothing is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Address(#[from] address::AddressProblem),
    #[error(
        "this URL was not mentioned before in the session, where this agent may take its URLs from"
    )]
    NotKnown,
    #[error("{url}: {problem}")]
    Fetch { url: String, problem: FetchProblem },
    #[error("{url}: no whole answer in {} s", limits::WEB_FETCH_TIME.as_secs())]
    Timeout { url: String },
    #[error("more than {} redirects", limits::WEB_FETCH_REDIRECTS)]
    Redirects,
    #[error("{url}: the server answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url}: {problem}")]
    Page {
        url: String,
        problem: page::PageProblem,
    },
}

/// What is asked of it.
pub(crate) struct Request {
    url: String,
}

impl Request {
    pub(crate) fn read(input: Value) -> Result<Self, InputProblem> {
        let mut fields = Fields::new(input)?;
        let url = fields.text("url", limits::WEB_URL_BYTES)?;
        fields.done()?;
        Ok(Self { url })
    }
}

impl WebFetch {
    /// Runs a call to its end, without any sandbox. What is wrong with it is told to the model.
    pub async fn call(&self, input: Value, context: &Context) -> ToolResult {
        let request = match Request::read(input) {
            Ok(request) => request,
            Err(problem) => return ToolResult::error(explain(Tool::WebFetch, &problem)),
        };
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => ToolResult::error("interrupted by the user"),
            result = self.run(&request) => result,
        }
    }

    pub(crate) async fn run(&self, request: &Request) -> ToolResult {
        match self.show(&request.url).await {
            Ok(result) => result,
            Err(problem) => ToolResult::error(problem),
        }
    }

    async fn show(&self, url: &str) -> Result<ToolResult, Problem> {
        let url = address::parse(url)?;
        if self.known.as_ref().is_some_and(|known| !known.has(&url)) {
            return Err(Problem::NotKnown);
        }
        let fetching = self.follow(url.clone());
        let Ok(fetched) = timeout(limits::WEB_FETCH_TIME, fetching).await else {
            return Err(Problem::Timeout {
                url: url.to_string(),
            });
        };
        let (url, fetched) = fetched?;
        if !(200..300).contains(&fetched.status) {
            return Err(Problem::Status {
                url: url.to_string(),
                status: fetched.status,
            });
        }
        let most = self.max_content_tokens;
        page::show(&url, &fetched, most).map_err(|problem| Problem::Page {
            url: url.to_string(),
            problem,
        })
    }

    /// The answer that is no redirect, and where it came from.
    async fn follow(&self, mut url: Url) -> Result<(Url, Fetched), Problem> {
        for _ in 0..=limits::WEB_FETCH_REDIRECTS {
            self.domains.check(&url)?;
            let fetched = self.fetcher.fetch(&url, limits::WEB_FETCH_BYTES).await;
            let fetched = fetched.map_err(|problem| Problem::Fetch {
                url: url.to_string(),
                problem,
            })?;
            match (fetched.status, &fetched.location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    url = address::next(&url, location)?;
                }
                _ => return Ok((url, fetched)),
            }
        }
        Err(Problem::Redirects)
    }
}

#[cfg(test)]
mod tests;
