//! `web_fetch` of a session: pages that this server fetches, under the egress policy that the session's sandbox has or would have.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bailiwick_fetch::{FetchError, Page, Visitor, Web};
use bailiwick_llm::Block;
use bailiwick_model::{OrganizationId, SandboxId, SessionEventId, SessionId};
use bailiwick_outbound::Account;
use bailiwick_runtime::BoxFuture;
use bailiwick_tools::web::{
    Domains, FetchProblem, Fetched, Fetcher, KnownUrls, Origin, UrlSource, UrlSources, WebFetch,
};
use bailiwick_tools::{Context, ToolResult};
use bailiwick_wire::WebFetch as Configured;
use serde_json::Value;
use url::Url;

use super::history::{Entry, Speaker, Tool};
use crate::control::Control;
use crate::error::ControlError;
use crate::flows::FlowsOf;
use crate::fresh;
use crate::sessions::corrupt;

/// What the tool is called.
pub(crate) const WEB_FETCH: &str = "web_fetch";

/// The tool as one session has it.
pub(crate) struct SessionWeb {
    tool: Option<WebFetch>,
    /// The tools of calls that have no result yet: where a text came from decides whether its URLs may be fetched.
    called: BTreeMap<SessionEventId, Tool>,
}

/// The way to pages, for one session.
struct Pages {
    web: Web,
    control: Arc<Control>,
    organization: OrganizationId,
    session: SessionId,
    /// What flows are counted to. It is no sandbox of the session's, which need not have one.
    sandbox: SandboxId,
    /// With whom they are kept, once something is fetched.
    account: OnceLock<Arc<Account>>,
}

impl SessionWeb {
    /// Nothing is fetched.
    pub(crate) fn none() -> Self {
        Self {
            tool: None,
            called: BTreeMap::new(),
        }
    }

    /// As the agent has it.
    pub(crate) fn new(
        (control, web): (&Arc<Control>, &Web),
        (organization, session): (&OrganizationId, &SessionId),
        configured: Option<&Configured>,
    ) -> Result<Self, ControlError> {
        let pages = Pages {
            web: web.clone(),
            control: Arc::clone(control),
            organization: organization.clone(),
            session: session.clone(),
            sandbox: SandboxId::from_random(u64::from_ne_bytes(fresh::random())),
            account: OnceLock::new(),
        };
        let sources = configured.and_then(|configured| configured.url_sources.as_ref());
        let most = configured.and_then(|configured| configured.max_content_tokens);
        Ok(Self {
            tool: Some(WebFetch {
                fetcher: Arc::new(pages),
                domains: domains(configured)?,
                max_content_tokens: most.and_then(|most| u64::try_from(most).ok()),
                known: sources.map(|sources| Arc::new(KnownUrls::new(known(sources)))),
            }),
            called: BTreeMap::new(),
        })
    }

    /// The tool, for one call.
    pub(crate) fn tool(&self) -> Option<WebFetch> {
        self.tool.clone()
    }

    /// Takes note of URLs in what happened.
    pub(crate) fn note(&mut self, entry: &Entry) {
        let Some(known) = self.tool.as_ref().and_then(|tool| tool.known.as_ref()) else {
            return;
        };
        match entry {
            Entry::Said(said) => match said.by {
                Speaker::User => note(known, Origin::User, &said.content),
                Speaker::System => {}
            },
            Entry::Answered(answer) => {
                let calls = answer.calls.iter();
                self.called
                    .extend(calls.map(|call| (call.id.clone(), call.tool.clone())));
            }
            Entry::Resulted(id, outcome) => match self.called.remove(id) {
                Some(Tool::Custom(name)) => {
                    note(known, Origin::ClientTool(&name), &outcome.content);
                }
                Some(Tool::BuiltIn(name)) if name == WEB_FETCH => {
                    note(known, Origin::ServerTool(&name), &outcome.content);
                }
                Some(Tool::BuiltIn(_) | Tool::Elsewhere(_) | Tool::Mcp { .. }) | None => {}
            },
            Entry::Interrupted(_)
            | Entry::TakenUp(_)
            | Entry::Begun(_)
            | Entry::Confirmed(..)
            | Entry::Compacted(_)
            | Entry::GaveUp => {}
        }
    }
}

/// Runs a call; what the agent does not have is told.
pub(crate) async fn call(tool: Option<WebFetch>, input: Value, context: &Context) -> ToolResult {
    match tool {
        Some(tool) => tool.call(input, context).await,
        None => ToolResult {
            content: vec![bailiwick_tools::Block::Text {
                text: "this server fetches no pages for this session".to_owned(),
            }],
            is_error: true,
        },
    }
}

fn note(known: &KnownUrls, origin: Origin<'_>, content: &[Block]) {
    for block in content {
        if let Block::Text(text) = block {
            known.note(origin, &text.text);
        }
    }
}

fn domains(configured: Option<&Configured>) -> Result<Domains, ControlError> {
    let Some(domains) = configured.map(|configured| &configured.domains) else {
        return Ok(Domains::Any);
    };
    let names = |names: &Vec<String>| {
        let names = names
            .iter()
            .map(|name| bailiwick_policy::normalise_host(name));
        names
            .collect::<Result<_, _>>()
            .map_err(|_| corrupt("agent"))
    };
    Ok(match (&domains.allowed_domains, &domains.blocked_domains) {
        (Some(allowed), _) => Domains::Allowed(names(allowed)?),
        (None, Some(blocked)) => Domains::Blocked(names(blocked)?),
        (None, None) => Domains::Any,
    })
}

fn known(sources: &bailiwick_wire::UrlSources) -> UrlSources {
    let source = |source: &Option<bailiwick_wire::UrlSource>| {
        let names = |tools: &[bailiwick_wire::ToolReference]| {
            tools.iter().map(|tool| tool.name.clone()).collect()
        };
        match source {
            None | Some(bailiwick_wire::UrlSource::All) => UrlSource::All,
            Some(bailiwick_wire::UrlSource::None) => UrlSource::None,
            Some(bailiwick_wire::UrlSource::Only { tools }) => UrlSource::Only(names(tools)),
            Some(bailiwick_wire::UrlSource::Except { tools }) => UrlSource::Except(names(tools)),
        }
    };
    UrlSources {
        user_input: source(&sources.user_input),
        client_tool_results: source(&sources.client_tool_results),
        server_tool_results: source(&sources.server_tool_results),
    }
}

impl Fetcher for Pages {
    fn fetch<'a>(
        &'a self,
        url: &'a Url,
        limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchProblem>> {
        Box::pin(async move {
            // Each time: what holds may have changed since the last URL.
            let boundary = self
                .control
                .session_boundary_now(&self.organization, &self.session);
            let boundary = boundary.await.map_err(|error| {
                tracing::warn!(session = %self.session, %error, "no page is fetched: the policy cannot be read");
                FetchProblem::NoPolicy
            })?;
            let policy = boundary.uncompiled.compile();
            let whose = FlowsOf {
                organization: self.organization.clone(),
                session: Some(self.session.clone()),
                environment: boundary.environment_id,
            };
            let name = Some(boundary.environment.clone());
            let account = self.account.get_or_init(|| {
                let account = self.control.account(whose, self.sandbox.clone(), name);
                Arc::new(account)
            });
            let visitor = Visitor {
                policy: &policy,
                account: Arc::clone(account),
            };
            let got = self.web.get(&visitor, url, limit_bytes).await;
            let Page {
                status,
                media_type,
                location,
                body,
            } = got.map_err(|error| problem(error, &boundary.environment))?;
            Ok(Fetched {
                status,
                media_type,
                location,
                body,
            })
        })
    }
}

fn problem(error: FetchError, environment: &bailiwick_model::EnvironmentName) -> FetchProblem {
    match error {
        FetchError::Denied(decision) => FetchProblem::Denied {
            reason: decision.reason,
            environment: format!("environment {environment}"),
            hint: decision.hint,
        },
        FetchError::Url => FetchProblem::Unreachable("its host cannot be asked over HTTP"),
        FetchError::Dial(error) => FetchProblem::Unreachable(match &*error {
            bailiwick_dial::DialError::NameNotFound => "the name does not resolve",
            bailiwick_dial::DialError::Unreachable(_) | bailiwick_dial::DialError::Denied(_) => {
                "nobody answers there"
            }
        }),
        FetchError::Tls(_) => FetchProblem::Unreachable(
            "TLS failed: its certificate is not one for this name that is trusted here",
        ),
        FetchError::Timeout => FetchProblem::Unreachable("it took too long"),
        FetchError::TooLarge(most) => FetchProblem::TooLarge(most),
        FetchError::Http(_) | FetchError::Encoding => FetchProblem::Malformed,
    }
}
