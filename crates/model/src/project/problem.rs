//! Why a text is no part of a project. The messages are predicates, to be put behind the text's place.

use crate::limits;

/// Why a text names no project (`URL` or `URL#REF`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectProblem {
    /// The repository.
    #[error("the repository {0}")]
    Repository(#[from] RepositoryProblem),
    /// What stands behind `#`.
    #[error("the ref {0}")]
    Ref(#[from] GitRefProblem),
    /// The directory's name.
    #[error("the name {0}")]
    Name(#[from] ProjectNameProblem),
}

/// Why a text names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryProblem {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More than [`PROJECT_REPOSITORY_BYTES`](limits::PROJECT_REPOSITORY_BYTES) bytes.
    #[error("has {0} bytes, more than {limit}", limit = limits::PROJECT_REPOSITORY_BYTES)]
    TooLong(usize),
    /// White space, a control character, a quote or another character that no URL has (RFC 3986).
    #[error("holds {0:?}, which no URL has")]
    Character(char),
    /// A leading `-`.
    #[error("begins with `-`, so that git would read an option")]
    Option,
    /// `NAME::`, with which git starts a program of that name.
    #[error("names a helper with {0:?}, which git would run as a program")]
    Helper(String),
    /// `http://`, `git://`: nobody knows who answered.
    #[error(
        "has the scheme {0:?}; https, ssh and file are taken, of which somebody can be sure who answers"
    )]
    Scheme(String),
    /// No form of the four.
    #[error("is none of https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH and file:///PATH")]
    Form,
    /// A password in the URL.
    #[error(
        "holds a password, which everybody who sees the environment could read; use --git-credentials FILE"
    )]
    Password,
    /// The user's name.
    #[error(
        "has the user {0:?}; one has letters, digits, `.`, `_` and `-`, the first a letter, a digit or `_`"
    )]
    User(String),
    /// The host's name.
    #[error("has the host {0:?}; one has letters, digits, `-` and `.`, or is an address")]
    Host(String),
    /// The port.
    #[error("has the port {0:?}; one is a number from 1 to 65535")]
    Port(String),
    /// No path, or one with a component that is `.`, `..` or begins with `-`.
    #[error("has the path {0:?}; one has no `..`, and no part that begins with `-`")]
    Path(String),
    /// A query or a fragment.
    #[error("holds {0:?}; a branch or tag belongs to `ref`, or behind `#` on the command line")]
    QueryOrFragment(char),
}

/// Why a text is no ref.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitRefProblem {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More than [`PROJECT_REF_BYTES`](limits::PROJECT_REF_BYTES) bytes.
    #[error("has {0} bytes, more than {limit}", limit = limits::PROJECT_REF_BYTES)]
    TooLong(usize),
    /// A leading `-`.
    #[error("begins with `-`, so that git would read an option")]
    Option,
    /// A character that no ref has.
    #[error("holds {0:?}, which no branch or tag has")]
    Character(char),
    /// Two characters that mean something else.
    #[error("holds {0:?}, which no branch or tag has")]
    Part(&'static str),
    /// A part between slashes.
    #[error("has a part that is empty, begins or ends with a dot, or ends in `.lock`")]
    Component,
}

/// Why a text is not the name of a project's directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectNameProblem {
    /// The name that was given.
    #[error(
        "is {0:?}; one has at most {limit} letters, digits, `.`, `_` and `-`, the first a letter, a digit or `_`",
        limit = limits::PROJECT_NAME_BYTES
    )]
    Form(String),
    /// The name that would follow from the repository.
    #[error(
        "would be {0:?}, as the repository's, which no directory here has; give one with `name`"
    )]
    NotFromRepository(String),
}

/// Why a text is no command of a set-up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupProblem {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// More than [`PROJECT_SETUP_COMMAND_BYTES`](limits::PROJECT_SETUP_COMMAND_BYTES) bytes.
    #[error("has {0} bytes, more than {limit}: put a script into the repository", limit = limits::PROJECT_SETUP_COMMAND_BYTES)]
    TooLong(usize),
    /// A control character besides the end of a line and a tab.
    #[error("holds the control character {0:?}")]
    Control(char),
}
