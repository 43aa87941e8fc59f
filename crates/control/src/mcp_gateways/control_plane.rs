//! The control plane as an MCP server: each of its tools is a use case, asked with its caller's permissions and for the gateway's environment alone.
//! Searching what the environment knows is for everybody who may open the gateway, as the tools of its other servers are. No URL leads to it, and no
//! entry of the catalog can be called like it.

mod answers;
mod search;
mod tool;

use std::sync::{Arc, OnceLock, Weak};

use bailiwick_mcp::{
    Bytes, InProcess, InProcessError, InProcessFuture, Item, Joined, LocalMember, ServerName, Talk,
    Verdict,
};
use bailiwick_model::limits::CONTROL_PLANE_ARGUMENT_BYTES;
use bailiwick_model::{EnvironmentId, McpGatewayId, OrganizationId, ResourceId as _};
use bailiwick_store::{KnowledgeHit, SnippetPart};
use serde::Deserialize;
use serde_json::{Value, json};

use super::backing::{GatewayBacking, Who};
use super::serving::McpGateways;
use crate::caller::Caller;
use crate::error::ControlError;
use crate::knowledge::KnowledgeAnswer;
use crate::mcp_catalog::BUILT_IN;
use crate::mcp_matching::Matched;
use tool::Tool;

/// What it is called in gateways.
const NAME: &str = BUILT_IN[0];

/// The control plane, as one caller of one gateway sees it.
pub(super) struct ControlPlane {
    gateways: Arc<McpGateways>,
    organization: OrganizationId,
    gateway: McpGatewayId,
    who: Arc<Who>,
    /// What it is joined with, once it is.
    among: Among,
}

/// The servers of a view, for one of them.
pub(super) type Among = Arc<OnceLock<Weak<Joined<GatewayBacking>>>>;

/// An error of JSON-RPC (section 5.1, "Internal error").
pub(super) fn refusal(message: &str) -> InProcessError {
    let error = json!({"code": -32603, "message": message});
    InProcessError::Refused(error.to_string().into())
}

/// Whether a server is this one: no entry of the catalog has its name.
pub(super) fn is_it(server: &ServerName) -> bool {
    server.as_str() == NAME
}

/// Whether a caller of a gateway is served a thing of this server.
pub(super) fn judge(item: Item<'_>, caller: &Caller, matched: &Matched) -> Verdict {
    let tool = match item {
        Item::Tool(name) => Tool::of(name),
        Item::Prompt(_) | Item::Resource(_) | Item::Template(_) => None,
    };
    match tool {
        Some(tool) if tool.is_for(caller, matched) => Verdict::Served,
        Some(_) | None => Verdict::Hidden,
    }
}

/// What a tool is called with.
#[derive(Deserialize)]
struct Called {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
}

impl ControlPlane {
    pub(super) fn new(
        gateways: &Arc<McpGateways>,
        organization: &OrganizationId,
        gateway: &McpGatewayId,
        (who, among): (&Arc<Who>, &Among),
    ) -> Self {
        Self {
            gateways: Arc::clone(gateways),
            organization: organization.clone(),
            gateway: gateway.clone(),
            who: Arc::clone(who),
            among: Arc::clone(among),
        }
    }

    /// As a member of a gateway.
    pub(super) fn member(self) -> LocalMember {
        LocalMember {
            name: NAME.parse().expect("a name of a server"),
            server: Arc::new(self),
        }
    }

    /// The gateway's environment, as it is now.
    async fn environment(&self) -> Result<EnvironmentId, ControlError> {
        let (doors, control) = (&self.gateways.doors, &self.gateways.control);
        let found = doors.find(control, &self.organization, self.gateway.as_str());
        Ok(found.await?.matched.environment().clone())
    }

    /// What a tool answers, in the environment of the gateway.
    async fn answer(&self, tool: Tool, arguments: Value) -> Result<Answer, ControlError> {
        let environment = self.environment().await?;
        let control = &self.gateways.control;
        match tool {
            Tool::SearchTools => {
                let among = self.among.get().and_then(Weak::upgrade);
                let found = search::tools(among.as_deref(), arguments).await;
                found.map(Answer::Value)
            }
            Tool::SearchKnowledge => {
                let scope = control.store.scope(&self.organization);
                let of = scope.in_environment(&environment);
                let found = control.call_search_knowledge(of, &arguments).await;
                found.map(Answer::Found)
            }
            Tool::EnvironmentList
            | Tool::EnvironmentGet
            | Tool::Explain
            | Tool::CatalogList
            | Tool::SessionList
            | Tool::SessionGet
            | Tool::LimitList
            | Tool::Usage
            | Tool::FlowList => {
                let caller = self.who.caller();
                let place = (control, &environment);
                let answered = answers::answer(place, &caller, (tool, arguments)).await;
                answered.map(Answer::Value)
            }
        }
    }

    async fn call(&self, params: Bytes) -> Result<Bytes, InProcessError> {
        if params.len() > CONTROL_PLANE_ARGUMENT_BYTES {
            return Err(refusal("the arguments are too long"));
        }
        let called: Called = serde_json::from_slice(&params)
            .map_err(|_| refusal("the call does not say which tool"))?;
        let tool = Tool::of(&called.name).ok_or_else(|| refusal("unknown tool"))?;
        let arguments = called.arguments.unwrap_or_else(|| json!({}));
        let result = match self.answer(tool, arguments).await {
            Ok(Answer::Value(answer)) => json!({
                "content": [{"type": "text", "text": answer.to_string()}],
                "structuredContent": answer,
            }),
            Ok(Answer::Found(found)) => json!({
                "content": [{"type": "text", "text": found.text}],
                "structuredContent": {"results": found.results.iter().map(hit).collect::<Vec<_>>()},
                "isError": found.is_error,
            }),
            Err(error) => json!({
                "content": [{"type": "text", "text": told(&error)}],
                "isError": true,
            }),
        };
        Ok(result.to_string().into())
    }
}

/// What a tool answers.
enum Answer {
    Value(Value),
    Found(KnowledgeAnswer),
}

/// What is found, for programs.
fn hit(hit: &KnowledgeHit) -> Value {
    let snippet: String = hit.snippet.iter().map(SnippetPart::text).collect();
    json!({
        "connector_id": hit.connector,
        "connector": hit.connector_name,
        "title": hit.title,
        "link": hit.link,
        "headings": hit.headings,
        "snippet": snippet,
    })
}

/// For the model. What is not for callers is in the log.
fn told(error: &ControlError) -> String {
    if let ControlError::Store(_) | ControlError::Unseal(_) = error {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "a tool of the control plane failed"
        );
    }
    error.to_string()
}

impl InProcess for ControlPlane {
    fn ask<'a>(
        &'a self,
        method: &'static str,
        params: Bytes,
        _talk: &'a Talk,
    ) -> InProcessFuture<'a> {
        Box::pin(async move {
            match method {
                "tools/list" => Ok(Tool::list().to_string().into()),
                "tools/call" => self.call(params).await,
                _ => Err(InProcessError::NotOffered),
            }
        })
    }
}
