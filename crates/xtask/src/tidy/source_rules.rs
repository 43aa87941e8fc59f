//! Rules for Rust source: sizes, `unsafe`, `allow`, module files.

use std::path::Path;

use super::Finding;
use super::rust_source::{self, Line};

/// A file of more lines wants to be two files.
const FILE_LINES: usize = 600;
/// A function of more lines wants to be two functions.
const FUNCTION_LINES: usize = 70;
/// The one crate that may hold `unsafe` code.
const UNSAFE_CRATE: &str = "crates/sandbox/";

pub(super) fn check(file: &Path, text: &str) -> Vec<Finding> {
    let lines = rust_source::lines(text);
    let mut findings = Vec::new();
    if lines.len() > FILE_LINES {
        findings.push(Finding::new(
            file,
            0,
            format!("{} lines; the limit is {FILE_LINES}", lines.len()),
        ));
    }
    if file.ends_with("mod.rs") {
        findings.push(Finding::new(
            file,
            0,
            "name it after the module: foo.rs beside foo/, no mod.rs",
        ));
    }
    findings.extend(long_functions(file, &lines));
    for (number, line) in (1..).zip(&lines) {
        findings.extend(
            line_rules(file, &line.code).map(|message| Finding::new(file, number, message)),
        );
    }
    findings
}

fn line_rules(file: &Path, code: &str) -> impl Iterator<Item = &'static str> {
    let hits = [
        (
            has_unsafe(code) && !file.starts_with(UNSAFE_CRATE),
            "`unsafe` belongs in the crate `sandbox`",
        ),
        (
            code.contains("#[allow(") || code.contains("#![allow("),
            "use #[expect(..., reason = \"...\")]: it tells when it is stale",
        ),
        (code.contains("use crate::*"), "name what is used"),
    ];
    hits.into_iter()
        .filter_map(|(hit, message)| hit.then_some(message))
}

/// `unsafe {`, `unsafe fn`, ... but not the lint `unsafe_code`.
fn has_unsafe(code: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.split(|c| !is_word(c)).any(|word| word == "unsafe")
}

/// Relies on rustfmt: a function ends at the first line that is its own indentation and begins with a closing brace.
fn long_functions(file: &Path, lines: &[Line]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| starts_function(&line.code))
    {
        let indent = line.code.len() - line.code.trim_start().len();
        let is_its_own = |line: &Line| line.code.len() - line.code.trim_start().len() == indent;
        // In a macro more may follow.
        let ends = |line: &Line| is_its_own(line) && line.code.trim_start().starts_with('}');
        let declares_only = |line: &Line| is_its_own(line) && line.code.trim_end().ends_with(';');
        let Some(length) = lines[index..]
            .iter()
            .position(|line| ends(line) || declares_only(line))
        else {
            continue;
        };
        if length + 1 > FUNCTION_LINES {
            findings.push(Finding::new(
                file,
                index + 1,
                format!(
                    "a function of {} lines; the limit is {FUNCTION_LINES}",
                    length + 1
                ),
            ));
        }
    }
    findings
}

fn starts_function(code: &str) -> bool {
    let one_line = code.trim_end().ends_with('}') || code.trim_end().ends_with(';');
    !one_line
        && code
            .split_whitespace()
            .take_while(|word| is_modifier(word) || *word == "fn")
            .any(|word| word == "fn")
}

fn is_modifier(word: &str) -> bool {
    matches!(
        word,
        "pub" | "async" | "const" | "unsafe" | "extern" | "in" | "\""
    ) || word.starts_with("pub(")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, text: &str) -> Vec<String> {
        check(Path::new(file), text)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn unsafe_code_is_found_outside_its_crate_only() {
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(
            messages("crates/dial/src/a.rs", text),
            ["crates/dial/src/a.rs:2: `unsafe` belongs in the crate `sandbox`"]
        );
        assert_eq!(messages("crates/sandbox/src/a.rs", text), [""; 0]);
        assert_eq!(
            messages(
                "crates/dial/src/a.rs",
                "// unsafe\nlet a = \"unsafe\"; #[expect(unsafe_code)]"
            ),
            [""; 0]
        );
    }

    #[test]
    fn allow_is_found() {
        assert_eq!(
            messages("a.rs", "#[allow(dead_code)]\nfn f() {}\n").len(),
            1
        );
        assert_eq!(
            messages("a.rs", "#[expect(dead_code, reason = \"x\")]\nfn f() {}\n").len(),
            0
        );
    }

    #[test]
    fn long_functions_and_files_are_found() {
        let body = "        let x = || {\n        };\n".repeat(40);
        let long = format!(
            "impl A {{\n    pub(crate) async fn f(\n        a: u8,\n    ) {{\n{body}    }}\n}}\n"
        );
        assert_eq!(
            messages("a.rs", &long),
            ["a.rs:2: a function of 84 lines; the limit is 70"]
        );
        let short = "fn f() {\n    a();\n}\n".repeat(100);
        assert_eq!(messages("a.rs", &short), [""; 0]);
        assert_eq!(messages("a.rs", &short.repeat(3)).len(), 1);
    }

    #[test]
    fn a_declaration_without_a_body_has_no_length() {
        let text = format!(
            "trait T {{\n    fn f(\n        a: u8,\n    );\n{}}}\n",
            "    fn g();\n".repeat(80)
        );
        assert_eq!(messages("a.rs", &text), [""; 0]);
    }

    #[test]
    fn module_files_have_the_modules_name() {
        assert_eq!(messages("crates/dial/src/a/mod.rs", "").len(), 1);
    }
}
