//! Documents that declare what an organization has: environments, agents, LLM proxies, limits and knowledge connectors, any number in a file.
//!
//! A document without `kind` is an environment file. What the wire has no word for stands beside its fields: of an environment `restricted` and
//! `namespace`, of an agent `environment`. Whoever finds a problem, it has its place in the file.

mod fields;
mod knowledge;
mod spending;

use bailiwick_model::EnvironmentName;
use bailiwick_model::limits::{DECLARATION_DEPTH, SHORT_ENVIRONMENT_NAME_CHARS};
use serde_json::{Map, Value as Json};

use crate::agent::AgentBody;
use crate::draft::EnvironmentDraft;
use crate::environment::{EnvironmentBody, invalid_namespace};
use crate::environment_file::EnvironmentFile;
use crate::json::FieldProblem;
use crate::placed::Placed;
use crate::problem::{Cause, Problem};
use crate::report::{EnvironmentFileErrors, EnvironmentFileWarnings, Position, Positions};
use crate::shape::Reader;
use crate::tree::{self, Located, Node, Span, Value};
use crate::validate::only;

pub use knowledge::DeclaredKnowledgeConnector;
pub use spending::{DeclaredLimit, DeclaredLlmProxy, LimitSubject};

/// What a document may be of.
const KINDS: [&str; 5] = [
    "Environment",
    "Agent",
    "LlmProxy",
    "Limit",
    "KnowledgeConnector",
];

/// The documents of one file.
#[derive(Debug)]
pub struct Declarations {
    /// In the order of the file.
    pub list: Vec<Declaration>,
    /// What is worth saying although the file can be used.
    pub warnings: Option<EnvironmentFileWarnings>,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Where its name stands.
    pub position: Position,
    /// What it says.
    pub declared: Declared,
}

/// What a document is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// `kind: Environment`, or none.
    Environment(Box<DeclaredEnvironment>),
    /// `kind: Agent`.
    Agent(Box<DeclaredAgent>),
    /// `kind: LlmProxy`.
    LlmProxy(Box<DeclaredLlmProxy>),
    /// `kind: Limit`.
    Limit(Box<DeclaredLimit>),
    /// `kind: KnowledgeConnector`.
    KnowledgeConnector(Box<DeclaredKnowledgeConnector>),
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredEnvironment {
    /// What the wire knows of it; the name is one that `/api` takes.
    pub body: EnvironmentBody,
    /// Whether it takes a right of its own to assign resources to it, if that is said.
    pub restricted: Option<bool>,
    /// Its Kubernetes namespace, if that is said; `Some(None)` is none.
    pub namespace: Option<Option<String>>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredAgent {
    /// What the wire knows of it.
    pub body: AgentBody,
    /// Where it is placed, if that is said; `Some(None)` leaves it to its sessions.
    pub environment: Option<Option<EnvironmentName>>,
}

/// What a document is of that has no `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultKind {
    /// An environment, as a file for `bailiwick run` is.
    Environment,
    /// An agent, as the body of a request is.
    Agent,
}

/// Reads the documents of a file: YAML, in which `---` parts them, or JSON. Empty ones are passed over.
///
/// `source_name` is what errors call the file, usually its path.
///
/// # Errors
///
/// Every problem of every document at once, each with its place and its fix. Where the text is not YAML, the place at which reading ended and what
/// was wrong before it.
pub fn parse_declarations(
    source_name: &str,
    text: &str,
    default: DefaultKind,
) -> Result<Declarations, EnvironmentFileErrors> {
    let (documents, mut problems) = tree::read_all(text, DECLARATION_DEPTH);
    let (mut list, mut warnings) = (Vec::new(), Vec::new());
    let positions = Positions::of(text);
    for document in documents {
        let at = name_of(&document);
        let read = declared(document, default, &mut problems, &mut warnings);
        list.extend(read.map(|declared| Declaration {
            position: positions.at(at),
            declared,
        }));
    }
    if !problems.is_empty() {
        problems.extend(warnings);
        return Err(EnvironmentFileErrors::new(source_name, text, problems));
    }
    let warnings =
        (!warnings.is_empty()).then(|| EnvironmentFileWarnings::new(source_name, text, warnings));
    Ok(Declarations { list, warnings })
}

/// Reads a file that holds one object of JSON, which may be written as YAML.
///
/// # Errors
///
/// As [`parse_declarations`].
pub fn parse_object(
    source_name: &str,
    text: &str,
) -> Result<Map<String, Json>, EnvironmentFileErrors> {
    let (documents, mut problems) = tree::read_all(text, DECLARATION_DEPTH);
    let mut documents = documents.into_iter();
    if let (Some(document), None) = (documents.next(), documents.next()) {
        let span = document.span.clone();
        if let Some(entries) = entries_of(document, &mut problems)
            && let Some(placed) = Placed::of(&entries, span, &mut problems)
            && problems.is_empty()
        {
            return Ok(placed.json);
        }
    } else if problems.is_empty() {
        problems.push(Problem::new(Cause::SeveralDocuments, 0..0));
    }
    Err(EnvironmentFileErrors::new(source_name, text, problems))
}

fn declared(
    document: Node,
    default: DefaultKind,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Declared> {
    let span = document.span.clone();
    let mut entries = entries_of(document, problems)?;
    let kind = match take(&mut entries, "kind") {
        None => Kind::of(default),
        Some(node) => {
            let span = node.span.clone();
            let value = Reader::new(problems).text("kind", node)?;
            match value.as_str() {
                "Environment" => Kind::Environment,
                "Agent" => Kind::Agent,
                "LlmProxy" => Kind::LlmProxy,
                "Limit" => Kind::Limit,
                "KnowledgeConnector" => Kind::KnowledgeConnector,
                _ => {
                    only(&Located { value, span }, "kind", &KINDS, problems);
                    return None;
                }
            }
        }
    };
    match kind {
        Kind::Environment => environment(entries, span, problems, warnings)
            .map(|environment| Declared::Environment(Box::new(environment))),
        Kind::Agent => agent(entries, span, problems).map(|agent| Declared::Agent(Box::new(agent))),
        Kind::LlmProxy => read(&entries, span, problems, DeclaredLlmProxy::of)
            .map(|proxy| Declared::LlmProxy(Box::new(proxy))),
        Kind::Limit => read(&entries, span, problems, DeclaredLimit::of)
            .map(|limit| Declared::Limit(Box::new(limit))),
        Kind::KnowledgeConnector => read(&entries, span, problems, DeclaredKnowledgeConnector::of)
            .map(|connector| Declared::KnowledgeConnector(Box::new(connector))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Environment,
    Agent,
    LlmProxy,
    Limit,
    KnowledgeConnector,
}

impl Kind {
    fn of(default: DefaultKind) -> Self {
        match default {
            DefaultKind::Environment => Self::Environment,
            DefaultKind::Agent => Self::Agent,
        }
    }
}

/// What says of JSON what is wrong with its fields.
fn read<T>(
    entries: &Entries,
    span: Span,
    problems: &mut Vec<Problem>,
    of: impl Fn(&Map<String, Json>) -> Result<T, Vec<FieldProblem>>,
) -> Option<T> {
    let placed = Placed::of(entries, span, problems)?;
    let further = match of(&placed.json) {
        Ok(read) => return Some(read),
        Err(further) => further.into_iter(),
    };
    problems.extend(further.map(|problem| placed.located(problem)));
    None
}

type Entries = Vec<(Located<String>, Node)>;

fn entries_of(document: Node, problems: &mut Vec<Problem>) -> Option<Entries> {
    Reader::new(problems).entries("a document", document)
}

fn take(entries: &mut Entries, name: &str) -> Option<Node> {
    let index = entries.iter().position(|(key, _)| key.value == name)?;
    Some(entries.remove(index).1)
}

fn peek<'a>(entries: &'a Entries, name: &str) -> Option<&'a Node> {
    let found = entries.iter().find(|(key, _)| key.value == name);
    found.map(|(_, node)| node)
}

fn name_of(document: &Node) -> usize {
    let Value::Map(entries) = &document.value else {
        return document.span.start;
    };
    peek(entries, "name").map_or(document.span.start, |name| name.span.start)
}

fn environment(
    mut entries: Entries,
    span: Span,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<DeclaredEnvironment> {
    let before = problems.len();
    let name_at = peek(&entries, "name").map(|name| name.span.clone());
    let restricted = take(&mut entries, "restricted")
        .and_then(|node| Reader::new(problems).boolean("restricted", node));
    let namespace = take(&mut entries, "namespace").and_then(|node| namespace(node, problems));
    let is_self_hosted = without_workers(&mut entries, problems);
    let document = Located {
        value: Value::Map(entries),
        span,
    };
    let file = match EnvironmentFile::try_from(EnvironmentDraft::read(document, problems)?) {
        Ok(file) => file,
        Err(further) => {
            problems.extend(further);
            return None;
        }
    };
    if file.name.as_str().chars().count() > SHORT_ENVIRONMENT_NAME_CHARS {
        let problem = FieldProblem {
            field: "name".to_owned(),
            code: "invalid_name",
            message: format!(
                "a name on a server has at most {SHORT_ENVIRONMENT_NAME_CHARS} characters"
            ),
            help: "shorten it".to_owned(),
        };
        problems.extend(name_at.map(|span| Problem::new(problem.into(), span)));
    }
    warnings.extend(file.warnings.iter().cloned());
    (problems.len() == before).then(|| DeclaredEnvironment {
        body: EnvironmentBody::of_file(file, is_self_hosted),
        restricted,
        namespace,
    })
}

fn namespace(node: Node, problems: &mut Vec<Problem>) -> Option<Option<String>> {
    if node.value == Value::Null {
        return Some(None);
    }
    let span = node.span.clone();
    let name = Reader::new(problems).text("namespace", node)?;
    if let Some(problem) = invalid_namespace(&name) {
        problems.push(Problem::new(problem.into(), span));
    }
    Some(Some(name))
}

/// Whether the environment is self-hosted. Then its `config` has nothing else; to what reads on, it is an empty one of the cloud.
fn without_workers(entries: &mut Entries, problems: &mut Vec<Problem>) -> bool {
    let config = entries.iter_mut().find(|(key, _)| key.value == "config");
    let Some(Value::Map(config)) = config.map(|(_, node)| &mut node.value) else {
        return false;
    };
    let self_hosted = Value::Text("self_hosted".to_owned());
    if peek(config, "type").is_none_or(|kind| kind.value != self_hosted) {
        return false;
    }
    for (key, node) in std::mem::take(config) {
        if key.value == "type" {
            let value = Value::Text("cloud".to_owned());
            config.push((
                key,
                Located {
                    value,
                    span: node.span,
                },
            ));
        } else {
            let problem = FieldProblem {
                message: format!(
                    "a self-hosted environment has no {:?}: its workers decide",
                    key.value
                ),
                field: format!("config.{}", key.value),
                code: "unknown_field",
                help: "remove it, or write `type: cloud`".to_owned(),
            };
            problems.push(Problem::new(problem.into(), key.span));
        }
    }
    true
}

fn agent(mut entries: Entries, span: Span, problems: &mut Vec<Problem>) -> Option<DeclaredAgent> {
    let before = problems.len();
    let environment = take(&mut entries, "environment").and_then(|node| placement(node, problems));
    let placed = Placed::of(&entries, span, problems)?;
    match AgentBody::create(&placed.json) {
        Ok(body) => (problems.len() == before).then_some(DeclaredAgent { body, environment }),
        Err(further) => {
            problems.extend(further.into_iter().map(|problem| placed.located(problem)));
            None
        }
    }
}

fn placement(node: Node, problems: &mut Vec<Problem>) -> Option<Option<EnvironmentName>> {
    if node.value == Value::Null {
        return Some(None);
    }
    let span = node.span.clone();
    let name = Reader::new(problems).text("environment", node)?;
    match name.parse() {
        Ok(name) => Some(Some(name)),
        Err(error) => {
            problems.push(Problem::new(Cause::Name(error), span));
            None
        }
    }
}
