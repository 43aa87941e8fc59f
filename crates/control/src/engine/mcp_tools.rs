//! The tools of an agent's MCP servers: what was listed, and under which names a model is offered it.
//!
//! A list is asked for once in a session and stored with it, so a restart, or another server, goes on with the same tools. Where a server says
//! that it has others now, they are taken; but a tool that is not to the letter as it was first waits for a person, whatever its policy says:
//! what was looked at before is something else now.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_mcp::McpTool;
use bailiwick_model::limits::MCP_OFFERED_NAME_CHARS;
use bailiwick_wire::{McpServer, McpToolset, PermissionEvaluation, PermissionPolicy, ToolDefaults};
use serde::{Deserialize, Serialize};

/// Hexadecimal digits of what tells names apart that would be the same.
const DIGITS: usize = 12;

/// What servers said they have, by their names in the agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listed(BTreeMap<String, ListedServer>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ListedServer {
    url: String,
    first: Vec<McpTool>,
    /// If it is another list by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    now: Option<Vec<McpTool>>,
}

impl Listed {
    /// Whether the tools of a server are known.
    pub(crate) fn knows(&self, server: &McpServerOfAgent) -> bool {
        self.of(server).is_some()
    }

    /// These are the tools of a server now.
    pub(crate) fn take(&mut self, server: &McpServerOfAgent, tools: Vec<McpTool>) {
        match self.0.get_mut(&server.name) {
            Some(known) if known.url == server.url => {
                known.now = (tools != known.first).then_some(tools);
            }
            Some(_) | None => {
                let listed = ListedServer {
                    url: server.url.clone(),
                    first: tools,
                    now: None,
                };
                self.0.insert(server.name.clone(), listed);
            }
        }
    }

    fn of(&self, server: &McpServerOfAgent) -> Option<&ListedServer> {
        self.0
            .get(&server.name)
            .filter(|listed| listed.url == server.url)
    }
}

impl ListedServer {
    fn tools(&self) -> &[McpTool] {
        self.now.as_ref().unwrap_or(&self.first)
    }
}

/// A server that an agent has, and what it has of it.
#[derive(Debug, Clone)]
pub(crate) struct McpServerOfAgent {
    pub(crate) name: String,
    pub(crate) url: String,
    toolset: McpToolset,
}

impl McpServerOfAgent {
    /// `None` if the agent has no such server, which its validation refuses.
    pub(crate) fn of(toolset: McpToolset, servers: &[McpServer]) -> Option<Self> {
        let server = servers
            .iter()
            .find(|server| server.name() == toolset.mcp_server_name)?;
        let McpServer::Url { name, url } = server;
        Some(Self {
            name: name.clone(),
            url: url.clone(),
            toolset,
        })
    }

    /// Whether the agent has a tool of it.
    pub(crate) fn has(&self, tool: &str) -> bool {
        self.settings(tool).enabled
    }

    fn settings(&self, tool: &str) -> ToolDefaults {
        let own = self
            .toolset
            .configs
            .iter()
            .find(|config| config.name == tool);
        own.map_or(self.toolset.default_config, |config| config.settings)
    }
}

/// A tool that a model is offered.
pub(crate) struct Offer<'a> {
    /// What the model calls it.
    pub(crate) name: String,
    pub(crate) server: &'a McpServerOfAgent,
    pub(crate) tool: &'a McpTool,
    is_as_first: bool,
}

impl Offer<'_> {
    /// What the agent's configuration says of its calls.
    pub(crate) fn policy(&self) -> PermissionPolicy {
        self.server.settings(&self.tool.name).permission_policy
    }

    /// Whether a call of it may be made.
    pub(crate) fn evaluated(&self) -> PermissionEvaluation {
        match self.policy() {
            PermissionPolicy::AlwaysAllow if self.is_as_first => PermissionEvaluation::Allow,
            // What happens elsewhere cannot be judged from here, so a person does.
            PermissionPolicy::AlwaysAllow
            | PermissionPolicy::AlwaysAsk
            | PermissionPolicy::Auto => PermissionEvaluation::Ask,
        }
    }
}

/// The tools that a model is offered, each name once.
pub(crate) fn offers<'a>(
    servers: &'a [McpServerOfAgent],
    listed: &'a Listed,
) -> impl Iterator<Item = Offer<'a>> {
    let known = servers
        .iter()
        .filter_map(|server| Some((server, listed.of(server)?)));
    let all = known.flat_map(|(server, listed)| {
        let has = listed.tools().iter().filter(|tool| server.has(&tool.name));
        has.map(move |tool| Offer {
            name: offered_name(&server.name, &tool.name),
            server,
            tool,
            is_as_first: listed.first.contains(tool),
        })
    });
    let mut names = BTreeSet::new();
    all.filter(move |offer| names.insert(offer.name.clone()))
}

/// `mcp__SERVER__TOOL`. Where that is not a name that models take, or could be read in two ways, it ends in a digest of both names: no tool gets
/// the name of another one by calling itself cleverly.
fn offered_name(server: &str, tool: &str) -> String {
    let plain = format!("mcp__{}__{}", clean(server), clean(tool));
    let is_plain = clean(server) == server
        && clean(tool) == tool
        && !server.contains("__")
        && !server.starts_with('_')
        && !server.ends_with('_')
        && !has_digits(tool)
        && plain.len() <= MCP_OFFERED_NAME_CHARS;
    if is_plain {
        return plain;
    }
    let both = digest(&SHA256, format!("{server}\0{tool}").as_bytes());
    let digits: String = both
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let room = MCP_OFFERED_NAME_CHARS - DIGITS - 1;
    let beginning = &plain[..plain.len().min(room)];
    format!("{beginning}_{}", &digits[..DIGITS])
}

/// Whether a name ends as those with a digest do.
fn has_digits(name: &str) -> bool {
    let end = name.rsplit('_').next().unwrap_or_default();
    end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn clean(name: &str) -> String {
    let is_usual = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    name.chars()
        .map(|c| if is_usual(&c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_wire::McpConfig;
    use proptest::prelude::*;
    use serde_json::json;

    fn server(name: &str, policy: PermissionPolicy) -> McpServerOfAgent {
        let default_config = ToolDefaults {
            enabled: true,
            permission_policy: policy,
        };
        let off = McpConfig {
            name: "off".to_owned(),
            settings: ToolDefaults {
                enabled: false,
                ..default_config
            },
        };
        McpServerOfAgent {
            name: name.to_owned(),
            url: format!("https://{name}.example.com/"),
            toolset: McpToolset {
                mcp_server_name: name.to_owned(),
                configs: vec![off],
                default_config,
            },
        }
    }

    fn tool(name: &str, description: &str) -> McpTool {
        McpTool {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            input_schema: json!({"type": "object"}),
        }
    }

    fn evaluations(
        servers: &[McpServerOfAgent],
        listed: &Listed,
    ) -> Vec<(String, PermissionEvaluation)> {
        let all = offers(servers, listed);
        all.map(|offer| (offer.tool.name.clone(), offer.evaluated()))
            .collect()
    }

    #[test]
    fn what_is_not_as_it_was_first_waits_for_a_person() {
        use PermissionEvaluation::{Allow, Ask};
        let servers = [server("a", PermissionPolicy::AlwaysAllow)];
        let (same, other) = (tool("same", "reads"), tool("other", "reads"));
        let mut listed = Listed::default();
        assert!(!listed.knows(&servers[0]));
        listed.take(
            &servers[0],
            vec![same.clone(), other.clone(), tool("off", "x")],
        );
        let names = |list: &[(&str, PermissionEvaluation)]| {
            list.iter()
                .map(|(name, it)| ((*name).to_owned(), *it))
                .collect::<Vec<_>>()
        };
        let before = names(&[("same", Allow), ("other", Allow)]);
        assert_eq!(evaluations(&servers, &listed), before);
        let changed = vec![
            same.clone(),
            tool("other", "also sends mail"),
            tool("new", "x"),
        ];
        listed.take(&servers[0], changed);
        let expect = names(&[("same", Allow), ("other", Ask), ("new", Ask)]);
        assert_eq!(evaluations(&servers, &listed), expect);
        // Going away in between changes nothing.
        listed.take(&servers[0], Vec::new());
        assert_eq!(evaluations(&servers, &listed), []);
        listed.take(&servers[0], vec![tool("other", "also sends mail")]);
        assert_eq!(evaluations(&servers, &listed), names(&[("other", Ask)]));
        listed.take(&servers[0], vec![same, other]);
        assert_eq!(evaluations(&servers, &listed), before);
        let stored = serde_json::to_string(&listed).unwrap();
        assert_eq!(serde_json::from_str::<Listed>(&stored).unwrap(), listed);
    }

    #[test]
    fn nobody_but_a_person_allows_where_the_policy_asks() {
        for policy in [PermissionPolicy::AlwaysAsk, PermissionPolicy::Auto] {
            let servers = [server("a", policy)];
            let mut listed = Listed::default();
            listed.take(&servers[0], vec![tool("t", "x")]);
            let expect = ("t".to_owned(), PermissionEvaluation::Ask);
            assert_eq!(evaluations(&servers, &listed), [expect]);
        }
    }

    #[test]
    fn names_are_what_models_take() {
        assert_eq!(offered_name("git", "read-file_1"), "mcp__git__read-file_1");
        assert_eq!(offered_name("git", "a__b"), "mcp__git__a__b");
        assert!(offered_name("my server", "a").starts_with("mcp__my_server__a_"));
        assert_eq!(
            offered_name("s", &"a".repeat(128)).len(),
            MCP_OFFERED_NAME_CHARS
        );
        let imitation = offered_name("my server", "a");
        let imitation = imitation.strip_prefix("mcp__my_server__").unwrap();
        assert_ne!(
            offered_name("my_server", imitation),
            offered_name("my server", "a")
        );
    }

    proptest! {
        #[test]
        fn two_tools_never_have_one_name(
            server in ("[a_/]{1,4}", "[a_/]{1,4}"),
            tool in ("[a_./]{1,4}", "[a_./]{1,4}"),
        ) {
            let one = offered_name(&server.0, &tool.0);
            let other = offered_name(&server.1, &tool.1);
            prop_assert_eq!(one == other, server.0 == server.1 && tool.0 == tool.1);
            prop_assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        }
    }
}
