//! The packages that an environment declares.

use bailiwick_model::limits::{PACKAGE_BYTES, PACKAGES_PER_MANAGER};
use serde::Serialize;

use crate::draft::{Field, PackagesDraft, Texts};
use crate::problem::{Cause, Problem};
use crate::validate::only;

/// The packages of one environment, by manager, in the order in which managers run (Managed Agents: alphabetical).
///
/// Each is a name with an optional version in the manager's own syntax: never empty, never an option (no leading `-`),
/// without white space, at most [`PACKAGE_BYTES`] bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Packages {
    /// Debian packages: `graphviz`.
    pub apt: Vec<String>,
    /// Crates: `hyperfine@1.18.0`.
    pub cargo: Vec<String>,
    /// Gems: `rails:7.1.0`.
    pub gem: Vec<String>,
    /// Go modules: `golang.org/x/tools/cmd/goimports@latest`.
    pub go: Vec<String>,
    /// Node packages: `express@4.18.0`.
    pub npm: Vec<String>,
    /// Python packages: `sqlalchemy==2.0.30`.
    pub pip: Vec<String>,
}

impl Packages {
    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        let Self {
            apt,
            cargo,
            gem,
            go,
            npm,
            pip,
        } = self;
        [apt, cargo, gem, go, npm, pip]
            .into_iter()
            .all(Vec::is_empty)
    }
}

pub(crate) fn validate(draft: PackagesDraft, problems: &mut Vec<Problem>) -> Packages {
    if let Some(kind) = draft.kind.set() {
        only(&kind, "type of packages", &["packages"], problems);
    }
    Packages {
        apt: list(draft.apt, problems),
        cargo: list(draft.cargo, problems),
        gem: list(draft.gem, problems),
        go: list(draft.go, problems),
        npm: list(draft.npm, problems),
        pip: list(draft.pip, problems),
    }
}

fn list(field: Field<Texts>, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(list) = field.set() else {
        return Vec::new();
    };
    let count = list.value.len();
    if count > PACKAGES_PER_MANAGER {
        let cause = Cause::TooMany {
            what: "packages of one manager",
            count,
            limit: PACKAGES_PER_MANAGER,
        };
        problems.push(Problem::new(cause, list.span));
        return Vec::new();
    }
    let mut packages = Vec::with_capacity(count);
    for package in list.value {
        match refusal(&package.value) {
            Some(cause) => problems.push(Problem::new(cause, package.span)),
            None if packages.contains(&package.value) => {
                problems.push(Problem::new(
                    Cause::DuplicateRule(package.value),
                    package.span,
                ));
            }
            None => packages.push(package.value),
        }
    }
    packages
}

fn refusal(package: &str) -> Option<Cause> {
    if package.is_empty() {
        Some(Cause::EmptyPackage)
    } else if package.len() > PACKAGE_BYTES {
        Some(Cause::LongPackage(package.len()))
    } else if package.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some(Cause::PackageCharacter(package.to_owned()))
    } else if package.starts_with('-') {
        Some(Cause::PackageOption(package.to_owned()))
    } else {
        None
    }
}
