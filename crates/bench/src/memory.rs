//! What processes and the kernel hold, from /proc (proc(5)).

use std::fs;

use anyhow::{Context, Result};

/// KiB of the kernel's own that sandboxes can cost. `Slab` and `Percpu` hold namespaces, sockets, mounts and rules.
const KERNEL_FIELDS: [&str; 4] = ["Slab:", "KernelStack:", "PageTables:", "Percpu:"];

/// KiB that the kernel holds for itself now, for the whole machine: only differences of many say anything.
pub(crate) fn kernel_kib() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    Ok(KERNEL_FIELDS
        .iter()
        .filter_map(|field| value(&text, field))
        .sum())
}

/// Proportional set size of a process in KiB: its own pages, and its share of those that it shares.
pub(crate) fn pss_kib(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    value(&text, "Pss:").with_context(|| format!("{file} has no Pss"))
}

fn value(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A process, its children, their children, and so on.
pub(crate) fn family(root: u32) -> Result<Vec<u32>> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")?
        .filter_map(|entry| parent(entry.ok()?.file_name().to_str()?))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == member)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(family)
}

/// A process and its parent, the second field after the name in parentheses.
fn parent(pid: &str) -> Option<(u32, u32)> {
    let pid = pid.parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    Some((pid, after_name.split(' ').nth(1)?.parse().ok()?))
}

/// The name of a process's program, as the kernel cuts it.
pub(crate) fn program(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_pages_and_the_kernel_too() {
        assert!(pss_kib(std::process::id()).unwrap() > 100.0);
        assert!(kernel_kib().unwrap() > 1000.0);
    }

    #[test]
    fn a_family_is_the_process_and_what_it_started() {
        let mut child = crate::os::command("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let family = family(std::process::id()).unwrap();
        assert!(family.contains(&child.id()) && family.contains(&std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
