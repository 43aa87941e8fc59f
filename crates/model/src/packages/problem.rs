//! Why a text is not the spec of a package.

use crate::PackageManager;
use crate::limits;

/// Why a text is not a spec of its manager.
///
/// The messages are predicates, to be put behind the text or its place; what is quoted in them is escaped. The forms
/// that a manager takes are in [`PackageManager::spec_forms`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageSpecProblem {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More than [`PACKAGE_BYTES`](limits::PACKAGE_BYTES) bytes.
    #[error("has {0} bytes, more than {limit}: a package is a name and a version", limit = limits::PACKAGE_BYTES)]
    TooLong(usize),
    /// A control character, a line end included.
    #[error("holds the control character {0:?}; one package is one entry")]
    Control(char),
    /// A letter that only looks like one of ASCII, and every other character that no registry has in a name.
    #[error("holds the character U+{:04X}; packages have ASCII names", u32::from(*.0))]
    NotAscii(char),
    /// A leading `-`.
    #[error("begins with `-`, so that {0} would read an option; options are not set here")]
    Option(PackageManager),
    /// `://` somewhere.
    #[error(
        "holds a URL; {0} packages come from its registries, where they have names and versions"
    )]
    Url(PackageManager),
    /// `npm:`, `file:`, `github:` and the like, where the manager has no `:` in names or versions.
    #[error(
        "names a source with {scheme:?}; {manager} packages come from its registries, where they have names and versions"
    )]
    Source {
        /// Whose package it is.
        manager: PackageManager,
        /// What stands before the colon, with it.
        scheme: String,
    },
    /// `;`, after which pip reads the condition on which to install (PEP 508).
    #[error(
        "has an environment marker (`;`); one image is built for one system, so list what it needs"
    )]
    Marker,
    /// White space.
    #[error("holds white space; write one package an entry, and its version without spaces")]
    WhiteSpace,
    /// A quote, `$`, `;`, `|` and the like, also where a manager would take it (`^1||^2` of npm).
    #[error("holds {0:?}, one of a shell's characters, of which a spec has none")]
    ShellCharacter(char),
    /// Two dots in a row: a folder above, a Go pattern, a git range.
    #[error("holds `..`, which is no part of a name or a version")]
    TwoDots,
    /// A leading `/`, `.` or `~`.
    #[error("is a path; a package is named, and comes from the registries")]
    Path,
    /// A `/` where the manager would read a file or a repository.
    #[error("holds `/`, so that {0} would read a path or a repository")]
    Slash(PackageManager),
    /// The ending of a file that the manager would install instead of a package.
    #[error("ends in {ending:?}, so that {manager} would read the name of a file")]
    Archive {
        /// Whose package it is.
        manager: PackageManager,
        /// The ending, with its dot.
        ending: &'static str,
    },
    /// The name is not one that the manager's registry could have.
    #[error("has the name {name:?}; {rule}", rule = name_rule(*manager))]
    Name {
        /// Whose package it is.
        manager: PackageManager,
        /// What stands where the name belongs.
        name: String,
    },
    /// A name that apt reads as a task, a pattern or a regular expression.
    #[error("holds {0:?}, so that apt would read a pattern; name each package")]
    Pattern(char),
    /// A trailing `-` of the text or the name, with which apt removes a package.
    #[error("has a `-` at its end, which tells apt to remove the package")]
    Removal,
    /// What stands behind apt's `:` is no architecture.
    #[error("has the architecture {0:?}; one is written like `amd64`, `any` or `native`")]
    Architecture(String),
    /// What stands behind apt's `/` is no suite.
    #[error("has the suite {0:?}; one is written like `bookworm-backports`")]
    Suite(String),
    /// An extra of pip's between the brackets.
    #[error(
        "has the extra {0:?}; extras are written `[one,two]`, in the characters of names (PEP 508)"
    )]
    Extra(String),
    /// A Go path that begins with no host.
    #[error(
        "begins with {0:?}, which is no host; a Go path begins with one in lower case, such as `github.com/`"
    )]
    GoHost(String),
    /// An element of a Go path.
    #[error(
        "has the path element {0:?}; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end"
    )]
    GoElement(String),
    /// The mark of a version with nothing behind it.
    #[error("ends in {0:?}; write the version behind it, or leave it out")]
    NoVersion(char),
    /// A cargo version with parts missing and no operator, which `cargo install` does not take.
    #[error("has the version {0:?}; cargo wants all three numbers, or an operator: `^{0}`")]
    PartialVersion(String),
    /// Where one version is wanted: a range, a tag, or none.
    #[error("has {0:?} where one version belongs")]
    Inexact(String),
    /// The version is not one of the manager's.
    #[error("has the version {version:?}; {rule}", rule = version_rule(*manager))]
    Version {
        /// Whose package it is.
        manager: PackageManager,
        /// What stands where the version belongs.
        version: String,
    },
}

fn name_rule(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => {
            "a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit"
        }
        PackageManager::Cargo => {
            "a crate has at most 64 letters, digits, `-` and `_`, the first a letter"
        }
        PackageManager::Gem => {
            "a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least"
        }
        PackageManager::Go => "a Go package is a path such as `github.com/OWNER/REPOSITORY`",
        PackageManager::Npm => {
            "a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`"
        }
        PackageManager::Pip => {
            "a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit"
        }
    }
}

fn version_rule(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => {
            "a Debian version is `[EPOCH:]UPSTREAM[-REVISION]`, its upstream part begins with a digit, and it has letters, digits, `.`, `+`, `~` and `-`"
        }
        PackageManager::Cargo => {
            "a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`"
        }
        PackageManager::Gem => {
            "a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version"
        }
        PackageManager::Go => {
            "a Go version is `latest`, a tag such as `v1.2.3`, a branch or a commit, in letters, digits, `.`, `-`, `_` and `+`"
        }
        PackageManager::Npm => {
            "a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`"
        }
        PackageManager::Pip => {
            "Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)"
        }
    }
}
