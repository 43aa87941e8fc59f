//! What can be wrong with an environment file: one variant for each cause, each with the words of its fix.

use std::fmt;

use bailiwick_model::limits;
use bailiwick_model::{
    BaseProblem, GitRefProblem, InvalidId, PackageManager, PackageSpecProblem, ProjectNameProblem,
    RepositoryProblem, SetupProblem,
};
use bailiwick_policy::{CidrRuleError, HostPatternError, HostPatternWarning};
use miette::{Diagnostic, LabeledSpan, Severity};

use crate::credential::CredentialProblem;
use crate::json::FieldProblem;
use crate::source::ShownSource;
use crate::tree::{Span, Value};

/// The longest label.
const LABEL_BYTES: usize = 120;

/// A line that nobody wrote by hand.
const LONG_LINE_BYTES: usize = 500;

/// One thing that is wrong, or worth a warning, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    cause: Cause,
    span: Span,
    first: Option<Span>,
}

impl Problem {
    pub(crate) fn new(cause: Cause, span: Span) -> Self {
        Self {
            cause,
            span,
            first: None,
        }
    }

    /// Points at the place that this one collides with, too.
    pub(crate) fn with_first(self, first: Span) -> Self {
        Self {
            first: Some(first),
            ..self
        }
    }

    /// Ends each place where its first line ends, or a little later than it begins: a long label hides what it points
    /// at. A second place that is too far away to be shown in the same excerpt is dropped where lines are that long.
    pub(crate) fn clip(&mut self, text: &str) {
        let here = self.span.start;
        let far = |first: &Span| {
            let between = text
                .get(first.start.min(here)..first.start.max(here))
                .unwrap_or_default();
            !ShownSource::shows_together(first.start, here)
                && between.lines().any(|line| line.len() > LONG_LINE_BYTES)
        };
        self.first = self.first.take().filter(|first| !far(first));
        for span in [Some(&mut self.span), self.first.as_mut()]
            .into_iter()
            .flatten()
        {
            span.start = text.floor_char_boundary(span.start);
            let line = text[span.start..]
                .lines()
                .next()
                .map_or(0, str::len)
                .min(LABEL_BYTES);
            span.end = text.floor_char_boundary(span.end.clamp(span.start, span.start + line));
        }
    }

    /// What is wrong.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Where it stands: bytes of the source. Empty where something is missing.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Whether the file can be used all the same.
    pub fn is_warning(&self) -> bool {
        self.cause.is_warning()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.cause.code()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.is_warning() {
            Severity::Warning
        } else {
            Severity::Error
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.cause.help()))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let here = LabeledSpan::new_primary_with_span(Some("here".to_owned()), self.span.clone());
        let first = self
            .first
            .clone()
            .map(|span| LabeledSpan::new_with_span(Some("first here".to_owned()), span));
        Some(Box::new(first.into_iter().chain([here])))
    }
}

/// The form that a field wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A number from 1 to 65535.
    Port,
    /// A list.
    List,
    /// A map.
    Map,
    /// A number: only ever found, never wanted.
    Number,
    /// Null: only ever found, never wanted.
    Null,
}

impl Form {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(_) => Some(Self::Bool),
            Value::Number(_) => Some(Self::Number),
            Value::Text(_) => Some(Self::Text),
            Value::List(_) => Some(Self::List),
            Value::Map(_) => Some(Self::Map),
            Value::Refused => None,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Bool => "true or false",
            Self::Port => "a port (1 to 65535)",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Number => "a number",
            Self::Null => "nothing",
        })
    }
}

/// An entry of a list of packages, as a path of fields: `config.packages.pip[2]`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackagePlace {
    /// Whose list it is.
    pub manager: PackageManager,
    /// The position in the list.
    pub index: usize,
}

impl fmt::Display for PackagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "config.packages.{}[{}]", self.manager, self.index)
    }
}

/// What is wrong with a field of `config.project`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectFieldProblem {
    /// `repository`.
    #[error(transparent)]
    Repository(#[from] RepositoryProblem),
    /// `ref`.
    #[error(transparent)]
    Ref(#[from] GitRefProblem),
    /// `name`.
    #[error(transparent)]
    Name(#[from] ProjectNameProblem),
    /// A command of `setup`.
    #[error(transparent)]
    Setup(#[from] SetupProblem),
}

impl ProjectFieldProblem {
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Repository(_) => {
                "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH"
            }
            Self::Ref(_) => "write a branch, a tag, a full ref or the hash of a commit",
            Self::Name(_) => "add `name: NAME`, the directory in /workspace",
            Self::Setup(_) => "write one shell command an entry, such as `npm ci`",
        }
    }
}

/// Why a file, or a part of it, is refused; the last ones are warnings.
///
/// Texts that come from the file are printed with `{:?}`, which escapes what a terminal would obey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it is")]
pub enum Cause {
    #[error("the file has {0} bytes, more than {limit}", limit = limits::ENVIRONMENT_FILE_BYTES)]
    TooLarge(usize),
    #[error("maps and lists are nested more than {0} deep")]
    TooDeep(usize),
    #[error("the file has more than {limit} keys and values", limit = limits::ENVIRONMENT_FILE_NODES)]
    TooManyNodes,
    #[error("the file is empty")]
    NothingThere,
    #[error("this is not YAML: {0}")]
    Syntax(String),
    #[error("the file holds more than one document")]
    SeveralDocuments,
    #[error("{0:?} is a YAML alias, which environment files do not use")]
    Alias(String),
    #[error("&{name} is a YAML anchor, which environment files do not use", name = .0.escape_debug())]
    Anchor(String),
    #[error("a YAML tag is not used in environment files")]
    Tag,
    #[error("the merge key `<<` is not used in environment files")]
    MergeKey,
    #[error("a key must be a text")]
    KeyNotText,
    #[error("the key {0:?} stands here twice")]
    DuplicateKey(String),

    #[error("{place} has no field {field:?}")]
    UnknownField {
        place: &'static str,
        field: String,
        meant: Option<&'static str>,
        known: Vec<&'static str>,
    },
    #[error("{0:?} is set by the server and cannot be written")]
    ServerField(String),
    #[error("{place} needs the field `{field}`")]
    MissingField {
        place: &'static str,
        field: &'static str,
        example: &'static str,
    },
    #[error("{field} must be {wanted}, this is {found}")]
    WrongForm {
        field: String,
        wanted: Form,
        found: Form,
    },
    #[error("{found:?} is not a {what}")]
    NotOneOf {
        what: &'static str,
        found: String,
        meant: Option<&'static str>,
        known: Vec<&'static str>,
    },
    #[error("a self-hosted environment has no sandbox here: `config.type` must be `cloud`")]
    SelfHosted,
    #[error("`scope: account` is not offered")]
    AccountScope,

    #[error("the name {0}")]
    Name(InvalidId),
    #[error("the description has {0} characters, more than {limit}", limit = limits::DESCRIPTION_CHARS)]
    LongDescription(usize),
    #[error("the metadata has {0} pairs, more than {limit}", limit = limits::METADATA_PAIRS)]
    TooManyMetadata(usize),
    #[error("a metadata key has 1 to {limit} characters, this one has {0}", limit = limits::METADATA_KEY_CHARS)]
    MetadataKeyLength(usize),
    #[error("a metadata value has at most {limit} characters, this one has {0}", limit = limits::METADATA_VALUE_CHARS)]
    LongMetadataValue(usize),
    #[error("metadata keys that begin with {0:?} are reserved")]
    ReservedMetadata(&'static str),

    #[error(transparent)]
    Host(#[from] HostPatternError),
    #[error(transparent)]
    Cidr(#[from] CidrRuleError),
    #[error("{0:?} is listed twice")]
    DuplicateRule(String),
    #[error("{count} {what}, more than {limit}")]
    TooMany {
        what: &'static str,
        count: usize,
        limit: usize,
    },
    #[error(
        "`{0}` opens nothing under `type: unrestricted`, which allows every public destination"
    )]
    NeedsLimited(&'static str),
    #[error("a limited environment that declares packages must allow package managers")]
    PackagesNeedManagers,
    #[error("`{place}`{shown} {problem}", shown = shown_package(.problem, .text))]
    Package {
        place: PackagePlace,
        text: String,
        problem: PackageSpecProblem,
    },
    #[error("`{place}`: {text:?} is listed twice")]
    DuplicatePackage { place: PackagePlace, text: String },
    #[error("`config.packages` has {0} packages, more than {limit} of all managers together", limit = limits::PACKAGES)]
    TooManyPackages(usize),

    #[error("`config.base` {0}")]
    Base(BaseProblem),
    #[error("`config.base` names a path that is relative to nothing: {0:?}")]
    RelativeBase(String),
    #[error("`config.project.{field}` {problem}")]
    Project {
        field: String,
        problem: ProjectFieldProblem,
    },
    #[error("`config.project.setup` has {0} commands, more than {limit}", limit = limits::PROJECT_SETUP_COMMANDS)]
    TooManyCommands(usize),

    #[error("JSON has no number {0:?}")]
    NotANumberOfJson(String),
    #[error(transparent)]
    Field(#[from] FieldProblem),
    #[error(transparent)]
    Credential(#[from] CredentialProblem),

    #[error("{0:?} is allowed and denied; the denial wins")]
    AllowedAndDenied(String),
    #[error(transparent)]
    HostWarning(#[from] HostPatternWarning),
}

impl Cause {
    /// A stable name, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_)
            | Self::TooDeep(_)
            | Self::TooManyNodes
            | Self::TooMany { .. }
            | Self::TooManyPackages(_)
            | Self::TooManyCommands(_) => "too_much",
            Self::NothingThere => "empty",
            Self::Syntax(_) | Self::SeveralDocuments | Self::KeyNotText => "syntax",
            Self::Alias(_) | Self::Anchor(_) | Self::Tag | Self::MergeKey => "yaml_feature",
            Self::DuplicateKey(_) | Self::DuplicateRule(_) | Self::DuplicatePackage { .. } => {
                "duplicate"
            }
            Self::UnknownField { .. } | Self::ServerField(_) => "unknown_field",
            Self::MissingField { .. } => "missing_field",
            Self::WrongForm { .. } => "wrong_type",
            Self::NotOneOf { .. } | Self::SelfHosted | Self::AccountScope => "unknown_value",
            Self::Name(_) => "invalid_name",
            Self::LongDescription(_) => "invalid_description",
            Self::TooManyMetadata(_) | Self::MetadataKeyLength(_) | Self::LongMetadataValue(_) => {
                "invalid_metadata"
            }
            Self::ReservedMetadata(_) => "reserved_metadata",
            Self::Host(_) => "invalid_host",
            Self::Cidr(_) => "invalid_cidr",
            Self::NeedsLimited(_) => "needs_limited",
            Self::PackagesNeedManagers => "packages_need_managers",
            Self::Package { .. } => "invalid_package",
            Self::Base(_) | Self::RelativeBase(_) => "invalid_base",
            Self::Project { .. } => "invalid_project",
            Self::NotANumberOfJson(_) => "wrong_type",
            Self::Field(problem) => problem.code,
            Self::Credential(problem) => problem.code(),
            Self::AllowedAndDenied(_) => "allowed_and_denied",
            Self::HostWarning(_) => "shared_suffix",
        }
    }

    fn is_warning(&self) -> bool {
        matches!(self, Self::AllowedAndDenied(_) | Self::HostWarning(_))
    }
}

/// The text in front of what is wrong with it, where it helps.
fn shown_package(problem: &PackageSpecProblem, text: &str) -> String {
    if matches!(
        problem,
        PackageSpecProblem::Empty | PackageSpecProblem::TooLong(_)
    ) {
        String::new()
    } else {
        format!(": {text:?}")
    }
}
