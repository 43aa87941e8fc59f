//! What a provider would reach for a request: it is as much out of an environment as what its sandboxes reach.

use bailiwick_llm::proxy::{Asks, NotARequest, fetched_urls};
use bailiwick_model::Verdict;
use bailiwick_outbound::HttpUrl;
use bailiwick_policy::{HostFacts, Policy};

use super::OpenProxy;

impl OpenProxy {
    /// Why something that the provider would connect to for this request is not to be reached from the proxy's environment: an MCP server, an image or
    /// a document by its URL, or what a tool of the provider's finds. None if all of it is.
    ///
    /// # Errors
    ///
    /// What [`fetched_urls`] says.
    pub fn denied_reach(
        &self,
        asks: &Asks<'_>,
        body: &[u8],
    ) -> Result<Option<String>, NotARequest> {
        let policy = self.policy();
        for (name, url) in asks.mcp_servers() {
            let Some(url) = url else {
                return Ok(Some(format!(
                    "the connector {name:?} is the provider's, and reaches what no policy decides about: name an MCP server by its URL"
                )));
            };
            if let Some(why) = denied(policy, &format!("the MCP server {name:?}"), url) {
                return Ok(Some(why));
            }
        }
        if let Some(kind) = asks.reaching_tool()
            && !policy.is_unrestricted()
        {
            return Ok(Some(format!(
                "the tool {kind:?} is the provider's, and reaches what the model names, where the environment of this proxy lets only some hosts be reached: leave it out"
            )));
        }
        let mut urls = fetched_urls(body)?.into_iter();
        Ok(urls.find_map(|url| denied(policy, "a URL of a message", &url)))
    }
}

fn denied(policy: &Policy, what: &str, url: &str) -> Option<String> {
    let Ok(url) = url.parse::<HttpUrl>() else {
        return Some(format!("{what} cannot be read: write https://HOST/PATH"));
    };
    let decision = policy.explain(url.destination(), &HostFacts::unknown());
    (decision.verdict == Verdict::Deny).then(|| {
        format!(
            "the environment of this proxy does not let {what} at {} be reached ({}): leave it out, or allow its host",
            url.destination(),
            decision.reason
        )
    })
}
