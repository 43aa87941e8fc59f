//! What the model is told of the tools.

use serde_json::{Value, json};

/// A built-in tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// A command in the session's shell.
    Bash,
    /// A file, or a part of it.
    Read,
    /// A file as a whole.
    Write,
    /// A part of a file.
    Edit,
    /// Files by their names.
    Glob,
    /// Files by their contents.
    Grep,
    /// A page of the web.
    WebFetch,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 7] = [
        Self::Bash,
        Self::Read,
        Self::Write,
        Self::Edit,
        Self::Glob,
        Self::Grep,
        Self::WebFetch,
    ];

    /// Its name, as models call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Read => "read",
            Self::Write => "write",
            Self::Edit => "edit",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::WebFetch => "web_fetch",
        }
    }

    /// The tool of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// The input in short, for a refusal.
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::Bash => "{command: string, timeout_ms?: integer} or {restart: true}",
            Self::Read => "{file_path: string, view_range?: [first line, last line]}",
            Self::Write => "{file_path: string, content: string}",
            Self::Edit => {
                "{file_path: string, old_string: string, new_string: string, replace_all?: boolean}"
            }
            Self::Glob | Self::Grep => "{pattern: string, path?: string}",
            Self::WebFetch => "{url: string}",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Bash => {
                "Runs a command in the session's bash shell. The shell stays: directory, variables, functions and background jobs are there \
                 for the next command. Output and errors come together, in order; of a long output the end is shown and the rest is put into \
                 a file. Standard input is empty. A command is interrupted after 120 seconds, or timeout_ms; start what runs longer in the \
                 background. `restart` gives a fresh shell and ends everything that was started in the old one."
            }
            Self::Read => {
                "Reads a file: a text of up to 256 KiB, or the lines of view_range of a longer one; an image (PNG, JPEG, GIF, WebP) or a PDF \
                 document is shown as such. Lines count from 1, and a last line of 0 or less is the end of the file."
            }
            Self::Write => {
                "Writes a whole file and makes the directories above it. A file that exists is replaced and keeps its permissions."
            }
            Self::Edit => {
                "Replaces a text in a file. `old_string` must stand in the file exactly once, letter by letter with its white space; with \
                 `replace_all` every occurrence is replaced."
            }
            Self::Glob => {
                "Finds files by a pattern such as `src/**/*.rs`, below `path` or the working directory: the newest first, at most 200. \
                 `*` stays in a directory, `**` does not. What is below `.git` is left out."
            }
            Self::Grep => {
                "Searches the lines of files for a regular expression (the syntax of ripgrep) in a file or below a directory, and prints \
                 path, number and line. Hidden and binary files are left out, and what `.gitignore` and `.ignore` say."
            }
            Self::WebFetch => {
                "Fetches a page or a PDF document of the web by its URL and shows its text. It reaches only what this environment may reach."
            }
        }
    }

    fn properties(self) -> (Value, &'static [&'static str]) {
        let text = |description: &str| json!({"type": "string", "description": description});
        match self {
            Self::Bash => (
                json!({
                    "command": text("What to run."),
                    "restart": {"type": "boolean", "description": "Start a fresh shell instead."},
                    "timeout_ms": {"type": "integer", "minimum": 0, "description": "Milliseconds until it is interrupted; 120000 if 0 or absent."},
                }),
                &[],
            ),
            Self::Read => (
                json!({
                    "file_path": text("The file."),
                    "view_range": {
                        "type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2,
                        "description": "First and last line.",
                    },
                }),
                &["file_path"],
            ),
            Self::Write => (
                json!({"file_path": text("The file."), "content": text("All that it is to hold.")}),
                &["file_path", "content"],
            ),
            Self::Edit => (
                json!({
                    "file_path": text("The file."),
                    "old_string": text("What stands there."),
                    "new_string": text("What is to stand there."),
                    "replace_all": {"type": "boolean", "description": "Replace every occurrence."},
                }),
                &["file_path", "old_string", "new_string"],
            ),
            Self::Glob => (
                json!({"pattern": text("The pattern."), "path": text("The directory to look in.")}),
                &["pattern"],
            ),
            Self::Grep => (
                json!({"pattern": text("The regular expression."), "path": text("The file or directory to search.")}),
                &["pattern"],
            ),
            Self::WebFetch => (json!({"url": text("An http or https URL.")}), &["url"]),
        }
    }

    /// The tool as the Messages API takes it: name, description, schema of the input.
    pub fn definition(self) -> Value {
        let (properties, required) = self.properties();
        json!({
            "name": self.name(),
            "description": self.description(),
            "input_schema": {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            },
        })
    }
}

/// For a name that no tool has.
pub(crate) fn unknown(name: &str) -> String {
    let names: Vec<&str> = Tool::ALL.into_iter().map(Tool::name).collect();
    let name: String = name.chars().take(64).collect();
    format!(
        "there is no tool {name:?} here; the built-in tools are {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_its_name() {
        for tool in Tool::ALL {
            assert_eq!(Tool::from_name(tool.name()), Some(tool));
        }
        assert_eq!(Tool::from_name("Bash"), None);
    }

    #[test]
    fn definitions_are_as_they_were() {
        let definitions: Vec<Value> = Tool::ALL.into_iter().map(Tool::definition).collect();
        let written = serde_json::to_string_pretty(&definitions).unwrap();
        insta::assert_snapshot!(written);
    }
}
