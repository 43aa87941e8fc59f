//! What a connector is told, in the form in which it is stored and shown.

use bailiwick_knowledge::Globs;
use bailiwick_model::limits::{
    APPLY_SET_CHARS, KNOWLEDGE_CONFIG_BYTES, KNOWLEDGE_CRAWL_DEPTH, KNOWLEDGE_CRAWL_PAGES,
    KNOWLEDGE_DOCUMENTS, KNOWLEDGE_FIELD_CHARS, KNOWLEDGE_PLACE_BYTES, KNOWLEDGE_SPACES,
};
use bailiwick_model::{CredentialId, GitRef, Repository, Transport, VaultId};
use bailiwick_outbound::HttpUrl;
use bailiwick_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::error::ControlError;
use crate::limits::is_text;
use crate::names::problem;

/// Where GitHub's API is if nothing is said.
const GITHUB: &str = "https://api.github.com";
/// Links from the start of a crawl if nothing is said.
const USUAL_DEPTH: u32 = 4;

/// Where a connector reads, with what and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeConfig {
    /// Where it reads.
    pub source: KnowledgeSource,
    /// With what; without it what is public is read.
    #[serde(default)]
    pub credential: Option<KnowledgeCredential>,
    /// When; without it by hand alone.
    #[serde(default)]
    pub schedule: Option<KnowledgeSchedule>,
    /// The set of `bailiwick apply` that it belongs to.
    #[serde(default)]
    pub apply_set: Option<String>,
}

/// Where a connector reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum KnowledgeSource {
    /// The files below a directory of the server's machine.
    Directory {
        /// An absolute path.
        path: String,
        /// Where people find the files: a URL that their paths are put behind.
        #[serde(default)]
        link: Option<String>,
        /// Patterns of what is read; everything if there are none.
        #[serde(default)]
        include: Vec<String>,
        /// Patterns of what is left out.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// The files of a git repository.
    Git {
        /// Its URL.
        repository: String,
        /// A branch, a tag or a commit; the default branch if there is none.
        #[serde(default, rename = "ref")]
        git_ref: Option<String>,
        /// Patterns of what is read; everything if there are none.
        #[serde(default)]
        include: Vec<String>,
        /// Patterns of what is left out.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// The pages of a web site.
    Web {
        /// A page of it; a crawl begins there.
        url: String,
        /// How pages are found.
        #[serde(default)]
        gather: KnowledgeGather,
        /// Where the site lists its pages, if not where it says itself.
        #[serde(default)]
        sitemap: Option<String>,
        /// Links from the start to a page, at most.
        #[serde(default)]
        depth: Option<u32>,
        /// Pages, at most.
        #[serde(default)]
        max_pages: Option<usize>,
    },
    /// The issues of a repository on GitHub.
    Github {
        /// Where the API is; `https://api.github.com` if nothing is said.
        #[serde(default)]
        api: Option<String>,
        /// Whose repository it is.
        owner: String,
        /// What it is called.
        repository: String,
        /// Whether pull requests are read too.
        #[serde(default)]
        pull_requests: bool,
    },
    /// The pages of Confluence Cloud.
    Confluence {
        /// `https://NAME.atlassian.net/wiki`.
        site: String,
        /// Whose API token the credential is; without it the credential is sent as a bearer token.
        #[serde(default)]
        email: Option<String>,
        /// Keys of the spaces that are read; all if there are none.
        #[serde(default)]
        spaces: Vec<String>,
    },
}

/// How the pages of a site are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeGather {
    /// The site lists them.
    #[default]
    Sitemap,
    /// Links lead to them.
    Crawl,
}

/// A credential of a vault: `static_bearer`, whose server is where the connector reads, or `environment_variable`, whose hosts have it among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeCredential {
    /// The vault.
    pub vault_id: VaultId,
    /// The credential in it.
    pub credential_id: CredentialId,
}

/// When a connector is synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeSchedule {
    /// So many minutes after the last one has ended.
    EveryMinutes(i64),
    /// Every day at this time (`HH:MM`) of the organization's time zone.
    DailyAt(String),
}

/// What a connector connects to, and the field that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) field: &'static str,
    pub(super) url: HttpUrl,
}

impl KnowledgeConfig {
    pub(super) fn stored(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column: "config" })
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers")
    }

    /// Whether another one reads the same.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        let Self {
            source,
            credential,
            schedule,
            apply_set: _,
        } = self;
        (source, credential, schedule) == (&other.source, &other.credential, &other.schedule)
    }

    /// Whether all of it can be used, wherever the connector is.
    pub(super) fn check(&self) -> Result<(), ControlError> {
        if self.to_json().len() > KNOWLEDGE_CONFIG_BYTES {
            let message = format!("has more than {KNOWLEDGE_CONFIG_BYTES} bytes");
            return Err(problem(
                "source",
                "too_large",
                &message,
                "use fewer patterns",
            ));
        }
        self.source.check()?;
        if let Some(schedule) = &self.schedule {
            schedule.check()?;
        }
        if let Some(set) = &self.apply_set
            && !is_text(set, APPLY_SET_CHARS)
        {
            let message = format!("has to be a text of 1 to {APPLY_SET_CHARS} characters");
            let help = "shorten it, or leave it out";
            return Err(problem("apply_set", "invalid_text", &message, help));
        }
        match (&self.source, &self.credential) {
            (KnowledgeSource::Directory { .. } | KnowledgeSource::Web { .. }, Some(_)) => {
                Err(problem(
                    "credential",
                    "unused",
                    &format!("is not used by a connector of type {}", self.source.kind()),
                    "leave it out: directories and web sites are read as anybody may",
                ))
            }
            (
                KnowledgeSource::Directory { .. }
                | KnowledgeSource::Web { .. }
                | KnowledgeSource::Git { .. }
                | KnowledgeSource::Github { .. }
                | KnowledgeSource::Confluence { .. },
                _,
            ) => Ok(()),
        }
    }
}

impl KnowledgeSource {
    /// Its word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "directory",
            Self::Git { .. } => "git",
            Self::Web { .. } => "web",
            Self::Github { .. } => "github",
            Self::Confluence { .. } => "confluence",
        }
    }

    /// Keys of one kind of source mean nothing to another.
    pub(super) fn is_like(&self, other: &Self) -> Result<(), ControlError> {
        if self.kind() == other.kind() {
            return Ok(());
        }
        let message = format!(
            "is {}, and the connector is of type {}",
            self.kind(),
            other.kind()
        );
        Err(problem(
            "source.type",
            "unchangeable",
            &message,
            "make another connector",
        ))
    }

    fn check(&self) -> Result<(), ControlError> {
        match self {
            Self::Directory {
                path,
                link,
                include,
                exclude,
            } => {
                place("source.path", path)?;
                if let Some(link) = link {
                    url("source.link", link)?;
                }
                globs(include, exclude).map(|_| ())
            }
            Self::Git {
                repository,
                git_ref,
                include,
                exclude,
            } => {
                can_be_fetched(&repository_of(repository)?)?;
                git_ref.as_deref().map(ref_of).transpose()?;
                globs(include, exclude).map(|_| ())
            }
            Self::Web {
                url: start,
                gather,
                sitemap,
                depth,
                max_pages,
            } => {
                url("source.url", start)?;
                if let Some(sitemap) = sitemap {
                    url("source.sitemap", sitemap)?;
                }
                bounds(*gather, sitemap.is_some(), *depth, *max_pages)
            }
            Self::Github {
                api,
                owner,
                repository,
                pull_requests: _,
            } => {
                url("source.api", api.as_deref().unwrap_or(GITHUB))?;
                part("source.owner", owner)?;
                part("source.repository", repository)
            }
            Self::Confluence {
                site,
                email,
                spaces,
            } => {
                url("source.site", site)?;
                if let Some(email) = email {
                    field("source.email", email)?;
                }
                keys(spaces)
            }
        }
    }

    /// What it connects to first; where that leads is judged at each connection.
    pub(super) fn reached(&self) -> Result<Vec<Reached>, ControlError> {
        let one = |field, text: &str| url(field, text).map(|url| Reached { field, url });
        Ok(match self {
            Self::Directory { .. } => Vec::new(),
            Self::Git { repository, .. } => {
                let repository = repository_of(repository)?;
                match repository.transport() {
                    Transport::Https { host, port } | Transport::Ssh { host, port } => {
                        let host = match host.contains(':') {
                            true => format!("[{host}]"),
                            false => host.to_string(),
                        };
                        vec![one(
                            "source.repository",
                            &format!("https://{host}:{port}/"),
                        )?]
                    }
                    Transport::File => Vec::new(),
                }
            }
            Self::Web { url, sitemap, .. } => {
                let mut all = vec![one("source.url", url)?];
                if let Some(sitemap) = sitemap {
                    all.push(one("source.sitemap", sitemap)?);
                }
                all
            }
            Self::Github { api, .. } => {
                vec![one("source.api", api.as_deref().unwrap_or(GITHUB))?]
            }
            Self::Confluence { site, .. } => vec![one("source.site", site)?],
        })
    }
}

/// Over https, or from this machine.
fn can_be_fetched(repository: &Repository) -> Result<(), ControlError> {
    match repository.transport() {
        Transport::Https { .. } | Transport::File => Ok(()),
        Transport::Ssh { .. } => Err(problem(
            "source.repository",
            "unsupported",
            "is asked over ssh, and the server knows the keys of no hosts",
            "write https://HOST/PATH.git",
        )),
    }
}

/// Of spaces.
fn keys(spaces: &[String]) -> Result<(), ControlError> {
    if spaces.len() > KNOWLEDGE_SPACES {
        let message = format!("has more than {KNOWLEDGE_SPACES} spaces");
        return Err(problem(
            "source.spaces",
            "too_many",
            &message,
            "make several connectors",
        ));
    }
    spaces
        .iter()
        .try_for_each(|space| part("source.spaces", space))
}

/// Of a crawl, or of a list.
fn bounds(
    gather: KnowledgeGather,
    has_sitemap: bool,
    depth: Option<u32>,
    max_pages: Option<usize>,
) -> Result<(), ControlError> {
    let most = match gather {
        KnowledgeGather::Crawl => KNOWLEDGE_CRAWL_PAGES,
        KnowledgeGather::Sitemap => KNOWLEDGE_DOCUMENTS,
    };
    let number = |field, most: usize| {
        let message = format!("is not 1 to {most}");
        problem(field, "out_of_range", &message, "choose another one")
    };
    if max_pages.is_some_and(|pages| pages == 0 || pages > most) {
        return Err(number("source.max_pages", most));
    }
    if depth.is_some_and(|depth| depth == 0 || depth > KNOWLEDGE_CRAWL_DEPTH) {
        return Err(number("source.depth", KNOWLEDGE_CRAWL_DEPTH as usize));
    }
    let unused = |field, of| {
        problem(
            field,
            "unused",
            &format!("is for {of} alone"),
            "leave it out",
        )
    };
    match gather {
        KnowledgeGather::Crawl if has_sitemap => Err(unused("source.sitemap", "sitemap")),
        KnowledgeGather::Sitemap if depth.is_some() => Err(unused("source.depth", "crawl")),
        KnowledgeGather::Crawl | KnowledgeGather::Sitemap => Ok(()),
    }
}

/// How many links are followed.
pub(super) fn depth_of(depth: Option<u32>) -> u32 {
    depth.unwrap_or(USUAL_DEPTH)
}

/// Where GitHub's API is.
pub(super) fn api_of(api: Option<&str>) -> &str {
    api.unwrap_or(GITHUB)
}

fn place(field: &'static str, text: &str) -> Result<(), ControlError> {
    if (1..=KNOWLEDGE_PLACE_BYTES).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(());
    }
    let message = format!("has 1 to {KNOWLEDGE_PLACE_BYTES} bytes, and no control characters");
    Err(problem(field, "invalid", &message, "write another one"))
}

/// What is asked over HTTP.
pub(super) fn url(field: &'static str, text: &str) -> Result<HttpUrl, ControlError> {
    place(field, text)?;
    text.parse()
        .map_err(|error: bailiwick_outbound::NotHttpUrl| {
            problem(
                field,
                "invalid_url",
                &format!("cannot be asked: {error}"),
                "write https://HOST/PATH",
            )
        })
}

/// A text for people.
fn field(field: &'static str, text: &str) -> Result<(), ControlError> {
    let count = text.chars().count();
    if (1..=KNOWLEDGE_FIELD_CHARS).contains(&count) && !text.contains(char::is_control) {
        return Ok(());
    }
    let message = format!("has 1 to {KNOWLEDGE_FIELD_CHARS} characters, and no control characters");
    Err(problem(field, "invalid", &message, "write another one"))
}

/// A part of a path: it leads nowhere else.
fn part(name: &'static str, text: &str) -> Result<(), ControlError> {
    field(name, text)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    if text.chars().all(is_plain) && !matches!(text, "." | "..") {
        return Ok(());
    }
    let message = "has letters and digits of ASCII, -, _, . and ~";
    Err(problem(
        name,
        "invalid",
        message,
        "write its name, and no URL",
    ))
}

/// Everything, if nothing is named.
pub(super) fn globs(include: &[String], exclude: &[String]) -> Result<Globs, ControlError> {
    let everything = ["**".to_owned()];
    let include = match include {
        [] => &everything[..],
        some => some,
    };
    Globs::new(include, exclude).map_err(|error| {
        problem(
            "source.include",
            "invalid_pattern",
            &error.to_string(),
            "write docs/**, or **/*.md",
        )
    })
}

pub(super) fn repository_of(text: &str) -> Result<Repository, ControlError> {
    text.parse()
        .map_err(|error: bailiwick_model::RepositoryProblem| {
            problem(
                "source.repository",
                "invalid_repository",
                &error.to_string(),
                "write https://HOST/PATH.git",
            )
        })
}

pub(super) fn ref_of(text: &str) -> Result<GitRef, ControlError> {
    text.parse()
        .map_err(|error: bailiwick_model::GitRefProblem| {
            problem(
                "source.ref",
                "invalid_ref",
                &error.to_string(),
                "write a branch, a tag or a commit",
            )
        })
}
