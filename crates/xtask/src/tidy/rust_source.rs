//! Splits Rust source into code and comments, line by line, so that a rule never trips over a string literal.

/// One line of a source file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Its code; string and character literals are emptied.
    pub(super) code: String,
    /// The text of its comments.
    pub(super) comment: String,
}

/// What the scanner is inside of.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    /// Nested this deep (Rust reference, "Comments").
    BlockComment(usize),
    Text,
    /// A raw string that ends with a quote and this many `#`.
    RawText(usize),
}

/// Splits a file.
pub(super) fn lines(source: &str) -> Vec<Line> {
    let mut inside = Inside::Code;
    source
        .lines()
        .map(|line| split(line, &mut inside))
        .collect()
}

fn split(line: &str, inside: &mut Inside) -> Line {
    let mut result = Line::default();
    let mut rest = line;
    while !rest.is_empty() {
        let taken = match *inside {
            Inside::Code => code(rest, inside, &mut result),
            Inside::BlockComment(depth) => block_comment(rest, depth, inside, &mut result),
            Inside::Text => text(rest, inside),
            Inside::RawText(hashes) => raw_text(rest, hashes, inside),
        };
        rest = rest.get(taken..).unwrap_or("");
    }
    result
}

/// Takes one token or character of code; returns how many bytes that was.
fn code(rest: &str, inside: &mut Inside, result: &mut Line) -> usize {
    if let Some(comment) = rest.strip_prefix("//") {
        result.comment.push_str(comment);
        return rest.len();
    }
    if rest.starts_with("/*") {
        *inside = Inside::BlockComment(1);
        return 2;
    }
    if let Some(hashes) = raw_start(rest).filter(|_| !ends_in_word(&result.code)) {
        *inside = Inside::RawText(hashes);
        return rest.find('"').map_or(rest.len(), |quote| quote + 1);
    }
    if rest.starts_with('"') {
        *inside = Inside::Text;
        result.code.push('"');
        return 1;
    }
    if let Some(length) = character_literal(rest) {
        result.code.push_str("''");
        return length;
    }
    let first = rest.chars().next().unwrap_or(' ');
    result.code.push(first);
    first.len_utf8()
}

fn ends_in_word(code: &str) -> bool {
    code.chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The number of `#` of `r"`, `r#"`, `br#"`, `cr#"` and so on.
fn raw_start(rest: &str) -> Option<usize> {
    let after = ["br", "cr", "r"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after.get(hashes..)?.starts_with('"').then_some(hashes)
}

/// The length of `'x'` or `'\n'`; lifetimes are not literals.
fn character_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if let Some(escaped) = body.strip_prefix('\\') {
        let skip = escaped.chars().next()?.len_utf8();
        return Some(escaped.get(skip..)?.find('\'')? + skip + 3);
    }
    let length = body.chars().next()?.len_utf8();
    body.get(length..)?.starts_with('\'').then_some(length + 2)
}

fn block_comment(rest: &str, depth: usize, inside: &mut Inside, result: &mut Line) -> usize {
    if rest.starts_with("*/") {
        *inside = if depth == 1 {
            Inside::Code
        } else {
            Inside::BlockComment(depth - 1)
        };
        return 2;
    }
    if rest.starts_with("/*") {
        *inside = Inside::BlockComment(depth + 1);
        return 2;
    }
    let first = rest.chars().next().unwrap_or(' ');
    result.comment.push(first);
    first.len_utf8()
}

fn text(rest: &str, inside: &mut Inside) -> usize {
    if let Some(escaped) = rest.strip_prefix('\\') {
        return 1 + escaped.chars().next().map_or(0, char::len_utf8);
    }
    if rest.starts_with('"') {
        *inside = Inside::Code;
    }
    rest.chars().next().map_or(1, char::len_utf8)
}

fn raw_text(rest: &str, hashes: usize, inside: &mut Inside) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    match rest.find(&end) {
        Some(at) => {
            *inside = Inside::Code;
            at + end.len()
        }
        None => rest.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, code: &str, comment: &str) {
        let lines = lines(source);
        let join = |part: fn(&Line) -> &str| lines.iter().map(part).collect::<Vec<_>>().join("\n");
        assert_eq!(join(|line| &line.code), code, "code of {source}");
        assert_eq!(join(|line| &line.comment), comment, "comment of {source}");
    }

    #[test]
    fn strings_are_emptied_and_comments_are_kept_apart() {
        check("let a = \"x // y\"; // z", "let a = \"; ", " z");
        check("let a = \"\\\" // y\"; b", "let a = \"; b", "");
        check("a(r#\"x \" y\"#, b\"z\")", "a(, b\")", "");
        check("a /* b /* c */ d */ e", "a  e", " b  c  d ");
        check(
            "let s = \"one\n// two\n\"; end",
            "let s = \"\n\n; end",
            "\n\n",
        );
    }

    #[test]
    fn lifetimes_are_code_and_characters_are_not() {
        check(
            "fn f<'a>(x: &'a str) { '\"' '\\'' '{' }",
            "fn f<'a>(x: &'a str) { '' '' '' }",
            "",
        );
    }

    #[test]
    fn a_name_that_ends_in_r_is_not_a_raw_string() {
        check("bar\"x\"", "bar\"", "");
    }
}
