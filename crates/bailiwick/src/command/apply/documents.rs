//! What is to be applied: the documents of all files, each with its place.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_model::limits::{
    APPLIED_BYTES, APPLIED_DIRECTORY_DEPTH, APPLIED_FILES, ENVIRONMENT_FILE_BYTES, METADATA_PAIRS,
};
use bailiwick_wire::{Declared, DefaultKind, Position, parse_declarations};

use super::counted;
use super::plan::{Kind, MARK};
use crate::bad_input::BadInput;
use crate::client::name_key;
use crate::host_environment::HostEnvironment;
use crate::input::{self, STDIN};
use crate::output::{self, printable};

/// What a directory's files are called.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// One document.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) origin: Origin,
    pub(super) declared: Declared,
}

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) file: String,
    pub(super) position: Position,
}

/// What is wrong with a document that is right by itself.
#[derive(Debug, thiserror::Error)]
enum DocumentProblem {
    #[error("{second}: {kind} {name:?} stands in {first} already: keep one of the two")]
    Duplicate {
        kind: Kind,
        name: String,
        first: Origin,
        second: Origin,
    },
    #[error(
        "{origin}: {kind} {name:?} has the key {MARK:?} in its metadata, which `apply` writes itself: remove it, and give --set NAME"
    )]
    Marked {
        kind: Kind,
        name: String,
        origin: Origin,
    },
    #[error(
        "{origin}: {kind} {name:?} has {METADATA_PAIRS} pairs of metadata, which leaves no room for {MARK:?}: keep one less"
    )]
    FullMetadata {
        kind: Kind,
        name: String,
        origin: Origin,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position } = self;
        let Position { line, column } = position;
        write!(f, "{}:{line}:{column}", printable(file))
    }
}

impl Document {
    pub(super) fn kind(&self) -> Kind {
        match &self.declared {
            Declared::Environment(_) => Kind::Environment,
            Declared::Agent(_) => Kind::Agent,
            Declared::LlmProxy(_) => Kind::LlmProxy,
            Declared::Limit(_) => Kind::Limit,
            Declared::KnowledgeConnector(_) => Kind::KnowledgeConnector,
        }
    }

    /// Whether it declares what may be spent, or through what.
    pub(super) fn is_about_spending(&self) -> bool {
        match &self.declared {
            Declared::LlmProxy(_) | Declared::Limit(_) => true,
            Declared::Environment(_) | Declared::Agent(_) | Declared::KnowledgeConnector(_) => {
                false
            }
        }
    }

    /// Whether it declares what is known.
    pub(super) fn is_about_knowledge(&self) -> bool {
        match &self.declared {
            Declared::KnowledgeConnector(_) => true,
            Declared::Environment(_)
            | Declared::Agent(_)
            | Declared::LlmProxy(_)
            | Declared::Limit(_) => false,
        }
    }

    pub(super) fn name(&self) -> &str {
        match &self.declared {
            Declared::Environment(environment) => environment.body.name.as_str(),
            Declared::Agent(agent) => &agent.body.name,
            Declared::LlmProxy(proxy) => &proxy.name,
            Declared::Limit(limit) => &limit.name,
            Declared::KnowledgeConnector(connector) => &connector.name,
        }
    }

    /// What no two documents of a kind may have in common.
    fn key(&self) -> (Kind, String) {
        let name = match &self.declared {
            Declared::Environment(_) | Declared::LlmProxy(_) | Declared::KnowledgeConnector(_) => {
                name_key(self.name())
            }
            // Agents and limits may have any name twice, so theirs are compared to the letter.
            Declared::Agent(_) | Declared::Limit(_) => self.name().to_owned(),
        };
        (self.kind(), name)
    }

    /// The pairs of what has some.
    fn metadata(&self) -> Option<&BTreeMap<String, String>> {
        match &self.declared {
            Declared::Environment(environment) => Some(&environment.body.metadata),
            Declared::Agent(agent) => Some(&agent.body.metadata),
            Declared::LlmProxy(_) | Declared::Limit(_) | Declared::KnowledgeConnector(_) => None,
        }
    }
}

/// Reads all documents, and prints their warnings. If something is wrong with any, all that is wrong is printed, each with its place.
///
/// # Errors
///
/// [`BadInput`]: a file cannot be read, there is no document, or what was wrong was printed.
pub(super) fn read(paths: &[PathBuf], host: &HostEnvironment) -> Result<Vec<Document>, BadInput> {
    let files = files(paths)?;
    let (mut documents, mut unusable, mut bytes) = (Vec::new(), 0, 0);
    for file in &files {
        let text = input::text(file, ENVIRONMENT_FILE_BYTES)?;
        bytes += text.len();
        if bytes > APPLIED_BYTES {
            let (path, limit) = (file.clone(), APPLIED_BYTES);
            return Err(BadInput::TooMuchToApply { path, limit });
        }
        let name = input::name(file);
        match parse_declarations(&name, &text, DefaultKind::Environment) {
            Ok(read) => {
                if let Some(warnings) = &read.warnings {
                    output::print_diagnostic(warnings, host);
                }
                documents.extend(read.list.into_iter().map(|one| Document {
                    origin: Origin {
                        file: name.clone(),
                        position: one.position,
                    },
                    declared: one.declared,
                }));
            }
            Err(errors) => {
                output::print_diagnostic(&errors, host);
                unusable += 1;
            }
        }
    }
    let problems = problems(&documents);
    for problem in &problems {
        output::print_error(&anyhow::Error::msg(problem.to_string()), host);
    }
    let wrong = [(unusable, "file"), (problems.len(), "document")];
    let wrong = wrong.into_iter().filter(|(count, _)| *count > 0);
    let wrong: Vec<_> = wrong.map(|(count, noun)| counted(count, noun)).collect();
    if wrong.is_empty() {
        return Ok(documents);
    }
    let told = format!("{} cannot be used", wrong.join(" and "));
    Err(BadInput::NotApplied(told))
}

fn problems(documents: &[Document]) -> Vec<DocumentProblem> {
    let mut problems = Vec::new();
    let mut seen = HashMap::new();
    for document in documents {
        let (kind, name) = (document.kind(), document.name().to_owned());
        let origin = document.origin.clone();
        let metadata = document.metadata();
        if metadata.is_some_and(|pairs| pairs.contains_key(MARK)) {
            let (name, origin) = (name.clone(), origin.clone());
            problems.push(DocumentProblem::Marked { kind, name, origin });
        } else if metadata.is_some_and(|pairs| pairs.len() >= METADATA_PAIRS) {
            let (name, origin) = (name.clone(), origin.clone());
            problems.push(DocumentProblem::FullMetadata { kind, name, origin });
        }
        match seen.entry(document.key()) {
            Entry::Vacant(free) => {
                free.insert(origin);
            }
            Entry::Occupied(taken) => problems.push(DocumentProblem::Duplicate {
                kind,
                name,
                first: taken.get().clone(),
                second: origin,
            }),
        }
    }
    problems
}

/// The files of all paths, those of a directory in the order of their names.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, BadInput> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        if path != Path::new(STDIN) && path.is_dir() {
            walk(path, 0, &mut files)?;
            if files.len() == before {
                return Err(BadInput::NothingToApply(path.clone()));
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), BadInput> {
    let unreadable = |source: io::Error| BadInput::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let entries = fs::read_dir(directory).map_err(unreadable)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        // A directory behind a link may hold this one.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if depth == APPLIED_DIRECTORY_DEPTH {
                let limit = APPLIED_DIRECTORY_DEPTH;
                return Err(BadInput::TooDeep { path, limit });
            }
            walk(&path, depth + 1, files)?;
        } else if is_document(&path) {
            if files.len() == APPLIED_FILES {
                let (path, limit) = (directory.to_owned(), APPLIED_FILES);
                return Err(BadInput::TooManyToApply { path, limit });
            }
            files.push(path);
        }
    }
    Ok(())
}

fn is_document(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = |extension: &str| EXTENSIONS.contains(&extension.to_lowercase().as_str());
    extension.is_some_and(known) && path.is_file()
}
