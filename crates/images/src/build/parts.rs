//! The parts of a root that layers have: the directories in a layer's tree, and those in its `var`.

use std::fs;
use std::path::{Path, PathBuf};

/// Removes the parts that nothing was written to: they need no overlay in any sandbox. Deeper, an empty directory is what somebody made.
pub(super) fn remove_empty(tree: &Path) {
    // What is in `var` first: then that is empty itself.
    for part in below(&tree.join("var")).into_iter().chain(below(tree)) {
        // A directory that is not empty refuses, which is the question.
        let _ = fs::remove_dir(part);
    }
}

/// The entries of a directory; a link to one has none.
fn below(directory: &Path) -> Vec<PathBuf> {
    if !fs::symlink_metadata(directory).is_ok_and(|metadata| metadata.is_dir()) {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_part_goes_and_an_empty_directory_in_one_stays() {
        let place = tempfile::tempdir().unwrap();
        let tree = |path: &str| place.path().join(path);
        let empty = ["usr", "srv", "var/log", "var/spool"];
        let content = [
            "etc/x.d",
            "opt/app",
            "base/data",
            "var/lib/x",
            "workspace/app",
        ];
        for path in empty.iter().chain(&content) {
            fs::create_dir_all(tree(path)).unwrap();
        }
        remove_empty(place.path());
        for path in empty {
            assert!(!tree(path).exists(), "{path}");
        }
        for path in content {
            assert!(tree(path).is_dir(), "{path}");
        }
        fs::remove_dir(tree("var/lib/x")).unwrap();
        remove_empty(place.path());
        assert!(!tree("var").exists());
    }

    #[test]
    fn a_link_in_place_of_a_part_leads_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("empty")).unwrap();
        std::os::unix::fs::symlink(outside.path(), place.path().join("var")).unwrap();
        remove_empty(place.path());
        assert!(outside.path().join("empty").exists());
    }
}
