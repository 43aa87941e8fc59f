//! Toolchains outside /usr: rustup, nvm, pyenv and the like, found in the caller's home or named by the caller.
//!
//! They are mounted read-only at the path that they have on the host, since many have that path built in. Only the parts that
//! programs are run from are mounted, never the directory in which a tool keeps its credentials.

use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::{Access, MountStep, Ownership};

/// A kind of toolchain, by what lies in a home directory.
struct Kind {
    /// It is there if this exists.
    marker: &'static str,
    /// What is mounted.
    mounts: &'static [&'static str],
    /// What is put in front of PATH.
    path: &'static [&'static str],
    /// Variables that name directories of it.
    variables: &'static [(&'static str, &'static str)],
}

/// The kinds that are found by themselves.
const KINDS: &[Kind] = &[
    // ~/.cargo/credentials.toml and config.toml stay outside: of ~/.cargo only the programs come along.
    Kind {
        marker: ".rustup/toolchains",
        mounts: &[".rustup", ".cargo/bin"],
        path: &[".cargo/bin"],
        variables: &[("RUSTUP_HOME", ".rustup")],
    },
    Kind {
        marker: ".pyenv/versions",
        mounts: &[".pyenv"],
        path: &[".pyenv/shims", ".pyenv/bin"],
        variables: &[("PYENV_ROOT", ".pyenv")],
    },
    Kind {
        marker: ".rbenv/versions",
        mounts: &[".rbenv"],
        path: &[".rbenv/shims", ".rbenv/bin"],
        variables: &[("RBENV_ROOT", ".rbenv")],
    },
    Kind {
        marker: ".nvm/versions/node",
        mounts: &[".nvm"],
        path: &[],
        variables: &[("NVM_DIR", ".nvm")],
    },
    Kind {
        marker: ".volta/bin",
        mounts: &[".volta"],
        path: &[".volta/bin"],
        variables: &[("VOLTA_HOME", ".volta")],
    },
    Kind {
        marker: ".local/share/fnm/aliases/default",
        mounts: &[".local/share/fnm"],
        path: &[".local/share/fnm/aliases/default/bin"],
        variables: &[],
    },
    Kind {
        marker: ".local/share/mise/shims",
        mounts: &[".local/share/mise"],
        path: &[".local/share/mise/shims"],
        variables: &[("MISE_DATA_DIR", ".local/share/mise")],
    },
    Kind {
        marker: ".asdf/shims",
        mounts: &[".asdf"],
        path: &[".asdf/shims", ".asdf/bin"],
        variables: &[("ASDF_DATA_DIR", ".asdf")],
    },
    Kind {
        marker: ".local/share/uv/python",
        mounts: &[".local/share/uv/python"],
        path: &[],
        variables: &[],
    },
    Kind {
        marker: ".sdkman/candidates",
        mounts: &[".sdkman/candidates"],
        path: &[],
        variables: &[],
    },
    Kind {
        marker: ".bun/bin",
        mounts: &[".bun/bin"],
        path: &[".bun/bin"],
        variables: &[],
    },
    Kind {
        marker: ".deno/bin",
        mounts: &[".deno/bin"],
        path: &[".deno/bin"],
        variables: &[],
    },
    Kind {
        marker: ".juliaup/bin",
        mounts: &[".juliaup", ".julia/juliaup"],
        path: &[".juliaup/bin"],
        variables: &[],
    },
];

/// Files that hold credentials, wherever they lie at the top of a toolchain's directory.
const CREDENTIALS: &[&str] = &[
    "credentials",
    "credentials.toml",
    ".npmrc",
    ".pypirc",
    ".netrc",
    "auth.json",
    ".git-credentials",
    "gem/credentials",
];

/// What toolchains add to a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Toolchains {
    pub(crate) steps: Vec<MountStep>,
    pub(crate) path: Vec<PathBuf>,
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

impl Toolchains {
    /// Those found in `home`, and those that were named.
    pub(crate) fn find(home: Option<&Path>, named: &[PathBuf], ownership: Ownership) -> Self {
        let mut found = Self::default();
        if let Some(home) = home {
            for kind in KINDS.iter().filter(|kind| home.join(kind.marker).exists()) {
                let below = |paths: &[&str]| {
                    paths
                        .iter()
                        .map(|p| home.join(p))
                        .filter(|p| p.is_dir())
                        .collect::<Vec<_>>()
                };
                below(kind.mounts)
                    .iter()
                    .for_each(|directory| found.mount(directory, ownership));
                found.path.extend(below(kind.path));
                found.variables.extend(
                    kind.variables
                        .iter()
                        .map(|(name, directory)| (*name, home.join(directory))),
                );
            }
            found.path.extend(newest_node(home));
        }
        for directory in named {
            found.mount(directory, ownership);
            let bin = directory.join("bin");
            found
                .path
                .push(if bin.is_dir() { bin } else { directory.clone() });
        }
        found
    }

    fn mount(&mut self, directory: &Path, ownership: Ownership) {
        let path = directory.to_owned();
        self.steps.push(MountStep::Bind {
            source: path.clone(),
            path: path.clone(),
            access: Access::ReadOnly,
            ownership,
        });
        self.steps
            .extend(CREDENTIALS.iter().map(|file| MountStep::Mask {
                path: path.join(file),
            }));
    }
}

/// nvm has no shims: the programs of the version that its `default` alias names, else of the newest.
fn newest_node(home: &Path) -> Option<PathBuf> {
    let versions = home.join(".nvm/versions/node");
    let alias = std::fs::read_to_string(home.join(".nvm/alias/default")).unwrap_or_default();
    let number = |name: &str| {
        name.trim()
            .trim_start_matches('v')
            .split('.')
            .map(|n| n.parse::<u32>().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    let wanted = number(&alias);
    let mut installed: Vec<_> = std::fs::read_dir(&versions)
        .ok()?
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    installed.sort_by_key(|name| {
        (
            wanted != [0] && number(name).starts_with(&wanted),
            number(name),
        )
    });
    Some(versions.join(installed.last()?).join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_found_and_credentials_are_masked() {
        let home = tempfile::tempdir().unwrap();
        for directory in [
            ".rustup/toolchains",
            ".cargo/bin",
            ".nvm/versions/node/v9.1.0/bin",
            ".nvm/versions/node/v22.2.0/bin",
        ] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        let found = Toolchains::find(Some(home.path()), &[], Ownership::AsMapped);
        let inside = |path: &str| home.path().join(path);
        assert_eq!(
            found.path,
            [
                inside(".cargo/bin"),
                inside(".nvm/versions/node/v22.2.0/bin")
            ]
        );
        let mounted: Vec<_> = found
            .steps
            .iter()
            .filter(|s| matches!(s, MountStep::Bind { .. }))
            .map(MountStep::path)
            .collect();
        assert_eq!(
            mounted,
            [inside(".rustup"), inside(".cargo/bin"), inside(".nvm")]
        );
        assert!(found.steps.contains(&MountStep::Mask {
            path: inside(".nvm/.npmrc")
        }));
    }
}
