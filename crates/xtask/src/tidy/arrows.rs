//! Which crate may use which: the table in ARCHITECTURE.md against the manifests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::Finding;
use crate::workspace::{Dependency, Metadata, Package};

/// What the table allows one crate.
#[derive(Debug, PartialEq, Eq)]
enum May {
    /// Exactly these.
    Use(BTreeSet<String>),
    /// Every crate.
    UseAll,
}

/// One crate of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    may: May,
    /// Tests, benches and chores: what any crate's tests may use.
    is_dev: bool,
}

type Table = BTreeMap<String, Row>;

/// Every arrow of the manifests that the table does not have, and every crate that only one of the two knows.
pub(super) fn check(architecture: &str, metadata: &Metadata) -> Result<Vec<Finding>> {
    let table = parse(architecture);
    ensure!(
        !table.is_empty(),
        "ARCHITECTURE.md has no table of crates (| level | crate | ... | may use |)"
    );
    let mut findings = Vec::new();
    for package in &metadata.packages {
        findings.extend(forbidden_arrows(package, &table));
    }
    let existing: BTreeSet<_> = metadata.packages.iter().map(Package::folder).collect();
    for name in table
        .keys()
        .filter(|name| !existing.contains(name.as_str()))
    {
        findings.push(Finding::new(
            "ARCHITECTURE.md",
            0,
            format!("the table has a crate `{name}` that does not exist"),
        ));
    }
    Ok(findings)
}

fn forbidden_arrows(package: &Package, table: &Table) -> Vec<Finding> {
    let manifest = format!("crates/{}/Cargo.toml", package.folder());
    let Some(row) = table.get(package.folder()) else {
        return vec![Finding::new(
            manifest,
            0,
            "the table of crates in ARCHITECTURE.md does not have this crate",
        )];
    };
    let bad = |dependency: &Dependency| {
        let to = dependency.folder()?;
        (!allowed(row, to, dependency.kind.as_deref() == Some("dev"), table)).then(|| to.to_owned())
    };
    let from = package.folder();
    let message =
        |to| format!("`{from}` may not use `{to}`: the table in ARCHITECTURE.md has no such arrow");
    package
        .dependencies
        .iter()
        .filter_map(bad)
        .map(|to| Finding::new(&manifest, 0, message(to)))
        .collect()
}

fn allowed(row: &Row, to: &str, in_tests: bool, table: &Table) -> bool {
    let to_dev = table.get(to).is_some_and(|row| row.is_dev);
    match &row.may {
        // What is shipped never contains test tools, not even in the binary that may use all.
        May::UseAll => row.is_dev || in_tests || !to_dev,
        May::Use(names) => names.contains(to) || in_tests && to_dev,
    }
}

/// Reads the rows of the one table whose head is `level | crate | ... | may use`.
fn parse(markdown: &str) -> Table {
    let is_head =
        |cells: Vec<&str>| cells.first() == Some(&"level") && cells.last() == Some(&"may use");
    let mut rows = markdown
        .lines()
        .map(cells)
        .skip_while(|row| !row.clone().is_some_and(is_head));
    // The table ends with the first line that is no row; another may follow.
    let rows = rows.by_ref().skip(1).map_while(|row| row);
    let mut table = Table::new();
    for cells in rows {
        let [level, crates, .., uses] = cells[..] else {
            continue;
        };
        for name in names(crates) {
            table.insert(
                name,
                Row {
                    may: may(uses),
                    is_dev: level == "dev",
                },
            );
        }
    }
    table
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// "`testkit`, `xtask`" or "model, policy"; a lone "-" names nothing.
fn names(cell: &str) -> impl Iterator<Item = String> {
    let is_name = |name: &&str| {
        name.starts_with(char::is_alphabetic)
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    cell.split(',')
        .map(|name| name.trim().trim_matches('`'))
        .filter(is_name)
        .map(str::to_owned)
}

fn may(cell: &str) -> May {
    if cell == "all" {
        May::UseAll
    } else {
        May::Use(names(cell).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const TABLE: &str = "| a | b |\n|---|---|\n\n| level | crate | what it holds | may use |\n|---|---|---|---|\n\
        | 0 | `model` | names, ids | - |\n| 1 | `dial` | the door | model |\n| 4 | `app` | the binary | all |\n\
        | dev | `kit`, `xtask` | tests | all |\n";

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(to, kind): &(&str, Option<&str>)| Dependency {
            path: Some(PathBuf::from(format!("/x/crates/{to}"))),
            kind: kind.map(str::to_owned),
        };
        Package {
            name: format!("bailiwick-{name}"),
            manifest_path: PathBuf::from(format!("/x/crates/{name}/Cargo.toml")),
            dependencies: dependencies.iter().map(dependency).collect(),
            features: BTreeMap::new(),
        }
    }

    fn findings(packages: Vec<Package>) -> Vec<String> {
        let metadata = Metadata {
            packages,
            target_directory: PathBuf::new(),
        };
        check(TABLE, &metadata)
            .unwrap()
            .iter()
            .map(|f| f.message.clone())
            .filter(|m| !m.contains("does not exist"))
            .collect()
    }

    #[test]
    fn arrows_of_the_table_pass() {
        let packages = vec![
            package("model", &[("kit", Some("dev"))]),
            package("dial", &[("model", None), ("kit", Some("dev"))]),
            package("app", &[("dial", None), ("model", None)]),
            package("kit", &[("app", None)]),
        ];
        assert_eq!(findings(packages), [""; 0]);
    }

    #[test]
    fn an_arrow_that_the_table_lacks_is_found() {
        let found = findings(vec![package("model", &[("dial", None)])]);
        assert_eq!(
            found,
            ["`model` may not use `dial`: the table in ARCHITECTURE.md has no such arrow"]
        );
    }

    #[test]
    fn test_tools_never_get_into_what_is_shipped() {
        assert_eq!(findings(vec![package("dial", &[("kit", None)])]).len(), 1);
        assert_eq!(findings(vec![package("app", &[("kit", None)])]).len(), 1);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        assert_eq!(findings(vec![package("stranger", &[])]).len(), 1);
    }

    #[test]
    fn a_row_without_its_crate_is_found() {
        let metadata = Metadata {
            packages: vec![],
            target_directory: PathBuf::new(),
        };
        assert_eq!(check(TABLE, &metadata).unwrap().len(), 5);
    }

    #[test]
    fn a_page_without_the_table_is_an_error() {
        let metadata = Metadata {
            packages: vec![],
            target_directory: PathBuf::new(),
        };
        assert!(check("| level | other |\n", &metadata).is_err());
    }
}
