//! Where a connector reads, with what and when, on a command line.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::client::{Client, VAULTS};
use crate::input;

/// Where it reads.
#[derive(Debug, clap::Args)]
#[group(id = "where", multiple = false)]
pub(super) struct Where {
    /// Read the files below this directory of the server's machine; the operator names such directories (`knowledge_roots`).
    #[arg(long, value_name = "PATH")]
    directory: Option<String>,
    /// Read the files of this git repository: https://HOST/PATH, or file:///PATH below one of `knowledge_roots`.
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// Read the pages of the web site of this page.
    #[arg(long, value_name = "URL")]
    web: Option<String>,
    /// Read the issues of this repository on GitHub.
    #[arg(long, value_name = "OWNER/REPOSITORY")]
    github: Option<String>,
    /// Read the pages of this Confluence site, such as https://NAME.atlassian.net/wiki.
    #[arg(long, value_name = "URL")]
    confluence: Option<String>,
    /// Read what this file (YAML or JSON) says in `source`, with its `credential` and `schedule`.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What else a source is told.
#[derive(Debug, clap::Args)]
pub(super) struct More {
    /// Of a git repository, read this branch, tag or commit.
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// Read only files that this pattern takes, such as 'docs/**'; may be given many times.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out files that this pattern takes; may be given many times.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Of a directory, where people find its files: a URL that their paths are put behind.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// Follow the links of a web site from that page, instead of reading what it lists (sitemap).
    #[arg(long)]
    crawl: bool,
    /// Of a crawl, follow at most so many links to a page.
    #[arg(long, value_name = "NUMBER", requires = "crawl")]
    depth: Option<u32>,
    /// Of a web site, where it lists its pages, if not where it says itself.
    #[arg(long, value_name = "URL", conflicts_with = "crawl")]
    sitemap: Option<String>,
    /// Of a web site, read at most so many pages.
    #[arg(long, value_name = "NUMBER")]
    max_pages: Option<u32>,
    /// Where the API of GitHub Enterprise Server is: https://HOST/api/v3.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// Of GitHub, read pull requests too.
    #[arg(long)]
    pull_requests: bool,
    /// Of Confluence, whose API token the credential is.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Of Confluence, read the space with this key; may be given many times [default: all].
    #[arg(long = "space", value_name = "KEY")]
    spaces: Vec<String>,
}

/// With what, and when.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Show the source a credential of this vault, by name or id.
    #[arg(long, value_name = "VAULT", requires = "credential")]
    vault: Option<String>,
    /// Which credential of the vault, by id.
    #[arg(long, value_name = "CREDENTIAL", requires = "vault")]
    credential: Option<String>,
    /// Sync again so many minutes after each sync.
    #[arg(long, value_name = "MINUTES", conflicts_with = "daily_at")]
    every: Option<i64>,
    /// Sync every day at this time of the organization's time zone, such as 03:30.
    #[arg(long, value_name = "HH:MM")]
    daily_at: Option<String>,
}

impl Where {
    /// The fields of a request that say where; none if nothing is said.
    pub(super) fn fields(&self, more: &More) -> anyhow::Result<Map<String, Value>> {
        let mut fields = match &self.file {
            Some(file) => input::object(file)?,
            None => Map::new(),
        };
        if let Some(source) = self.source(more) {
            fields.insert("source".to_owned(), source);
        }
        Ok(fields)
    }

    fn source(&self, more: &More) -> Option<Value> {
        let files = |mut source: Value| {
            source["include"] = json!(more.include);
            source["exclude"] = json!(more.exclude);
            source
        };
        if let Some(path) = &self.directory {
            return Some(files(
                json!({"type": "directory", "path": path, "link": more.link}),
            ));
        }
        if let Some(repository) = &self.git {
            let source = json!({"type": "git", "repository": repository, "ref": more.git_ref});
            return Some(files(source));
        }
        if let Some(url) = &self.web {
            let gather = if more.crawl { "crawl" } else { "sitemap" };
            return Some(json!({
                "type": "web",
                "url": url,
                "gather": gather,
                "sitemap": more.sitemap,
                "depth": more.depth,
                "max_pages": more.max_pages,
            }));
        }
        if let Some(repository) = &self.github {
            let (owner, repository) = repository.split_once('/').unwrap_or((repository, ""));
            return Some(json!({
                "type": "github",
                "api": more.api,
                "owner": owner,
                "repository": repository,
                "pull_requests": more.pull_requests,
            }));
        }
        let site = self.confluence.as_ref()?;
        Some(json!({
            "type": "confluence",
            "site": site,
            "email": more.email,
            "spaces": more.spaces,
        }))
    }
}

impl How {
    /// Puts what is said into a request.
    pub(super) fn put(
        &self,
        client: &Client,
        fields: &mut Map<String, Value>,
    ) -> anyhow::Result<()> {
        if let (Some(vault), Some(credential)) = (&self.vault, &self.credential) {
            let vault = client.id_of(&VAULTS, vault)?;
            let credential = json!({"vault_id": vault, "credential_id": credential});
            fields.insert("credential".to_owned(), credential);
        }
        let every = self.every.map(|minutes| json!({"every_minutes": minutes}));
        let daily = self.daily_at.as_ref().map(|at| json!({"daily_at": at}));
        if let Some(schedule) = every.or(daily) {
            fields.insert("schedule".to_owned(), schedule);
        }
        Ok(())
    }
}
