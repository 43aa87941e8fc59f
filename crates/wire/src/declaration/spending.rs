//! LLM proxies and limits, as documents declare them: what they refer to stands there by its name.

use bailiwick_model::limits::{
    LIMIT_NAME_CHARS, LIMIT_THRESHOLD_PERCENT, LIMIT_THRESHOLDS, LLM_PROXY_MODELS,
    MODEL_PATTERN_CHARS, SPEND_LIMIT_MODELS, SPEND_LIMIT_TOKENS,
};
use bailiwick_model::{EnvironmentName, LimitWindow};
use serde_json::{Map, Value as Json, json};

use super::fields::Problems;
use crate::json::FieldProblem;

/// A door of an environment to model upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLlmProxy {
    /// What people call it.
    pub name: String,
    /// Where it belongs.
    pub environment: EnvironmentName,
    /// Which models it has; all if none is named.
    pub models: Vec<String>,
}

/// A limit of what may be spent on models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLimit {
    /// What it is found by.
    pub name: String,
    /// Whose spending it holds down.
    pub subject: LimitSubject,
    /// Where it counts, if not everywhere.
    pub place: Option<EnvironmentName>,
    /// How much in which time, as the administration takes it.
    pub rest: Map<String, Json>,
}

/// Whose spending a limit holds down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitSubject {
    /// All that the organization spends.
    Organization,
    /// Each user by themselves.
    EachUser,
    /// One thing: what it is, as [`bailiwick_model::LimitEntity::kind`] says it, and its name.
    One(&'static str, String),
}

/// What a limit can be for that has a name.
const NAMED: [&str; 5] = ["environment", "agent", "llm_proxy", "team", "user"];
const OF_PROXY: [&str; 3] = ["name", "environment", "models"];
const OF_LIMIT: [&str; 9] = [
    "name",
    "for",
    "in",
    "max_cost_usd",
    "max_tokens",
    "window",
    "enforcement",
    "models",
    "thresholds",
];

impl Problems {
    fn models(&mut self, map: &Map<String, Json>, most: usize) -> Vec<String> {
        let none = Vec::new();
        let list = match map.get("models") {
            None | Some(Json::Null) => &none,
            Some(Json::Array(list)) if list.len() <= most => list,
            Some(_) => {
                let message = format!("has to be a list of at most {most} models");
                self.add("models", "invalid_model", &message, "write [claude-*]");
                return Vec::new();
            }
        };
        let mut models = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let text = item.as_str();
            match text.filter(|text| (1..=MODEL_PATTERN_CHARS).contains(&text.chars().count())) {
                Some(text) => models.push(text.to_owned()),
                None => self.add(
                    &format!("models[{index}]"),
                    "invalid_model",
                    "is no name of a model",
                    "write claude-opus-4-5, or claude-*",
                ),
            }
        }
        models
    }
}

impl DeclaredLlmProxy {
    /// Reads a document.
    pub(super) fn of(map: &Map<String, Json>) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Problems::default();
        problems.known(map, &OF_PROXY);
        let name = problems.text(map, "name", LIMIT_NAME_CHARS);
        let environment = problems.environment(map, "environment");
        let models = problems.models(map, LLM_PROXY_MODELS);
        match (name, environment) {
            (Some(name), Some(environment)) if problems.0.is_empty() => Ok(Self {
                name,
                environment,
                models,
            }),
            _ => Err(problems.0),
        }
    }
}

impl DeclaredLimit {
    /// Reads a document.
    pub(super) fn of(map: &Map<String, Json>) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Problems::default();
        problems.known(map, &OF_LIMIT);
        let name = problems.text(map, "name", LIMIT_NAME_CHARS);
        let subject = subject(map, &mut problems);
        let place = match map.get("in") {
            None | Some(Json::Null) => None,
            Some(_) => problems.environment(map, "in"),
        };
        let rest = rest(map, &mut problems);
        match (name, subject) {
            (Some(name), Some(subject)) if problems.0.is_empty() => Ok(Self {
                name,
                subject,
                place,
                rest,
            }),
            _ => Err(problems.0),
        }
    }
}

fn subject(map: &Map<String, Json>, problems: &mut Problems) -> Option<LimitSubject> {
    match map.get("for") {
        Some(Json::String(word)) if word == "organization" => {
            return Some(LimitSubject::Organization);
        }
        Some(Json::String(word)) if word == "each_user" => return Some(LimitSubject::EachUser),
        Some(Json::Object(one)) if one.len() == 1 => {
            let named = NAMED.iter().find_map(|kind| {
                let name = one.get(*kind)?.as_str()?;
                Some(LimitSubject::One(kind, name.to_owned()))
            });
            if named.is_some() {
                return named;
            }
        }
        _ => {}
    }
    let message = "has to say whose spending it holds down";
    let help = "write organization, each_user, or one of environment, agent, llm_proxy, team and user with a name: {environment: payments}";
    problems.add("for", "invalid_subject", message, help);
    None
}

/// How much in which time.
fn rest(map: &Map<String, Json>, problems: &mut Problems) -> Map<String, Json> {
    let mut rest = Map::new();
    let mut set = |field: &str, value: Json| rest.insert(field.to_owned(), value);
    let cost = match map.get("max_cost_usd") {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let cost = cost.filter(|text| is_amount(text));
    let tokens = map.get("max_tokens").and_then(Json::as_i64);
    let tokens = tokens.filter(|tokens| (0..=SPEND_LIMIT_TOKENS).contains(tokens));
    let said = map.contains_key("max_cost_usd") || map.contains_key("max_tokens");
    match (cost, tokens) {
        (Some(cost), None) if !map.contains_key("max_tokens") => {
            set("max_cost_usd", cost.into());
        }
        (None, Some(tokens)) if !map.contains_key("max_cost_usd") => {
            set("max_tokens", tokens.into());
        }
        _ => {
            let field = match said {
                true if map.contains_key("max_tokens") => "max_tokens",
                true | false => "max_cost_usd",
            };
            let message = "a limit is of money or of tokens, one of the two";
            let help = "write max_cost_usd: \"30\", or max_tokens: 1000000";
            problems.add(field, "one_amount", message, help);
        }
    }
    let window = map.get("window").and_then(Json::as_str);
    match window.and_then(|word| word.parse::<LimitWindow>().ok()) {
        Some(window) => {
            set("window", json!(window));
        }
        None => {
            let all = LimitWindow::ALL.map(LimitWindow::as_str).join(", ");
            let message = "has to be a window of a limit";
            problems.add(
                "window",
                "invalid_window",
                message,
                &format!("write one of {all}"),
            );
        }
    }
    match map.get("enforcement").and_then(Json::as_str) {
        Some(word @ ("hard" | "soft")) => {
            set("enforcement", word.into());
        }
        None if !map.contains_key("enforcement") => {
            set("enforcement", "hard".into());
        }
        Some(_) | None => {
            let message = "has to be hard or soft";
            problems.add("enforcement", "invalid_enforcement", message, "write hard");
        }
    }
    set("thresholds", thresholds(map, problems).into());
    set("models", problems.models(map, SPEND_LIMIT_MODELS).into());
    rest
}

fn thresholds(map: &Map<String, Json>, problems: &mut Problems) -> Vec<u16> {
    let list = match map.get("thresholds") {
        None | Some(Json::Null) => return Vec::new(),
        Some(Json::Array(list)) => list.iter().map(Json::as_u64).collect(),
        Some(_) => None,
    };
    let percent = |number: u64| {
        let percent = u16::try_from(number).ok()?;
        (1..=LIMIT_THRESHOLD_PERCENT)
            .contains(&percent)
            .then_some(percent)
    };
    let list: Option<Vec<u16>> =
        list.and_then(|list: Vec<u64>| list.into_iter().map(percent).collect());
    let is_right = |list: &Vec<u16>| {
        list.len() <= LIMIT_THRESHOLDS && list.is_sorted_by(|one, next| one < next)
    };
    list.filter(is_right).unwrap_or_else(|| {
        let message = "has to be percents in ascending order";
        problems.add(
            "thresholds",
            "invalid_threshold",
            message,
            "write [50, 80, 100]",
        );
        Vec::new()
    })
}

/// Digits, with up to nine more behind a point.
fn is_amount(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_number(whole, 9) && is_number(part, 9)
}
