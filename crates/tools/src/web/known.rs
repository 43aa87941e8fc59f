//! Which URLs a session has seen, and where: an agent may be held to those.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_model::limits;
use url::Url;

use super::address;

/// Where a text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The user wrote it.
    User,
    /// The result of a custom tool of this name.
    ClientTool(&'a str),
    /// The result of a tool of the web of this name.
    ServerTool(&'a str),
}

/// The sources of URLs that an agent may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSources {
    /// What the user wrote.
    pub user_input: UrlSource,
    /// Results of custom tools.
    pub client_tool_results: UrlSource,
    /// Results of tools of the web.
    pub server_tool_results: UrlSource,
}

/// Which of one kind of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlSource {
    /// All.
    All,
    /// None.
    None,
    /// Those of these tools.
    Only(Vec<String>),
    /// Those of all tools but these.
    Except(Vec<String>),
}

/// The URLs that were seen in sources that count. The session's engine puts every text here; when there are more than
/// [`limits::WEB_KNOWN_URLS`], later ones are not fetched.
#[derive(Debug)]
pub struct KnownUrls {
    sources: UrlSources,
    urls: Mutex<BTreeSet<String>>,
}

impl KnownUrls {
    /// Knows none yet.
    pub fn new(sources: UrlSources) -> Self {
        Self {
            sources,
            urls: Mutex::default(),
        }
    }

    /// Takes note of the URLs in a text.
    pub fn note(&self, origin: Origin<'_>, text: &str) {
        if !self.counts(origin) {
            return;
        }
        let mut urls = self.urls();
        for url in urls_in(text) {
            if urls.len() == limits::WEB_KNOWN_URLS {
                return;
            }
            urls.insert(url.into());
        }
    }

    /// Whether a URL was seen, whatever its fragment.
    pub fn has(&self, url: &Url) -> bool {
        let mut url = url.clone();
        url.set_fragment(None);
        self.urls().contains(url.as_str())
    }

    fn counts(&self, origin: Origin<'_>) -> bool {
        let (source, tool) = match origin {
            Origin::User => (&self.sources.user_input, None),
            Origin::ClientTool(tool) => (&self.sources.client_tool_results, Some(tool)),
            Origin::ServerTool(tool) => (&self.sources.server_tool_results, Some(tool)),
        };
        let named = |tools: &[String]| tools.iter().any(|name| Some(name.as_str()) == tool);
        match source {
            UrlSource::All => true,
            UrlSource::None => false,
            UrlSource::Only(tools) => named(tools),
            UrlSource::Except(tools) => !named(tools),
        }
    }

    fn urls(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The URLs in a text. One ends at white space, a quote, a bracket that was not opened in it, or punctuation that ends a sentence; where
/// that is not certain, both readings count.
fn urls_in(text: &str) -> impl Iterator<Item = Url> {
    let starts = text.match_indices("http").filter(|(at, _)| {
        text[*at..].starts_with("http://") || text[*at..].starts_with("https://")
    });
    starts.flat_map(|(at, _)| {
        let rest = &text[at..];
        let ends_it =
            |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '`' | '\\' | '|');
        let long = &rest[..rest.find(ends_it).unwrap_or(rest.len())];
        let short = long
            .split(['\'', ')', ']', '}'])
            .next()
            .unwrap_or(long)
            .trim_end_matches(['.', ',', ';', ':', '!', '?']);
        let middle = long.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', ')', ']', '}']);
        [long, middle, short]
            .into_iter()
            .filter_map(|url| address::parse(url).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sources: UrlSources, origin: Origin<'_>, text: &str, url: &str) -> bool {
        let known = KnownUrls::new(sources);
        known.note(origin, text);
        known.has(&url.parse().expect("a URL"))
    }

    fn all() -> UrlSources {
        UrlSources {
            user_input: UrlSource::All,
            client_tool_results: UrlSource::All,
            server_tool_results: UrlSource::All,
        }
    }

    #[test]
    fn urls_are_found_in_what_people_write() {
        for text in [
            "see https://a.example/x.",
            "(https://a.example/x)",
            "[page](https://a.example/x), and more",
            "{\"url\": \"https://a.example/x\"}",
            "HTTPS is at https://A.example/x#part\n",
        ] {
            assert!(
                known(all(), Origin::User, text, "https://a.example/x"),
                "{text}"
            );
        }
        let wiki = "https://a.example/x_(y)";
        assert!(known(all(), Origin::User, wiki, wiki));
        for other in [
            "https://a.example/xy",
            "https://a.example/",
            "http://a.example/x",
        ] {
            assert!(
                !known(all(), Origin::User, "https://a.example/x", other),
                "{other}"
            );
        }
    }

    #[test]
    fn only_sources_that_count_make_a_url_known() {
        let url = "https://a.example/x";
        let tools = || vec!["search".to_owned()];
        let sources = |client| UrlSources {
            user_input: UrlSource::None,
            client_tool_results: client,
            server_tool_results: UrlSource::All,
        };
        let from = |client, origin| known(sources(client), origin, url, url);
        assert!(!from(UrlSource::All, Origin::User));
        assert!(from(UrlSource::None, Origin::ServerTool("web_search")));
        assert!(from(UrlSource::Only(tools()), Origin::ClientTool("search")));
        assert!(!from(UrlSource::Only(tools()), Origin::ClientTool("other")));
        assert!(!from(
            UrlSource::Except(tools()),
            Origin::ClientTool("search")
        ));
        assert!(from(
            UrlSource::Except(tools()),
            Origin::ClientTool("other")
        ));
    }
}
