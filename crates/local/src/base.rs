//! The root that a sandbox sees: the programs of a base, a curated /etc, devices, and directories that are private to it.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_sandbox::network::NetworkPlan;
use bailiwick_sandbox::plan::{Access, Identity, MapWriter, MountStep, Ownership};

use crate::certificates::Bundle;
use crate::inside;
use crate::layers::{self, Layers};

/// Which root the programs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// This host's own programs.
    Host,
    /// A directory that holds a root file system.
    Directory(PathBuf),
    /// A root file system that a build wrote to a layer, which the caller holds.
    Layer(PathBuf),
}

impl Base {
    /// The base as a directory of this host.
    pub(crate) fn root(&self) -> &Path {
        match self {
            Self::Host => Path::new("/"),
            Self::Directory(directory) | Self::Layer(directory) => directory,
        }
    }
}

/// What decides how the root is laid out.
pub(crate) struct Layout<'a> {
    pub(crate) base: &'a Base,
    pub(crate) identity: &'a Identity,
    pub(crate) hostname: &'a str,
    /// The base's programs can be written to, in the sandbox alone.
    pub(crate) writable: bool,
    /// What lies over the base.
    pub(crate) layers: &'a Layers,
    /// What TLS trusts.
    pub(crate) bundle: Option<&'a Bundle>,
}

/// Where the parts of /etc that are written for every sandbox stand while an overlay is made of them and the layers.
const MADE: &str = "/.layers/made";

/// Top-level directories of a root file system that hold programs.
const PROGRAMS: &[&str] = &["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Top-level directories of another root that are made anew in every sandbox.
const MADE_ANEW: &[&str] = &[
    "dev",
    "etc",
    "home",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var",
    "workspace",
    "boot",
    "mnt",
    "media",
    "lost+found",
    ".layers",
];
/// What of /etc is written for every sandbox.
const GENERATED: &[&str] = &[
    "bailiwick",
    "passwd",
    "group",
    "hosts",
    "hostname",
    "nsswitch.conf",
    "resolv.conf",
    "mtab",
    "shadow",
    "gshadow",
];
/// Devices that harm nobody.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// Parts of /proc that tell of the host or change it; the first are covered, the second read-only. What else there is of the kind belongs to
/// the host's root, whom no id inside is mapped to.
const PROC_COVERED: &[&str] = &["kcore", "keys"];
const PROC_READ_ONLY: &[&str] = &["sys", "sysrq-trigger"];

impl Layout<'_> {
    /// The steps, in order. A work directory and toolchains come after them.
    pub(crate) fn steps(&self) -> Vec<MountStep> {
        let mut steps = Vec::new();
        self.programs(&mut steps);
        self.etc(&mut steps);
        self.package_database(&mut steps);
        private_directories(&mut steps);
        self.other_parts(&mut steps);
        devices(&mut steps);
        steps.push(MountStep::Proc);
        steps.extend(PROC_COVERED.iter().map(|name| MountStep::Mask {
            path: Path::new("/proc").join(name),
        }));
        steps.extend(PROC_READ_ONLY.iter().map(|name| MountStep::ReadOnly {
            path: Path::new("/proc").join(name),
        }));
        steps
    }

    /// What of the base is not its programs and not made for every sandbox.
    pub(crate) fn besides_programs(&self) -> Vec<MountStep> {
        let mut steps = Vec::new();
        self.curated(&mut steps);
        for name in ["passwd", "group"] {
            steps.push(MountStep::File {
                path: Path::new("/etc").join(name),
                mode: 0o644,
                content: system_accounts(&self.topmost(&format!("etc/{name}"))).into_bytes(),
            });
        }
        self.package_database(&mut steps);
        steps
    }

    fn root(&self) -> &Path {
        self.base.root()
    }

    /// As whose the base's files appear.
    pub(crate) fn ownership(&self) -> Ownership {
        match self.identity.writer {
            MapWriter::Root => Ownership::Base,
            MapWriter::Caller | MapWriter::NewIdMap => Ownership::AsMapped,
        }
    }

    fn programs(&self, steps: &mut Vec<MountStep>) {
        let names: Vec<PathBuf> = match self.base {
            Base::Host => PROGRAMS.iter().map(PathBuf::from).collect(),
            Base::Directory(directory) | Base::Layer(directory) => entries(directory)
                .filter(|name| !MADE_ANEW.iter().any(|anew| name.as_os_str() == *anew))
                .collect(),
        };
        for name in names {
            let part = name.to_string_lossy();
            let source = self.root().join(&name);
            let is_directory = fs::symlink_metadata(&source).is_ok_and(|m| m.is_dir());
            if is_directory && part == "usr" && self.layers.cover(&part) {
                steps.extend(
                    self.layers
                        .overlay(&part, self.root(), None, self.ownership()),
                );
            } else {
                self.mirror(steps, &name, self.writable);
            }
        }
    }

    /// Where the parts of the base come from that are not its programs.
    fn snapshot(&self) -> &Path {
        self.layers.snapshot.as_deref().unwrap_or(self.root())
    }

    /// The file of the topmost layer that has it, else of the base.
    fn topmost(&self, name: &str) -> String {
        let trees = self.layers.trees.iter().rev().map(PathBuf::as_path);
        trees
            .chain([self.snapshot(), self.root()])
            .find_map(|tree| inside::read(tree, Path::new(name)).ok())
            .map(|content| String::from_utf8_lossy(&content).into_owned())
            .unwrap_or_default()
    }

    fn layered_etc(&self) -> bool {
        self.layers.cover("etc")
    }

    /// The parts that layers have besides programs and settings.
    fn other_parts(&self, steps: &mut Vec<MountStep>) {
        let parts = layers::PARTS
            .iter()
            .filter(|part| !["usr", "etc"].contains(part));
        for part in parts.filter(|part| self.layers.cover(part)) {
            steps.extend(
                self.layers
                    .overlay(part, self.snapshot(), None, self.ownership()),
            );
        }
    }

    /// Shows one entry of the base at its place: a link as a link, a directory or file as a mount.
    fn mirror(&self, steps: &mut Vec<MountStep>, name: &Path, writable: bool) {
        // A link on the way may lead out of the base.
        if !inside::has_directory(self.root(), name.parent().unwrap_or(Path::new(""))) {
            return;
        }
        let (source, path) = (self.root().join(name), Path::new("/").join(name));
        let Ok(metadata) = fs::symlink_metadata(&source) else {
            return;
        };
        steps.push(if metadata.is_symlink() {
            let Ok(target) = fs::read_link(&source) else {
                return;
            };
            MountStep::Symlink { path, target }
        } else if metadata.is_dir() && writable {
            MountStep::Overlay {
                lower: vec![source],
                made: None,
                draft: None,
                private: false,
                path,
                ownership: self.ownership(),
            }
        } else {
            MountStep::Bind {
                source,
                path,
                access: Access::ReadOnly,
                ownership: self.ownership(),
            }
        });
    }

    /// Copies a small file; a link is mirrored as one.
    fn copy(&self, steps: &mut Vec<MountStep>, name: &Path) {
        let source = self.root().join(name);
        match fs::symlink_metadata(&source) {
            Ok(metadata) if metadata.is_file() => {
                if let Ok(content) = fs::read(&source) {
                    steps.push(MountStep::File {
                        path: Path::new("/").join(name),
                        mode: 0o644,
                        content,
                    });
                }
            }
            Ok(_) => self.mirror(steps, name, self.writable),
            Err(_) => {}
        }
    }

    fn etc(&self, steps: &mut Vec<MountStep>) {
        if self.layered_etc() {
            let mut made = Vec::new();
            self.generated(&mut made);
            steps.extend(made.into_iter().map(below_made));
            let made = Some(PathBuf::from(MADE));
            steps.extend(
                self.layers
                    .overlay("etc", self.snapshot(), made, self.ownership()),
            );
            return;
        }
        match self.base {
            Base::Host => self.curated(steps),
            Base::Directory(directory) | Base::Layer(directory)
                if !inside::has_directory(directory, Path::new("etc")) => {}
            Base::Directory(directory) | Base::Layer(directory) => {
                let kept = entries(&directory.join("etc"))
                    .filter(|name| !GENERATED.iter().any(|g| name.as_os_str() == *g));
                kept.for_each(|name| {
                    self.mirror(steps, &Path::new("etc").join(name), self.writable);
                });
            }
        }
        self.generated(steps);
    }

    fn curated(&self, steps: &mut Vec<MountStep>) {
        for (how, name) in curated() {
            let name = Path::new("etc").join(name);
            match how {
                // A file that is a mount cannot be replaced, as package managers do.
                "bind" if self.writable => self.copy(steps, &name),
                "bind" => self.mirror(steps, &name, false),
                "copy" => self.copy(steps, &name),
                "root" if self.writable => self.mirror(steps, &name, true),
                "lines" if self.writable => {
                    copy_without_credentials(
                        &self.root().join(&name),
                        &Path::new("/").join(&name),
                        steps,
                    );
                }
                _ => {}
            }
        }
    }

    fn generated(&self, steps: &mut Vec<MountStep>) {
        let mut file = |name: &str, content: String| {
            steps.push(MountStep::File {
                path: Path::new("/etc").join(name),
                mode: 0o644,
                content: content.into_bytes(),
            });
        };
        let accounts = |name: &str| system_accounts(&self.topmost(&format!("etc/{name}")));
        file(
            "passwd",
            format!(
                "{}agent:x:1000:1000:agent:/home/agent:/bin/bash\n",
                accounts("passwd")
            ),
        );
        file("group", format!("{}agent:x:1000:\n", accounts("group")));
        let name = self.hostname;
        file(
            "hosts",
            format!(
                "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {name}\n"
            ),
        );
        file("hostname", format!("{name}\n"));
        file(
            "resolv.conf",
            format!("nameserver {}\n", NetworkPlan::RESOLVER_V4),
        );
        let databases = [
            "passwd",
            "group",
            "shadow",
            "gshadow",
            "networks",
            "protocols",
            "services",
            "ethers",
            "rpc",
        ];
        let files: String = databases
            .iter()
            .map(|database| format!("{database}: files\n"))
            .collect();
        file("nsswitch.conf", format!("{files}hosts: files dns\n"));
        if self.identity.writer == MapWriter::Caller && self.writable {
            // There is only one id, so apt cannot become `_apt` to download.
            file(
                "apt/apt.conf.d/99bailiwick",
                "APT::Sandbox::User \"root\";\n".to_owned(),
            );
        }
        steps.push(MountStep::Symlink {
            path: "/etc/mtab".into(),
            target: "/proc/self/mounts".into(),
        });
        steps.extend(self.bundle.and_then(Bundle::step));
    }

    /// The package database says what is installed; what else apt keeps in /var begins empty.
    fn package_database(&self, steps: &mut Vec<MountStep>) {
        if self.layers.cover("var/lib") {
            return;
        }
        for name in [
            "var/lib/dpkg",
            "var/lib/rpm",
            "var/lib/pacman/local",
            "lib/apk",
        ] {
            self.mirror(steps, Path::new(name), self.writable);
        }
        for path in [
            "/var/lib/apt/lists/partial",
            "/var/cache/apt/archives/partial",
            "/var/log/apt",
            "/var/lib/misc",
        ] {
            steps.push(MountStep::Directory {
                path: path.into(),
                mode: 0o755,
                owned: false,
            });
        }
    }
}

/// Moves files of /etc that come after its overlay in front of it, where they become a part of it.
pub(crate) fn settle(steps: &mut Vec<MountStep>) {
    let is_overlay = |step: &MountStep| matches!(step, MountStep::Overlay { path, made: Some(_), .. } if path == Path::new("/etc"));
    let Some(overlay) = steps.iter().position(is_overlay) else {
        return;
    };
    let is_file_of_etc = |step: &mut MountStep| matches!(step, MountStep::File { path, .. } if path.starts_with("/etc"));
    let late: Vec<_> = steps
        .extract_if(overlay + 1.., is_file_of_etc)
        .map(below_made)
        .collect();
    steps.splice(overlay..overlay, late);
}

/// The same step, for a file of /etc that an overlay will show there.
fn below_made(step: MountStep) -> MountStep {
    let moved = |path: PathBuf| match path.strip_prefix("/etc") {
        Ok(name) => Path::new(MADE).join(name),
        Err(_) => path,
    };
    match step {
        MountStep::File {
            path,
            mode,
            content,
        } => MountStep::File {
            path: moved(path),
            mode,
            content,
        },
        MountStep::Symlink { path, target } => MountStep::Symlink {
            path: moved(path),
            target,
        },
        other @ (MountStep::Directory { .. }
        | MountStep::Private { .. }
        | MountStep::Bind { .. }
        | MountStep::Overlay { .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. }) => other,
    }
}

fn private_directories(steps: &mut Vec<MountStep>) {
    let made = |path: &str, mode, owned| MountStep::Directory {
        path: path.into(),
        mode,
        owned,
    };
    let mut directory = |path, mode, owned| steps.push(made(path, mode, owned));
    directory("/tmp", 0o1777, false);
    directory("/var/tmp", 0o1777, false);
    directory("/dev/shm", 0o1777, false);
    directory("/home/agent", 0o755, true);
    directory("/root", 0o755, false);
    directory("/run", 0o755, true);
    for path in ["/mnt", "/media", "/srv", "/opt", "/sys"] {
        // Another base may have its own.
        if !steps.iter().any(|step| step.path() == Path::new(path)) {
            steps.push(made(path, 0o755, false));
        }
    }
    steps.push(MountStep::Symlink {
        path: "/var/run".into(),
        target: "/run".into(),
    });
    let private = ["/tmp", "/var/tmp", "/dev/shm", "/home/agent", "/run"];
    steps.extend(
        private
            .iter()
            .map(|path| MountStep::Private { path: path.into() }),
    );
}

fn devices(steps: &mut Vec<MountStep>) {
    steps.extend(
        DEVICES
            .iter()
            .map(|path| MountStep::Device { path: path.into() }),
    );
    steps.push(MountStep::DevPts);
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    steps.extend(links.iter().map(|(name, target)| MountStep::Symlink {
        path: Path::new("/dev").join(name),
        target: target.into(),
    }));
}

/// The lines of `data/etc.txt`: how, and which.
pub(crate) fn curated() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("../data/etc.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
}

/// The accounts that the system's own files belong to; people's accounts stay outside.
fn system_accounts(text: &str) -> String {
    let is_system = |line: &&str| {
        let id = line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok());
        id.is_some_and(|id| id < 1000 || id == 65534)
    };
    // A group's members are people too.
    let without_members = |line: &str| match line.split(':').collect::<Vec<_>>()[..] {
        [name, _, id, _] => format!("{name}:x:{id}:\n"),
        _ => format!("{line}\n"),
    };
    text.lines()
        .filter(is_system)
        .map(without_members)
        .collect()
}

/// Copies a file, or the files of a directory, leaving out those that hold a credential.
fn copy_without_credentials(source: &Path, path: &Path, steps: &mut Vec<MountStep>) {
    if source.is_dir() {
        for name in entries(source) {
            copy_without_credentials(&source.join(&name), &path.join(&name), steps);
        }
    } else if let Ok(content) = fs::read(source)
        && !holds_credential(&String::from_utf8_lossy(&content))
    {
        steps.push(MountStep::File {
            path: path.to_owned(),
            mode: 0o644,
            content,
        });
    }
}

/// Whether a URL in the text has user information (RFC 3986 section 3.2.1), or a setting looks like a password.
fn holds_credential(text: &str) -> bool {
    let has_user = |url: &str| {
        url.split(|c: char| c == '/' || c.is_whitespace())
            .next()
            .is_some_and(|authority| authority.contains('@'))
    };
    text.split("://").skip(1).any(has_user) || text.to_ascii_lowercase().contains("password")
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .collect();
    names.sort();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_a_password_stays_outside() {
        for (text, holds) in [
            ("deb http://deb.example.org/debian stable main", false),
            (
                "deb https://user:secret@deb.example.org/debian stable main",
                true,
            ),
            ("URIs: https://token@deb.example.org/debian", true),
            ("Acquire::http::Proxy::Password \"x\";", true),
            (
                "# mail admin@example.org\ndeb http://deb.example.org/ stable main",
                false,
            ),
        ] {
            assert_eq!(holds_credential(text), holds, "{text}");
        }
    }

    #[test]
    fn people_are_not_among_the_accounts() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/zsh\nnobody:x:65534:65534::/:/bin/false\n";
        assert_eq!(
            system_accounts(passwd),
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n"
        );
        assert_eq!(
            system_accounts("sudo:x:27:alice,bob\nalice:x:1000:\n"),
            "sudo:x:27:\n"
        );
    }
}
