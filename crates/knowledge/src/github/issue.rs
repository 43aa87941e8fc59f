//! An issue, as the API has it, and the text that is made of it.

use std::fmt::Write as _;

use bailiwick_model::limits::KNOWLEDGE_TEXT_BYTES;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::PullRequests;
use crate::Kind;
use crate::connector::{Body, Raw};
use crate::extract::kept;

#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) number: u64,
    title: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    state: String,
    html_url: String,
    #[serde(default)]
    pub(super) repository_url: Option<String>,
    pub(super) updated_at: String,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    pub(super) comments: u64,
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    login: String,
}

/// Older ones are names alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Label {
    Object { name: String },
    Name(String),
}

impl Issue {
    pub(super) fn is_wanted(&self, pull_requests: PullRequests) -> bool {
        self.pull_request.is_none() || pull_requests == PullRequests::Read
    }

    /// Its text is Markdown: its title, what is known of it, its body, and each comment under a heading of its own.
    pub(super) fn document(&self, comments: &[Comment]) -> Result<Raw, String> {
        let mut text = format!("# {}\n\n", self.title);
        let _ = write!(text, "Issue {}, {}", self.number, self.state);
        if let Some(user) = &self.user {
            let _ = write!(text, ", by {}", user.login);
        }
        let labels: Vec<_> = self.labels.iter().map(Label::name).collect();
        if !labels.is_empty() {
            let _ = write!(text, ", labelled {}", labels.join(", "));
        }
        text.push_str(".\n\n");
        text.push_str(self.body.as_deref().unwrap_or_default());
        for comment in comments {
            let author = comment.user.as_ref();
            let author = author.map_or("somebody", |user| &user.login);
            let body = comment.body.as_deref().unwrap_or_default();
            let day = comment.created_at.get(..10).unwrap_or_default();
            // What was said first is kept of an issue that is longer than a document may be.
            if text.len() + body.len() + 200 > KNOWLEDGE_TEXT_BYTES {
                break;
            }
            let _ = write!(text, "\n\n## {author}, {day}\n\n{body}");
        }
        let extracted = kept(Kind::Markdown, None, &text);
        let revision = self.updated_at.parse();
        let link: Option<Url> = self.html_url.parse().ok();
        Ok(Raw {
            title: Some(self.title.clone()),
            link: link.filter(|link| matches!(link.scheme(), "http" | "https")),
            revision: revision.map_err(|_| "the time of an issue is none".to_owned())?,
            updated_at: self.updated_at.parse::<Timestamp>().ok(),
            body: Body::Text(extracted.map_err(|error| error.to_string())?),
        })
    }
}

impl Comment {
    /// How much it says.
    pub(super) fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, String::len)
    }
}

impl Label {
    fn name(&self) -> &str {
        match self {
            Self::Object { name } | Self::Name(name) => name,
        }
    }
}
