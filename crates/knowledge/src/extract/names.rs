//! What a document is, by its media type and its name.

use crate::Kind;

const MARKDOWN: [&str; 4] = ["md", "markdown", "mdown", "mdx"];
const HTML: [&str; 3] = ["html", "htm", "xhtml"];
/// What is told from text in nothing but how it is cut: it has no headings that a `#` marks.
const CODE: [&str; 58] = [
    "bash", "bat", "c", "cc", "clj", "cpp", "cs", "css", "cxx", "dart", "ex", "exs", "fish", "go",
    "gradle", "graphql", "groovy", "h", "hpp", "hs", "ini", "java", "jl", "js", "json", "jsonl",
    "jsx", "kt", "kts", "lua", "m", "mk", "ml", "mjs", "nix", "php", "pl", "proto", "ps1", "py",
    "r", "rb", "rs", "scala", "sh", "sql", "svelte", "swift", "tf", "toml", "ts", "tsx", "vue",
    "xml", "yaml", "yml", "zig", "zsh",
];
const CODE_NAMES: [&str; 5] = [
    "Dockerfile",
    "Makefile",
    "Containerfile",
    "Jenkinsfile",
    "Justfile",
];

/// Nothing where neither says anything.
pub(super) fn kind(media_type: &str, name: &str) -> Option<Kind> {
    match (of_type(media_type), of_name(name)) {
        // Servers say of every text that it is plain.
        (Some(Kind::Text), Some(named @ (Kind::Markdown | Kind::Code))) => Some(named),
        (typed, named) => typed.or(named),
    }
}

/// Types that servers give to whatever they do not know count for nothing.
fn of_type(media_type: &str) -> Option<Kind> {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/html" | "application/xhtml+xml" => Some(Kind::Html),
        "text/markdown" | "text/x-markdown" => Some(Kind::Markdown),
        "application/pdf" | "application/x-pdf" => Some(Kind::Pdf),
        "text/plain" => Some(Kind::Text),
        "application/json"
        | "application/xml"
        | "text/xml"
        | "application/yaml"
        | "application/toml"
        | "application/javascript"
        | "text/javascript"
        | "text/css" => Some(Kind::Code),
        other if other.starts_with("text/") => Some(Kind::Text),
        other if other.ends_with("+json") || other.ends_with("+xml") => Some(Kind::Code),
        _ => None,
    }
}

fn of_name(name: &str) -> Option<Kind> {
    if CODE_NAMES.contains(&name) {
        return Some(Kind::Code);
    }
    let (_, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    let is_in = |list: &[&str]| list.contains(&extension.as_str());
    if is_in(&MARKDOWN) {
        Some(Kind::Markdown)
    } else if is_in(&HTML) {
        Some(Kind::Html)
    } else if is_in(&CODE) {
        Some(Kind::Code)
    } else if extension == "pdf" {
        Some(Kind::Pdf)
    } else {
        None
    }
}
