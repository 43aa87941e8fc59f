//! Licences and banned crates of everything that is linked, against deny.toml.
//!
//! cargo-deny does the same and more, but is not everywhere. This asks `cargo tree`, which unlike `cargo metadata`
//! leaves out what no enabled feature pulls in.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Finding;
use crate::shell::Program;

/// The parts of deny.toml that are needed here.
#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

pub(super) fn check(deny_toml: &str) -> Result<Vec<Finding>> {
    let rules: Deny = toml::from_str(deny_toml).context("deny.toml is not as expected")?;
    let options = [
        "tree",
        "--workspace",
        "--all-features",
        "--target=all",
        "--edges=all",
        "--prefix=none",
    ];
    let tree = Program::new("cargo")
        .args(options)
        .args(["--locked", "--format={p}|{l}"])
        .read()?;
    let crates: BTreeSet<_> = tree
        .lines()
        // A crate that was shown before is marked, and its own dependencies are left out.
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .collect();
    Ok(crates
        .into_iter()
        .filter_map(|(package, licence)| objection(&rules, package, licence))
        .map(|message| Finding::new("Cargo.lock", 0, message))
        .collect())
}

/// What is wrong with `package` ("name v1.2.3 (source)"), if anything.
fn objection(rules: &Deny, package: &str, licence: &str) -> Option<String> {
    let name = package.split(' ').next().unwrap_or(package);
    if let Some(ban) = rules.bans.deny.iter().find(|ban| ban.name == name) {
        return Some(format!("{package} is banned: {}", ban.reason));
    }
    match permits(licence, &rules.licenses.allow) {
        Some(true) => None,
        Some(false) => Some(format!(
            "{package}: deny.toml does not allow its licence {licence:?}"
        )),
        None => Some(format!("{package}: {licence:?} is not an SPDX expression")),
    }
}

/// Whether an SPDX expression can be satisfied with the allowed licences; `None` if it is not one.
///
/// Grammar: SPDX 2.3 annex D, `WITH` before `AND` before `OR`; `/` is how old manifests write `OR`.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> Option<bool> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let result = any_of(&mut words, allowed)?;
    words.is_empty().then_some(result)
}

/// `words` is a stack: the next word is the last.
fn any_of(words: &mut Vec<&str>, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut result = all_of(words, allowed)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        result |= all_of(words, allowed)?;
    }
    Some(result)
}

fn all_of(words: &mut Vec<&str>, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut result = one(words, allowed)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        result &= one(words, allowed)?;
    }
    Some(result)
}

fn one(words: &mut Vec<&str>, allowed: &BTreeSet<String>) -> Option<bool> {
    match words.pop()? {
        "(" => {
            let result = any_of(words, allowed)?;
            (words.pop()? == ")").then_some(result)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name => match words.pop_if(|word| *word == "WITH") {
            Some(_) => Some(allowed.contains(&format!("{name} WITH {}", words.pop()?))),
            None => Some(allowed.contains(name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> BTreeSet<String> {
        ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn an_expression_is_permitted_if_a_choice_is() {
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT AND ISC",
            "(GPL-3.0 OR MIT) AND ISC",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(permits(good, &allowed()), Some(true), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "GPL-3.0 OR MIT AND LGPL-2.1",
            "MIT WITH odd-exception",
        ] {
            assert_eq!(permits(bad, &allowed()), Some(false), "{bad}");
        }
    }

    #[test]
    fn what_is_no_expression_is_never_permitted() {
        for odd in ["", "MIT ISC", "(MIT", "MIT OR", "AND"] {
            assert_eq!(permits(odd, &allowed()), None, "{odd}");
        }
    }

    #[test]
    fn banned_crates_are_named_with_the_reason() {
        let rules = Deny {
            licenses: Licenses { allow: allowed() },
            bans: Bans {
                deny: vec![Ban {
                    name: "ring".to_owned(),
                    reason: "one TLS stack".to_owned(),
                }],
            },
        };
        assert_eq!(
            objection(&rules, "ring v0.17.0", "MIT").unwrap(),
            "ring v0.17.0 is banned: one TLS stack"
        );
        assert_eq!(objection(&rules, "ringer v0.17.0", "MIT"), None);
        assert!(objection(&rules, "copyleft v1.0.0", "GPL-3.0").is_some());
    }
}
