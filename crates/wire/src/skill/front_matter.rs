//! What stands at the beginning of a `SKILL.md`.

use bailiwick_model::limits::{SKILL_DESCRIPTION_CHARS, SKILL_FRONT_MATTER_BYTES};

use super::SkillProblem;
use crate::tree::{self, Value};

/// The line before and after it.
const FENCE: &str = "---";

/// The name, if there is one, and the description.
pub(super) fn read(manifest: &[u8]) -> Result<(Option<String>, String), SkillProblem> {
    let text = text_between_fences(manifest)?;
    let (root, problems) = tree::read(&text);
    if let Some(problem) = problems.first() {
        return Err(SkillProblem::FrontMatter(problem.to_string()));
    }
    let Some(Value::Map(entries)) = root.map(|root| root.value) else {
        return Err(SkillProblem::FrontMatter("it is not a map".to_owned()));
    };
    let (mut name, mut description) = (None, None);
    for (key, node) in entries {
        match key.value.as_str() {
            "name" => name = Some(scalar(node.value).unwrap_or_default()),
            "description" => description = scalar(node.value),
            // Clients have keys of their own.
            _ => {}
        }
    }
    let described = |text: &String| {
        (1..=SKILL_DESCRIPTION_CHARS).contains(&text.chars().count()) && !text.contains('\0')
    };
    let description = description.map(|text| text.trim().to_owned());
    let description = description
        .filter(described)
        .ok_or(SkillProblem::Description)?;
    Ok((name, description))
}

/// A text, also where YAML sees a number: `name: 7` is a name.
fn scalar(value: Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::Number(text) => Some(text),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Refused => None,
    }
}

fn text_between_fences(manifest: &[u8]) -> Result<String, SkillProblem> {
    let most = manifest.len().min(SKILL_FRONT_MATTER_BYTES);
    let mut lines = manifest[..most].split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    // Editors of some systems begin every file with a mark.
    let first = first.strip_prefix("\u{feff}".as_bytes()).unwrap_or(first);
    if first.trim_ascii_end() != FENCE.as_bytes() {
        return Err(SkillProblem::NoFrontMatter);
    }
    let mut text = Vec::new();
    for line in lines {
        if line.trim_ascii_end() == FENCE.as_bytes() {
            return String::from_utf8(text)
                .map_err(|_| SkillProblem::FrontMatter("it is not UTF-8".to_owned()));
        }
        text.extend_from_slice(line);
    }
    if manifest.len() > SKILL_FRONT_MATTER_BYTES {
        return Err(SkillProblem::LongFrontMatter);
    }
    Err(SkillProblem::NoFrontMatter)
}
