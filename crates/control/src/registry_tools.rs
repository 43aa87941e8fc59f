//! Tools of the registry, as requests to models name them: a request of one environment does not define a tool that is another's.

use std::collections::BTreeSet;

use bailiwick_model::limits::REGISTRY_TOOL_PARTS;
use bailiwick_model::{EnvironmentId, OrganizationId};
use bailiwick_store::Store;

use crate::engine::PortFuture;
use crate::error::ControlError;

/// Stands between the name of a server and the name of a tool of its.
const BETWEEN: &str = "__";

/// Who knows which tools the registry has in which environment.
pub trait RegistryTools: std::fmt::Debug + Send + Sync {
    /// The first of these names (`server__tool`) that is a tool of the registry in other environments of the organization, and not in this one.
    fn foreign<'a>(
        &'a self,
        organization: &'a OrganizationId,
        environment: &'a EnvironmentId,
        names: &'a [&'a str],
    ) -> PortFuture<'a, Result<Option<String>, ControlError>>;
}

/// The MCP catalog. A server's tools are called by its name, whatever tools it has: who would have to be asked for them may not be asked from here.
#[derive(Debug)]
pub(crate) struct CatalogTools(pub(crate) Store);

impl RegistryTools for CatalogTools {
    fn foreign<'a>(
        &'a self,
        organization: &'a OrganizationId,
        environment: &'a EnvironmentId,
        names: &'a [&'a str],
    ) -> PortFuture<'a, Result<Option<String>, ControlError>> {
        Box::pin(async move {
            let servers: BTreeSet<_> = names.iter().filter_map(|name| server_of(name)).collect();
            let servers: Vec<_> = servers.into_iter().collect();
            let scope = self.0.scope(organization);
            let of = scope.in_environment(environment);
            let foreign = of.foreign_mcp_servers(&servers).await?;
            let is_foreign = |name: &&&str| {
                server_of(name).is_some_and(|server| foreign.iter().any(|it| it == server))
            };
            Ok(names.iter().find(is_foreign).map(|name| (*name).to_owned()))
        })
    }
}

/// The name of the server of a tool.
fn server_of(tool: &str) -> Option<&str> {
    tool.split_once(BETWEEN).map(|(server, _)| server)
}

/// What in the names of tools may be one of the registry: each, and what is left of it without what a client puts in front (`mcp__gateway__`).
pub(crate) fn registry_names<'n>(tools: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names = Vec::new();
    for tool in tools {
        let mut rest = tool;
        for _ in 0..REGISTRY_TOOL_PARTS {
            let Some((_, behind)) = rest.split_once(BETWEEN) else {
                break;
            };
            names.push(rest);
            rest = behind;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_of_the_registry_is_found_behind_what_a_client_puts_in_front() {
        let names = |tools: &[&'static str]| registry_names(tools.iter().copied());
        assert_eq!(names(&["bash", "look_up"]), Vec::<&str>::new());
        assert_eq!(names(&["github__search"]), ["github__search"]);
        assert_eq!(
            names(&["mcp__gw__github__search", "a__b"]),
            [
                "mcp__gw__github__search",
                "gw__github__search",
                "github__search",
                "a__b"
            ]
        );
        let long = "a__".repeat(1000);
        let long: &'static str = Box::leak(long.into_boxed_str());
        assert_eq!(names(&[long]).len(), REGISTRY_TOOL_PARTS);
    }
}
