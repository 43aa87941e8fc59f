//! What the tools of the web are held to.

use bailiwick_model::limits;
use bailiwick_policy::normalise_host;
use serde::Serialize;

use crate::request::{Fields, Place, Reader};

/// Of `web_fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebFetch {
    /// Where it may go.
    #[serde(flatten)]
    pub domains: WebDomains,
    /// The most of a page that is read.
    pub max_content_tokens: Option<i64>,
    /// Where the URLs come from that it may fetch; `None` is everywhere.
    pub url_sources: Option<UrlSources>,
}

/// Of `web_search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebSearch {
    /// What it may find.
    #[serde(flatten)]
    pub domains: WebDomains,
    /// Where the search is made from.
    pub user_location: Option<UserLocation>,
}

/// One of two lists, or neither; each entry stands for what is below it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebDomains {
    /// These and no others.
    pub allowed_domains: Option<Vec<String>>,
    /// All but these.
    pub blocked_domains: Option<Vec<String>>,
}

/// Where URLs come from that may be fetched; `None` is everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UrlSources {
    /// Messages of the user.
    pub user_input: Option<UrlSource>,
    /// Results of custom tools.
    pub client_tool_results: Option<UrlSource>,
    /// Results of the tools of the web.
    pub server_tool_results: Option<UrlSource>,
}

/// Which of one kind of sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UrlSource {
    /// All.
    All,
    /// None.
    None,
    /// Those of some tools.
    Only {
        /// Which.
        tools: Vec<ToolReference>,
    },
    /// Those of all tools but some.
    Except {
        /// Which.
        tools: Vec<ToolReference>,
    },
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "tool_reference")]
pub struct ToolReference {
    /// Its name.
    pub name: String,
}

/// Whose results a source is made of, and so which tools it can name.
#[derive(Clone, Copy)]
enum Results {
    /// None: it is what the user wrote.
    User,
    /// Custom tools.
    Client,
    /// The tools of the web.
    Server,
}

/// Where a search is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "approximate")]
pub struct UserLocation {
    /// A city.
    pub city: Option<String>,
    /// Two capital letters (ISO 3166-1).
    pub country: Option<String>,
    /// A region or state.
    pub region: Option<String>,
    /// A time zone of the IANA's.
    pub timezone: Option<String>,
}

impl WebFetch {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let domains = WebDomains::take(fields);
        let (tokens, sources) = (
            fields.take("max_content_tokens"),
            fields.take("url_sources"),
        );
        Some(Self {
            domains: WebDomains::read(reader, domains, false)?,
            max_content_tokens: match tokens {
                Some(place) => Some(reader.number(&place)?),
                None => None,
            },
            url_sources: match sources {
                Some(place) => Some(UrlSources::read(reader, &place)?),
                None => None,
            },
        })
    }
}

impl WebSearch {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let domains = WebDomains::take(fields);
        let location = fields.take("user_location");
        Some(Self {
            domains: WebDomains::read(reader, domains, true)?,
            user_location: match location {
                Some(place) => Some(UserLocation::read(reader, &place)?),
                None => None,
            },
        })
    }
}

impl WebDomains {
    fn take<'a>(fields: &mut Fields<'a>) -> [Option<Place<'a>>; 2] {
        [
            fields.take("allowed_domains"),
            fields.take("blocked_domains"),
        ]
    }

    fn read(
        reader: &mut Reader,
        [allowed, blocked]: [Option<Place<'_>>; 2],
        with_path: bool,
    ) -> Option<Self> {
        if let (Some(_), Some(blocked)) = (&allowed, &blocked) {
            let message = "stands beside `allowed_domains`";
            reader.refuse(
                &blocked.path,
                "exclusive_fields",
                message,
                "keep one of the two",
            );
            return None;
        }
        let mut list = |place: Option<Place<'_>>| match place {
            Some(place) => domains(reader, &place, with_path).map(Some),
            None => Some(None),
        };
        Some(Self {
            allowed_domains: list(allowed)?,
            blocked_domains: list(blocked)?,
        })
    }
}

fn domains(reader: &mut Reader, place: &Place<'_>, with_path: bool) -> Option<Vec<String>> {
    let places = reader.list(place, 1..=limits::WEB_DOMAINS)?;
    reader.each(&places, |reader, place| domain(reader, place, with_path))
}

/// A host name in ASCII, and a path behind it where one may stand.
fn domain(reader: &mut Reader, place: &Place<'_>, with_path: bool) -> Option<String> {
    let text = reader.text(place, 1..=limits::WEB_DOMAIN_BYTES)?;
    let (host, path) = match text.find('/') {
        Some(slash) if with_path => text.split_at(slash),
        Some(_) | None => (text, ""),
    };
    let is_path = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '*');
    let wrong = if !text.is_ascii() {
        "write it in ASCII (`xn--…`)".to_owned()
    } else if !path.chars().all(is_path) {
        "the path holds a character that no path has".to_owned()
    } else {
        match normalise_host(host) {
            Ok(name) => return Some(format!("{name}{path}")),
            Err(error) => error.to_string(),
        }
    };
    let help = "write a plain host name such as docs.example.com";
    reader.refuse(&place.path, "invalid_domain", wrong, help);
    None
}

impl UrlSources {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        let sources = reader.object(place, |reader, fields| {
            let user = fields.take("user_input");
            let client = fields.take("client_tool_results");
            let server = fields.take("server_tool_results");
            let mut source = |place: Option<Place<'_>>, results| match place {
                Some(place) => UrlSource::read(reader, &place, results).map(Some),
                None => Some(None),
            };
            Some(Self {
                user_input: source(user, Results::User)?,
                client_tool_results: source(client, Results::Client)?,
                server_tool_results: source(server, Results::Server)?,
            })
        })?;
        let Self {
            user_input,
            client_tool_results,
            server_tool_results,
        } = &sources;
        let all = [user_input, client_tool_results, server_tool_results];
        if all
            .iter()
            .all(|source| source.as_ref() == Some(&UrlSource::None))
        {
            let message = "leaves nothing that could be fetched";
            reader.refuse(
                &place.path,
                "nothing_left",
                message,
                "disable `web_fetch` instead",
            );
        }
        Some(sources)
    }
}

impl UrlSource {
    fn read(reader: &mut Reader, place: &Place<'_>, results: Results) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Kind {
            All,
            None,
            Only,
            Except,
        }
        const KINDS: &[(&str, Kind)] = &[
            ("all", Kind::All),
            ("none", Kind::None),
            ("only", Kind::Only),
            ("except", Kind::Except),
        ];
        let short = &KINDS[..2];
        let full = match results {
            Results::User => short,
            Results::Client | Results::Server => KINDS,
        };
        let simple = |kind| match kind {
            Kind::All => Some(Self::All),
            Kind::None => Some(Self::None),
            Kind::Only | Kind::Except => None,
        };
        if place.value.is_string() {
            return reader.word(place, short).and_then(simple);
        }
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type")?;
            let kind = reader.word(&kind, full)?;
            let mut tools = |reader: &mut Reader| {
                let list = fields.required(reader, "tools")?;
                tools_of(reader, &list, results)
            };
            match kind {
                Kind::All | Kind::None => simple(kind),
                Kind::Only => Some(Self::Only {
                    tools: tools(reader)?,
                }),
                Kind::Except => Some(Self::Except {
                    tools: tools(reader)?,
                }),
            }
        })
    }
}

impl UrlSource {
    /// The tools that it names.
    pub(super) fn tools(&self) -> &[ToolReference] {
        match self {
            Self::All | Self::None => &[],
            Self::Only { tools } | Self::Except { tools } => tools,
        }
    }
}

fn tools_of(
    reader: &mut Reader,
    place: &Place<'_>,
    results: Results,
) -> Option<Vec<ToolReference>> {
    let places = reader.list(place, 1..=limits::WEB_SOURCE_TOOLS)?;
    let tools = reader.each(&places, |reader, place| {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let name = fields.required(reader, "name");
            reader.word(&kind?, &[("tool_reference", ())])?;
            let name = match results {
                Results::Server => {
                    let web = [("web_search", "web_search"), ("web_fetch", "web_fetch")];
                    reader.word(&name?, &web)?
                }
                Results::User | Results::Client => {
                    reader.name(&name?, 1..=limits::TOOL_NAME_CHARS)?
                }
            };
            Some(ToolReference {
                name: name.to_owned(),
            })
        })
    })?;
    let path = |index: usize| places[index].path.clone();
    reader.distinct(path, tools.iter().map(|tool| tool.name.as_str()));
    Some(tools)
}

impl UserLocation {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let parts = ["city", "region", "timezone", "country"].map(|name| fields.take(name));
            reader.word(&kind?, &[("approximate", ())])?;
            let [city, region, timezone, country] = parts;
            let mut part = |place: Option<Place<'_>>| match place {
                Some(place) => {
                    let text = reader.name(&place, 1..=limits::USER_LOCATION_CHARS)?;
                    Some(Some(text.to_owned()))
                }
                None => Some(None),
            };
            Some(Self {
                city: part(city)?,
                region: part(region)?,
                timezone: part(timezone)?,
                country: match country {
                    Some(place) => Some(country_of(reader, &place)?),
                    None => None,
                },
            })
        })
    }
}

fn country_of(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.text(place, 2..=2)?;
    if text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Some(text.to_owned());
    }
    let message = "a country is two capital letters (ISO 3166-1)";
    reader.refuse(&place.path, "unknown_value", message, "write it like `DE`");
    None
}
