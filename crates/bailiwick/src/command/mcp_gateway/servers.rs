//! Which MCP servers a gateway names, as arguments of commands.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{Client, MCP_CATALOG, name_key};

/// Entries of a request: `NAME` or `NAME:TOOL`, where a server with tools gives those alone. Names are those of this environment.
pub(super) fn entries(
    client: &Client,
    environment: &str,
    servers: &[String],
) -> anyhow::Result<Vec<Value>> {
    let mut known = None;
    let mut named: BTreeMap<String, Option<Vec<&str>>> = BTreeMap::new();
    for text in servers {
        let (server, tool) = match text.split_once(':') {
            Some((server, tool)) => (server, Some(tool)),
            None => (text.as_str(), None),
        };
        let id = id_of(client, environment, server, &mut known)?;
        let tools = named
            .entry(id)
            .or_insert_with(|| tool.is_some().then(Vec::new));
        match (tools, tool) {
            (Some(tools), Some(tool)) => tools.push(tool),
            // All of them are more than some.
            (tools, _) => *tools = None,
        }
    }
    let entry = |(id, tools)| json!({"entry_id": id, "tools": tools});
    Ok(named.into_iter().map(entry).collect())
}

/// The id of a server of this environment; of one with another name the server says that it is elsewhere, or nowhere.
fn id_of(
    client: &Client,
    environment: &str,
    server: &str,
    known: &mut Option<Vec<Value>>,
) -> anyhow::Result<String> {
    let all = match known {
        Some(all) => all,
        None => known.insert(client.all(&MCP_CATALOG, &[("environment_id", environment)])?),
    };
    let wanted = name_key(server);
    let is_it = |found: &&Value| {
        found["name"]
            .as_str()
            .is_some_and(|it| name_key(it) == wanted)
    };
    let found = all
        .iter()
        .find(is_it)
        .and_then(|found| found["id"].as_str());
    match found {
        Some(id) => Ok(id.to_owned()),
        None => client.id_of(&MCP_CATALOG, server),
    }
}
