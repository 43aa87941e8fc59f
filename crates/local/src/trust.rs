//! Certificates in the places where programs look for them by themselves, whatever the environment says.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::{Access, MountStep, Ownership};

/// Where files stand while an overlay is made of them and what they lie over.
const MADE: &str = "/.layers/trusted";

/// Puts a file where the base has another one, also where a read-only tree of the base is shown: that is then taken apart, so that all
/// else in it stays as it is.
pub(crate) fn put(steps: &mut Vec<MountStep>, path: &Path, content: &[u8]) {
    let file = MountStep::File {
        path: path.to_owned(),
        mode: 0o644,
        content: content.to_vec(),
    };
    let above = steps.iter().rposition(|step| is_mount_above(step, path));
    let Some(above) = above else {
        steps.push(file);
        return;
    };
    let (source, shown, ownership) = match &mut steps[above] {
        MountStep::Bind {
            source,
            path: shown,
            access: Access::ReadOnly,
            ownership,
        } => (source.clone(), shown.clone(), *ownership),
        MountStep::Overlay {
            path: shown, made, ..
        } => {
            let below = path.strip_prefix(&*shown).unwrap_or(path);
            let made = made.get_or_insert_with(|| Path::new(MADE).join(relative(shown)));
            let file = MountStep::File {
                path: made.join(below),
                mode: 0o644,
                content: content.to_vec(),
            };
            steps.insert(above, file);
            return;
        }
        // What can be written to takes a file as it is.
        MountStep::Bind { .. }
        | MountStep::Directory { .. }
        | MountStep::File { .. }
        | MountStep::Symlink { .. }
        | MountStep::Private { .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. } => {
            steps.push(file);
            return;
        }
    };
    let mut opened = Vec::new();
    take_apart(&source, &shown, ownership, path, &mut opened);
    opened.push(file);
    steps.splice(above..=above, opened);
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn is_mount_above(step: &MountStep, path: &Path) -> bool {
    match step {
        MountStep::Bind { path: shown, .. } | MountStep::Overlay { path: shown, .. } => {
            path != shown && path.starts_with(shown)
        }
        MountStep::Directory { .. }
        | MountStep::File { .. }
        | MountStep::Symlink { .. }
        | MountStep::Private { .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. } => false,
    }
}

/// Shows what is in `source` entry by entry, without the one that `wanted` is.
fn take_apart(
    source: &Path,
    shown: &Path,
    ownership: Ownership,
    wanted: &Path,
    steps: &mut Vec<MountStep>,
) {
    steps.push(MountStep::Directory {
        path: shown.to_owned(),
        mode: 0o755,
        owned: false,
    });
    let mut names: Vec<PathBuf> = fs::read_dir(source)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().into()))
        .collect();
    names.sort();
    for name in names {
        let (source, path) = (source.join(&name), shown.join(&name));
        let Ok(metadata) = fs::symlink_metadata(&source) else {
            continue;
        };
        if path == wanted {
            continue;
        }
        if metadata.is_dir() && wanted.starts_with(&path) {
            take_apart(&source, &path, ownership, wanted, steps);
        } else if metadata.is_symlink() {
            if let Ok(target) = fs::read_link(&source) {
                steps.push(MountStep::Symlink { path, target });
            }
        } else if metadata.is_dir() || metadata.is_file() {
            steps.push(MountStep::Bind {
                source,
                path,
                access: Access::ReadOnly,
                ownership,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_an_overlay_lies_over_its_lower_layers() {
        let mut steps = vec![MountStep::Overlay {
            lower: vec!["/etc/ssl/certs".into()],
            made: None,
            draft: None,
            private: false,
            path: "/etc/ssl/certs".into(),
            ownership: Ownership::Base,
        }];
        put(&mut steps, Path::new("/etc/ssl/certs/bundle.crt"), b"new");
        let made = "/.layers/trusted/etc/ssl/certs";
        assert_eq!(steps[0].path(), Path::new(made).join("bundle.crt"));
        assert!(
            matches!(&steps[1], MountStep::Overlay { made: Some(path), .. } if path == Path::new(made))
        );
    }

    #[test]
    fn a_file_in_a_tree_of_the_base_is_replaced_and_all_else_stays() {
        let base = tempfile::tempdir().unwrap();
        let certs = base.path().join("certs");
        fs::create_dir_all(certs.join("java")).unwrap();
        fs::write(certs.join("bundle.crt"), "old").unwrap();
        fs::write(certs.join("java/cacerts"), "old").unwrap();
        fs::write(certs.join("own.pem"), "own").unwrap();
        std::os::unix::fs::symlink("own.pem", certs.join("0a1b.0")).unwrap();
        let mut steps = vec![MountStep::Bind {
            source: certs.clone(),
            path: "/etc/ssl/certs".into(),
            access: Access::ReadOnly,
            ownership: Ownership::Base,
        }];
        put(&mut steps, Path::new("/etc/ssl/certs/bundle.crt"), b"new");
        put(&mut steps, Path::new("/etc/ssl/certs/java/cacerts"), b"new");
        let shown: Vec<_> = steps
            .iter()
            .map(|step| {
                let kind = format!("{step:?}");
                let kind = kind.split(' ').next().unwrap_or_default().to_owned();
                format!("{kind} {}", step.path().display())
            })
            .collect();
        assert_eq!(
            shown,
            [
                "Directory /etc/ssl/certs",
                "Symlink /etc/ssl/certs/0a1b.0",
                "Directory /etc/ssl/certs/java",
                "File /etc/ssl/certs/java/cacerts",
                "Bind /etc/ssl/certs/own.pem",
                "File /etc/ssl/certs/bundle.crt",
            ]
        );
    }
}
