//! Compiles the commented seccomp lists of `data/seccomp` to BPF, so that nothing is parsed or compiled when a sandbox starts.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to a build script through its environment"
)]

#[path = "build/search_tree.rs"]
mod search_tree;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use seccompiler::{BpfProgram, TargetArch};
use serde_json::{Value, json};

/// Besides `eperm.txt`, for all but builds.
const SETUID: &str = "data/seccomp/eperm-setuid.txt";

/// List, what a listed call gets, and what every other call gets; the first list that does not allow a call decides.
fn lists() -> [(&'static str, Value, Value); 3] {
    let error = |number: i32| json!({"errno": number});
    [
        ("eperm", error(libc::EPERM), json!("allow")),
        ("eafnosupport", error(libc::EAFNOSUPPORT), json!("allow")),
        ("allow", json!("allow"), error(libc::ENOSYS)),
    ]
}

fn main() {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let target = TargetArch::try_from(architecture.as_str())
        .expect("seccomp is supported on this architecture");
    let setuid = std::fs::read_to_string(SETUID).expect("the list is part of the crate");
    println!("cargo::rerun-if-changed={SETUID}");
    let mut source = String::new();
    for (name, besides) in [("FILTER", setuid.as_str()), ("FILTER_OF_DRAFTS", "")] {
        writeln!(source, "static {name}: &[libc::sock_filter] = &[").expect("writing to a string");
        for i in search_tree::in_front_of(&filters(besides, &architecture, target)) {
            writeln!(
                source,
                "    libc::sock_filter {{ code: {}, jt: {}, jf: {}, k: {} }},",
                i.code, i.jt, i.jf, i.k
            )
            .expect("writing to a string");
        }
        source.push_str("];\n");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("seccomp.rs"), source).expect("the output directory is writable");
}

/// The filters of the lists; `besides` are more lines of the first one.
fn filters(besides: &str, architecture: &str, target: TargetArch) -> [BpfProgram; 3] {
    let mut besides = Some(besides);
    lists().map(|(list, listed, other)| {
        let path = Path::new("data/seccomp").join(list).with_extension("txt");
        println!("cargo::rerun-if-changed={}", path.display());
        let mut text = std::fs::read_to_string(&path).expect("the list is part of the crate");
        text.push_str(besides.take().unwrap_or_default());
        let filter = json!({list: {"match_action": listed, "mismatch_action": other, "filter": rules(&text, architecture)}});
        let mut programs = seccompiler::compile_from_json(filter.to_string().as_bytes(), target)
            .expect("a valid filter");
        programs
            .remove(list)
            .expect("the one filter of the document")
    })
}

/// The lines of a list as seccompiler's JSON rules.
fn rules(text: &str, architecture: &str) -> Vec<Value> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty());
    let mut rules = Vec::new();
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, only) = words[0].split_once('@').unwrap_or((words[0], architecture));
        if only != architecture {
            continue;
        }
        let conditions: Vec<_> = words[1..]
            .chunks(3)
            .map(|words| condition(words, line))
            .collect();
        rules.push(if conditions.is_empty() {
            json!({"syscall": name})
        } else {
            json!({"syscall": name, "args": conditions})
        });
    }
    rules
}

fn condition(words: &[&str], line: &str) -> Value {
    let [argument, operator, value] = words else {
        panic!("`{line}`: a condition is `argN has|is|isnt NUMBER`")
    };
    let index: u8 = argument
        .strip_prefix("arg")
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("`{line}`: {argument}"));
    let value = parse_number(value).unwrap_or_else(|| panic!("`{line}`: {value} is no number"));
    let operator = match *operator {
        "has" => json!({"masked_eq": value}),
        "is" => json!("eq"),
        "isnt" => json!("ne"),
        other => panic!("`{line}`: {other}"),
    };
    // The arguments that are looked at are ints, modes and flags: the kernel reads their low half only.
    json!({"index": index, "type": "dword", "op": operator, "val": value})
}

fn parse_number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok()
    } else if let Some(digits) = text.strip_prefix("0o") {
        u64::from_str_radix(digits, 8).ok()
    } else {
        text.parse().ok()
    }
}
