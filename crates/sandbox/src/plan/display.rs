//! A plan as text, for `--dry-run`: one line for each thing that the launch does, in its order.

use std::fmt::{self, Display, Formatter};

use super::{Access, IdMap, MapWriter, MountStep, Ownership, Plan, Profile};
use crate::{capabilities, seccomp};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "sandbox {} (host name {})", self.id, self.hostname)?;
        let second = if self.counts_together() {
            ", and a second user namespace inside the first"
        } else {
            ""
        };
        writeln!(f, "\nnamespaces: user mount pid net ipc uts cgroup{second}")?;
        let writer = match self.identity.writer {
            MapWriter::Root => "written as root",
            MapWriter::Caller => "written by the caller, one id",
            MapWriter::NewIdMap => "written by newuidmap and newgidmap",
        };
        writeln!(
            f,
            "\nidentity: uid {} gid {}, maps {writer}",
            self.identity.uid, self.identity.gid
        )?;
        maps(f, "uid", &self.identity.uid_map)?;
        maps(f, "gid", &self.identity.gid_map)?;
        let profile = match self.profile {
            Profile::Run => "run",
            Profile::Build => "build",
        };
        let set_id = if self.sets_ids() {
            ", set-user-ID bits allowed"
        } else {
            ""
        };
        let kept = capabilities::names(self.profile);
        let kept = if kept.is_empty() {
            "none".to_owned()
        } else {
            kept.join(" ")
        };
        writeln!(
            f,
            "\nprofile {profile}: capabilities {kept}; no_new_privs; Landlock; seccomp {} instructions{set_id}",
            seccomp::instructions(self.sets_ids())
        )?;
        cgroups(f, self)?;
        limits(f, self)?;
        let size = self
            .private
            .bytes
            .map_or("half of the memory".to_owned(), |bytes| {
                format!("{bytes} bytes")
            });
        let root = if self.private.writable_root {
            "writable"
        } else {
            "read-only"
        };
        writeln!(
            f,
            "\nroot: private tmpfs, at most {size} and {} inodes, {root}",
            self.private.inodes
        )?;
        self.mounts
            .iter()
            .try_for_each(|step| writeln!(f, "  {step}"))?;
        write!(f, "\n{}", self.network)
    }
}

fn maps(f: &mut Formatter<'_>, kind: &str, maps: &[IdMap]) -> fmt::Result {
    maps.iter().try_for_each(|map| {
        writeln!(
            f,
            "  {kind} {} inside is {} outside, {} ids",
            map.inside, map.outside, map.count
        )
    })
}

fn cgroups(f: &mut Formatter<'_>, plan: &Plan) -> fmt::Result {
    let Some(cgroup) = &plan.cgroup else {
        return writeln!(f, "\ncgroup: none");
    };
    writeln!(f, "\ncgroup:")?;
    for directory in &cgroup.directories {
        writeln!(f, "  {}", shown(&directory.path))?;
        directory
            .limits
            .iter()
            .try_for_each(|(file, value)| writeln!(f, "    {file} = {value}"))?;
    }
    Ok(())
}

fn limits(f: &mut Formatter<'_>, plan: &Plan) -> fmt::Result {
    let limits = &plan.process_limits;
    let whose = if plan.counts_together() {
        "all users together"
    } else {
        "the user"
    };
    write!(f, "\nlimits of a process: {} open files", limits.open_files)?;
    limits
        .processes
        .map_or(Ok(()), |n| write!(f, ", {n} processes of {whose}"))?;
    limits
        .address_space
        .map_or(Ok(()), |n| write!(f, ", {n} bytes of address space"))?;
    writeln!(f)
}

impl Display for MountStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = shown(self.path());
        match self {
            Self::Directory { mode, owned, .. } => {
                write!(
                    f,
                    "directory  {path} {mode:o}{}",
                    if *owned {
                        " owned by the user inside"
                    } else {
                        ""
                    }
                )
            }
            Self::File { mode, content, .. } => {
                write!(f, "file       {path} {mode:o}, {} bytes", content.len())
            }
            Self::Symlink { target, .. } => write!(f, "symlink    {path} -> {}", shown(target)),
            Self::Private { .. } => write!(f, "private    {path}"),
            Self::Bind {
                source,
                access,
                ownership,
                ..
            } => {
                let access = match access {
                    Access::ReadOnly => "ro",
                    Access::ReadWrite => "rw",
                };
                write!(
                    f,
                    "bind       {path} <- {} {access} nosuid nodev{ownership}",
                    shown(source)
                )
            }
            Self::Overlay {
                lower,
                made,
                draft,
                ownership,
                ..
            } => {
                let upper = draft.iter().map(|draft| draft.directory.join(&draft.upper));
                let layers: Vec<_> = upper
                    .chain(made.iter().cloned())
                    .chain(lower.iter().cloned())
                    .map(|layer| shown(&layer))
                    .collect();
                write!(
                    f,
                    "overlay    {path} <- {} nosuid nodev{ownership}",
                    layers.join(" over ")
                )
            }
            Self::Device { .. } => write!(f, "device     {path}"),
            Self::Proc => write!(f, "proc       {path} nosuid nodev noexec"),
            Self::DevPts => write!(f, "devpts     {path} nosuid noexec"),
            Self::ReadOnly { .. } => write!(f, "read-only  {path}"),
            Self::Mask { .. } => write!(f, "mask       {path}"),
        }
    }
}

impl Display for Ownership {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsMapped => Ok(()),
            Self::Base => f.write_str(" idmapped"),
            Self::Owner { uid, gid } => {
                write!(f, " idmapped, {uid}:{gid} on disk is the user inside")
            }
        }
    }
}

/// A path for a terminal: a name in a work directory may have been chosen inside an earlier sandbox, escape sequences and all.
fn shown(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| !c.is_control() && (c.is_ascii() || c.escape_debug().len() == 1);
    text.chars()
        .map(|c| {
            if is_plain(c) {
                c.to_string()
            } else {
                c.escape_unicode().to_string()
            }
        })
        .collect()
}
