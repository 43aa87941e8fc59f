//! What a Markdown document calls itself.

/// The title that a document's front matter says, and the document without it.
pub(super) fn without_front_matter(text: &str) -> (Option<String>, &str) {
    let text = text.trim_start_matches('\u{feff}');
    for (fence, sign) in [("---", ':'), ("+++", '=')] {
        let mut lines = text.split_inclusive('\n');
        if lines.next().map(str::trim_end) != Some(fence) {
            continue;
        }
        let (mut title, mut at) = (None, fence_bytes(text));
        for line in lines {
            at += line.len();
            if line.trim_end() == fence {
                return (title, text[at..].trim_start_matches(['\r', '\n']));
            }
            title = title.or_else(|| field(line, sign));
        }
    }
    (None, text)
}

/// The first line, its feed included.
fn fence_bytes(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |at| at + 1)
}

/// The title, if that is what a line of front matter is about. Only what stands on one line is understood.
fn field(line: &str, sign: char) -> Option<String> {
    let (name, value) = line.split_once(sign)?;
    if name.trim_end() != "title" {
        return None;
    }
    let value = value.trim();
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let title = quoted.unwrap_or(value);
    (!title.is_empty()).then(|| title.to_owned())
}

/// What the first heading says, if there is one.
pub(super) fn first_heading(text: &str) -> Option<String> {
    let mut before = "";
    for line in text.lines() {
        let words = line.trim_start_matches('#');
        let level = line.len() - words.len();
        if (1..=6).contains(&level) && words.starts_with([' ', '\t']) {
            let words = words.trim().trim_end_matches('#').trim_end();
            return (!words.is_empty()).then(|| words.to_owned());
        }
        let is_underline = line.len() > 1 && line.bytes().all(|byte| byte == b'=');
        if is_underline && !before.trim().is_empty() {
            return Some(before.trim().to_owned());
        }
        before = line;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_what_the_front_matter_says() {
        for (text, title, rest) in [
            ("---\ntitle: A b\nx: y\n---\n\nrest", Some("A b"), "rest"),
            ("+++\ntitle = \"A\"\n+++\nrest", Some("A"), "rest"),
            ("---\nx: y\n---\n", None, ""),
            ("---\ntitle: never ends", None, "---\ntitle: never ends"),
            ("no front\n---\n", None, "no front\n---\n"),
            ("---", None, "---"),
        ] {
            let (found, left) = without_front_matter(text);
            assert_eq!((found.as_deref(), left), (title, rest), "{text}");
        }
    }

    #[test]
    fn else_it_is_the_first_heading() {
        assert_eq!(first_heading("x\n## Two ##\n").as_deref(), Some("Two"));
        assert_eq!(first_heading("One\n===\n# Two").as_deref(), Some("One"));
        assert_eq!(first_heading("#one\n#\n"), None);
    }
}
