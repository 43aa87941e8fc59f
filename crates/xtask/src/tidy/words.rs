//! Words that do not belong into the repository: loose ends that nobody tracks, and paths of somebody's machine.

use std::path::Path;

use super::Finding;
use super::rust_source;
use crate::{shell, workspace};

/// Marks of unfinished work. Written apart, or this file would hold them.
const LOOSE_ENDS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
];

/// Home directories that are the product's own or stand for anybody's.
const ANYBODY: [&str; 6] = ["agent", "you", "alice", "bob", "user", "me"];

pub(super) fn check(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = loose_ends(file, text);
    if !may_name_homes(file) {
        findings.extend(numbered(text).filter_map(|(number, line)| {
            let path = home_path(line)?;
            Some(Finding::new(
                file,
                number,
                format!("{path} is a path of somebody's machine"),
            ))
        }));
    }
    findings.extend(checkout(file, text));
    findings
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// In Rust only comments count; elsewhere every line.
fn loose_ends(file: &Path, text: &str) -> Vec<Finding> {
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let lines: Vec<String> = if is_rust {
        rust_source::lines(text)
            .into_iter()
            .map(|line| line.comment)
            .collect()
    } else {
        text.lines().map(str::to_owned).collect()
    };
    let untracked = |line: &String| LOOSE_ENDS.iter().any(|mark| is_untracked(line, mark));
    let hits = (1..).zip(&lines).filter(|(_, line)| untracked(line));
    hits.map(|(number, _)| {
        Finding::new(
            file,
            number,
            "say where it is tracked, (#123) or (https://...), or do it",
        )
    })
    .collect()
}

fn is_untracked(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + mark.len()..];
        let whole =
            !before.is_some_and(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        whole && !after.starts_with("(#") && !after.starts_with("(https://")
    })
}

/// Tests attack such paths, and data lists them: what must not be visible inside has to be named.
fn may_name_homes(file: &Path) -> bool {
    let own_folder =
        |part: &str| matches!(part, "tests" | "data" | "snapshots" | "fuzz" | "testkit");
    let is_test_module = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .is_some_and(|stem| stem.ends_with("tests"));
    is_test_module
        || file
            .iter()
            .any(|part| part.to_str().is_some_and(own_folder))
        || file == Path::new(file!())
}

/// `/home/NAME` for a NAME that is somebody's, or something below root's home that is not hidden.
///
/// Hidden files there (`.ssh`, `.aws`) are what the product keeps away, and so speaks of.
fn home_path(line: &str) -> Option<&str> {
    let word = |at: usize| {
        let end = line[at..]
            .find(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)))
            .map_or(line.len(), |end| at + end);
        &line[at..end]
    };
    let home = line
        .match_indices("/home/")
        .map(|(at, _)| word(at))
        .find(|path| {
            let name = path["/home/".len()..].split('/').next().unwrap_or("");
            name.starts_with(char::is_alphabetic) && !ANYBODY.contains(&name)
        });
    let root = || {
        let paths = line.match_indices("/root/").map(|(at, _)| (at, word(at)));
        let absolute = |at: usize| {
            !line[..at].ends_with(|c: char| c.is_alphanumeric() || "/._-}\"'".contains(c))
        };
        let visible = |path: &str| path["/root/".len()..].starts_with(char::is_alphanumeric);
        paths
            .filter(|(at, path)| absolute(*at) && visible(path))
            .map(|(_, path)| path)
            .next()
    };
    home.or_else(root)
}

/// Where this very checkout lies, and whose machine it is, is nobody's business.
fn checkout(file: &Path, text: &str) -> Vec<Finding> {
    let home = shell::variable("HOME")
        .and_then(|home| home.into_string().ok())
        .filter(|home| home.len() > "/root".len());
    let here = workspace::root().to_str().map(str::to_owned);
    let paths: Vec<_> = [home, here].into_iter().flatten().collect();
    let hits =
        numbered(text).filter(|(_, line)| paths.iter().any(|path| line.contains(path.as_str())));
    hits.map(|(number, _)| Finding::new(file, number, "a path of this machine"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(file: &str, text: &str) -> usize {
        check(Path::new(file), text).len()
    }

    #[test]
    fn loose_ends_need_a_place_where_they_are_tracked() {
        let mark = LOOSE_ENDS[0];
        assert_eq!(count("a.rs", &format!("// {mark}: later")), 1);
        assert_eq!(count("a.rs", &format!("// {mark}(#12): later")), 0);
        assert_eq!(count("a.rs", &format!("let {mark}S = \"{mark}\";")), 0);
        assert_eq!(count("a.md", &format!("{mark} later")), 1);
    }

    #[test]
    fn homes_of_people_are_found_and_those_of_the_product_are_not() {
        assert_eq!(count("README.md", "see /home/agent and /home/alice/x"), 0);
        assert_eq!(count("README.md", "see /home/jsmith/x"), 1);
        assert_eq!(count("README.md", "see /root/checkout/x"), 1);
        assert_eq!(
            count("README.md", "hides /root/.ssh, and /proc/1/root/etc"),
            0
        );
        assert_eq!(count("crates/sandbox/tests/attacks.rs", "/root/secret"), 0);
    }

    #[test]
    fn the_place_of_this_checkout_is_found() {
        // In a file that may name homes: a checkout in one is found there by its place alone.
        let line = format!("cd {}", workspace::root().display());
        assert_eq!(count("crates/sandbox/tests/attacks.rs", &line), 1);
    }
}
