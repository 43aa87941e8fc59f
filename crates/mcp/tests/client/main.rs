//! The client of MCP servers, at servers of the official SDKs and at one that lies.

mod attacks;
mod calls;
mod news;
mod older;
mod tools;

use std::time::Duration;

use bailiwick_mcp::{Access, CallResult, Content, Listing, McpClient, McpError, McpTimes};
use bailiwick_outbound::Outbound;
use bailiwick_policy::{EgressPolicy, OrganizationFloor, Policy, SessionGrants, effective};
use bailiwick_testkit::{Authority, McpServer, dialer_to};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

/// What is pinned to the server.
const NAME: &str = "mcp.example.com";

/// A server, and how to come to it.
struct World {
    server: McpServer,
    outbound: Outbound,
    policy: Policy,
}

impl World {
    fn official(token: &str) -> Self {
        let authority = Authority::new();
        let server = McpServer::official(&authority, &[NAME], token);
        Self::with(&authority, server)
    }

    /// One of each language that there is an official SDK in.
    fn officials(token: &str) -> [Self; 2] {
        let authority = Authority::new();
        let typescript = McpServer::official_typescript(&authority, &[NAME], token);
        [Self::official(token), Self::with(&authority, typescript)]
    }

    fn lying() -> Self {
        let authority = Authority::new();
        let server = McpServer::lying(&authority, &[NAME]);
        Self::with(&authority, server)
    }

    fn with(authority: &Authority, server: McpServer) -> Self {
        let dialer = dialer_to(&format!("{NAME}={}", server.address()));
        Self {
            outbound: Outbound::new(dialer, authority.trusted()),
            policy: Policy::compile(
                effective(None, None),
                &OrganizationFloor::empty(),
                &SessionGrants::none(),
            ),
            server,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}/{path}", self.server.address().port())
    }

    fn client(&self, path: &str) -> McpClient {
        McpClient::new(self.outbound.clone(), self.url(path).parse().unwrap())
    }

    /// One that does not wait for long.
    fn hasty(&self, path: &str) -> McpClient {
        let time = Duration::from_millis(1500);
        self.client(path).with_times(McpTimes {
            list: time,
            call: time,
        })
    }

    fn access<'a>(&'a self, token: &'a str) -> Access<'a> {
        Access {
            policy: &self.policy,
            token: Some(token).filter(|token| !token.is_empty()),
        }
    }

    async fn list(&self, path: &str) -> Result<Listing, McpError> {
        self.hasty(path).tools(self.access("")).await
    }

    async fn call(
        &self,
        client: &McpClient,
        tool: &str,
        input: Value,
    ) -> Result<CallResult, McpError> {
        let never = CancellationToken::new();
        client
            .call(self.access(""), tool, &object(input), &never)
            .await
    }

    /// What denies everything.
    fn closed() -> Policy {
        Policy::compile(
            effective(None, Some(EgressPolicy::limited())),
            &OrganizationFloor::empty(),
            &SessionGrants::none(),
        )
    }

    /// The methods that the server was asked for, in their order.
    fn methods(&self) -> Vec<String> {
        let all = self.server.requests().into_iter();
        all.map(|request| request["method"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("{value} is no object");
    };
    map
}

fn text(result: &CallResult) -> &str {
    match &result.content[0] {
        Content::Text(text) => text,
        Content::Image { .. } => panic!("a picture"),
    }
}

fn names(listing: &Listing) -> Vec<&str> {
    listing
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect()
}
