//! Where an upstream is, what it speaks, and which models it has.

use bailiwick_llm::{BaseUrl, NotABaseUrl, OutputCap, Protocol};
use bailiwick_model::limits::{MODEL_ID_CHARS, MODEL_UPSTREAM_SECONDS, MODELS_OF_UPSTREAM};
use bailiwick_store::StoreError;
use bailiwick_wire::FieldProblem;
use serde::{Deserialize, Serialize};

use crate::error::ControlError;

/// All of an upstream but its name, its place in the order and its key, in the form in which it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// What it speaks.
    pub protocol: UpstreamProtocol,
    /// `https://HOST[:PORT][/PATH]`: what the paths of its API are appended to.
    pub base_url: String,
    /// Which models it is asked for; the first entry that fits a model counts.
    pub models: Vec<ServedModel>,
    /// How it is shown the key; none is as its protocol has it.
    #[serde(default)]
    pub key_header: Option<KeyHeader>,
    /// What it calls the bound of an answer. The Messages API has one name for it.
    #[serde(default)]
    pub max_tokens_field: TokensField,
    /// Whether it may be reached without TLS. Everybody on the way could then read prompts and key.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Seconds until it has to begin its answer; none is the usual time.
    #[serde(default)]
    pub timeout_seconds: Option<i64>,
}

/// The API of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// The Messages API: `POST {base_url}/v1/messages`.
    Anthropic,
    /// The Chat Completions API: `POST {base_url}/chat/completions`.
    Openai,
}

/// How an upstream is shown its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyHeader {
    /// `x-api-key: KEY`.
    #[serde(rename = "x-api-key")]
    ApiKey,
    /// `Authorization: Bearer KEY`.
    #[serde(rename = "authorization")]
    Authorization,
}

/// What an upstream of the Chat Completions API calls the bound of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokensField {
    /// `max_tokens`: most.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's newer models.
    MaxCompletionTokens,
}

/// A model, or models whose names begin alike, and what the upstream calls them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedModel {
    /// A model's name as agents have it; with `*` at its end, all that begin so.
    pub model: String,
    /// The upstream's name for it; none is the same.
    #[serde(default)]
    pub upstream_model: Option<String>,
}

impl ServedModel {
    /// All models there are.
    pub(crate) fn any() -> Self {
        Self {
            model: "*".to_owned(),
            upstream_model: None,
        }
    }

    /// Whether it stands for all that begin so.
    pub(crate) fn is_pattern(&self) -> bool {
        self.model.ends_with('*')
    }

    /// Whether it stands for a model.
    pub(crate) fn is_for(&self, model: &str) -> bool {
        match self.model.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning),
            None => self.model == model,
        }
    }
}

impl UpstreamConfig {
    pub(super) fn stored(text: &str) -> Result<Self, ControlError> {
        serde_json::from_str(text)
            .map_err(|_| ControlError::Store(StoreError::Corrupt { column: "config" }))
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers")
    }

    /// Where it is.
    pub(super) fn base(&self) -> Result<BaseUrl, ControlError> {
        self.base_url()
            .map_err(|_| ControlError::Store(StoreError::Corrupt { column: "config" }))
    }

    fn base_url(&self) -> Result<BaseUrl, NotABaseUrl> {
        if self.allow_plain_http {
            BaseUrl::accepting_plain_http(&self.base_url)
        } else {
            self.base_url.parse()
        }
    }

    /// Whether another one is the same server, by scheme, host and port: who knows a key that went to one knows it at the other.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        let origin = |config: &Self| {
            let url = url::Url::parse(&config.base_url).ok()?;
            Some(url.origin()).filter(url::Origin::is_tuple)
        };
        let own = origin(self);
        own.is_some() && own == origin(other)
    }

    /// What the upstream calls a model, if it is asked for it.
    pub(super) fn upstream_name(&self, model: &str) -> Option<String> {
        let served = self.models.iter().find(|served| served.is_for(model))?;
        let own = served.upstream_model.as_deref();
        Some(own.unwrap_or(model).to_owned())
    }

    pub(super) fn speaks(&self) -> Protocol {
        match self.protocol {
            UpstreamProtocol::Anthropic => Protocol::Messages,
            UpstreamProtocol::Openai => Protocol::Completions(match self.max_tokens_field {
                TokensField::MaxTokens => OutputCap::MaxTokens,
                TokensField::MaxCompletionTokens => OutputCap::MaxCompletionTokens,
            }),
        }
    }

    pub(super) fn key_header(&self) -> KeyHeader {
        self.key_header.unwrap_or(match self.protocol {
            UpstreamProtocol::Anthropic => KeyHeader::ApiKey,
            UpstreamProtocol::Openai => KeyHeader::Authorization,
        })
    }

    /// All that is wrong with it.
    pub(super) fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut refuse = |field: String, code, message: String, help: &str| {
            problems.push(FieldProblem {
                field,
                code,
                message,
                help: help.to_owned(),
            });
        };
        if let Err(error) = self.base_url() {
            let help = "write it like https://models.example.com; allow_plain_http accepts http";
            refuse(
                "base_url".to_owned(),
                "invalid_url",
                error.to_string(),
                help,
            );
        }
        if !(1..=MODELS_OF_UPSTREAM).contains(&self.models.len()) {
            let message = format!("has 1 to {MODELS_OF_UPSTREAM} entries");
            let help = "name the models that are asked for here, or \"*\" for all";
            refuse("models".to_owned(), "out_of_range", message, help);
        }
        for (index, served) in self.models.iter().enumerate() {
            let inner = served.model.strip_suffix('*').unwrap_or(&served.model);
            let is_pattern = served.model.ends_with('*');
            if (inner.is_empty() && !is_pattern) || !is_name(&served.model) || inner.contains('*') {
                let message = format!(
                    "is a model's name of at most {MODEL_ID_CHARS} characters, with `*` at its end alone"
                );
                let help = "write it like claude-sonnet-4-5 or claude-*";
                refuse(
                    format!("models[{index}].model"),
                    "invalid_model",
                    message,
                    help,
                );
            }
            let own = served.upstream_model.as_deref();
            if own.is_some_and(|own| own.is_empty() || !is_name(own)) {
                let message = format!("is a name of 1 to {MODEL_ID_CHARS} characters");
                let help = "write the upstream's name for the model, or leave it out";
                let field = format!("models[{index}].upstream_model");
                refuse(field, "invalid_model", message, help);
            }
        }
        let seconds = self.timeout_seconds.unwrap_or(1);
        if !(1..=MODEL_UPSTREAM_SECONDS).contains(&seconds) {
            let message = format!("is a number from 1 to {MODEL_UPSTREAM_SECONDS}");
            let help = "it is how long the upstream may take to begin its answer";
            refuse("timeout_seconds".to_owned(), "out_of_range", message, help);
        }
        problems
    }
}

fn is_name(text: &str) -> bool {
    text.chars().count() <= MODEL_ID_CHARS && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(models: &[(&str, Option<&str>)]) -> UpstreamConfig {
        let served = models.iter().map(|(model, own)| ServedModel {
            model: (*model).to_owned(),
            upstream_model: own.map(str::to_owned),
        });
        UpstreamConfig {
            protocol: UpstreamProtocol::Openai,
            base_url: "https://models.example.com/v1".to_owned(),
            models: served.collect(),
            key_header: None,
            max_tokens_field: TokensField::default(),
            allow_plain_http: false,
            timeout_seconds: None,
        }
    }

    #[test]
    fn the_first_entry_that_fits_says_the_name() {
        let config = config(&[
            ("fast", Some("gpt-5-mini")),
            ("claude-*", None),
            ("claude-opus", Some("never")),
        ]);
        let name = |model: &str| config.upstream_name(model);
        assert_eq!(name("fast").as_deref(), Some("gpt-5-mini"));
        assert_eq!(name("claude-opus").as_deref(), Some("claude-opus"));
        assert_eq!(name("claude-").as_deref(), Some("claude-"));
        for other in ["faster", "FAST", "Claude-opus", "my-claude-opus", ""] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn what_stands_for_nothing_or_for_too_much_is_refused() {
        let wrong = |models: &[(&str, Option<&str>)]| config(models).problems().len();
        assert_eq!(wrong(&[("*", None), ("a", Some("b"))]), 0);
        assert_eq!(wrong(&[]), 1);
        assert_eq!(
            wrong(&[("", None), ("a*b", None), ("**", None), ("a", Some(""))]),
            4
        );
        let long = "x".repeat(MODEL_ID_CHARS + 1);
        assert_eq!(wrong(&[(&long, None)]), 1);
    }

    #[test]
    fn another_scheme_host_or_port_is_another_server() {
        let at = |base_url: &str| UpstreamConfig {
            base_url: base_url.to_owned(),
            ..config(&[("*", None)])
        };
        let own = at("https://models.example.com/v1");
        for same in [
            "https://models.example.com:443/v2",
            "https://MODELS.example.com",
        ] {
            assert!(own.is_where(&at(same)), "{same}");
        }
        for other in [
            "http://models.example.com/v1",
            "https://models.example.com:8443/v1",
            "https://models.example.com.evil.test/v1",
            "https://models.example.com@evil.test/v1",
            "models.example.com",
        ] {
            assert!(!own.is_where(&at(other)), "{other}");
        }
    }
}
