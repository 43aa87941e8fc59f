//! Markup, one piece after the other.

use crate::entity::plain;

/// The longest name of an element that means something here.
const NAME_BYTES: usize = 40;
/// How far a quoted value may keep a tag from ending; then quotes count for nothing, or all of the page would be one tag.
const TAG_BYTES: usize = 64 << 10;

/// Who reads it.
pub(crate) trait Reader {
    /// Elements whose contents are no text of the page; [`Reader::hidden`] is given them as they are.
    fn hides(&self, tag: &Tag<'_>) -> bool;
    /// Whether sections of characters are read, as XML has them.
    fn is_xml(&self) -> bool;
    /// Text, with its references.
    fn words(&mut self, html: &str);
    /// Text that has no references: a section of characters.
    fn verbatim(&mut self, text: &str);
    /// A tag, whichever.
    fn tag(&mut self, tag: &Tag<'_>);
    /// An element that is hidden.
    fn hidden(&mut self, tag: &Tag<'_>, inside: &str);
}

/// A tag.
#[derive(Debug)]
pub(crate) struct Tag<'a> {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) is_end: bool,
    /// It ends with a slash: whatever HTML says of that, nothing is inside.
    is_empty: bool,
    attributes: &'a str,
}

/// Reads all of it.
pub(crate) fn scan(html: &str, reader: &mut impl Reader) {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        reader.words(&rest[..at]);
        rest = markup(&rest[at..], reader);
    }
    reader.words(rest);
}

/// What begins with `<`; what comes after it is returned.
fn markup<'a>(rest: &'a str, reader: &mut impl Reader) -> &'a str {
    if let Some(comment) = rest.strip_prefix("<!--") {
        return comment.split_once("-->").map_or("", |(_, rest)| rest);
    }
    if reader.is_xml()
        && let Some(section) = rest.strip_prefix("<![CDATA[")
    {
        let (text, rest) = section.split_once("]]>").unwrap_or((section, ""));
        reader.verbatim(text);
        return rest;
    }
    let after = &rest[1..];
    if !after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
        reader.words("<");
        return after;
    }
    let (tag, rest) = split_tag(after);
    let tag = Tag::of(tag);
    if !tag.is_end && !tag.is_empty && reader.hides(&tag) {
        let (inside, rest) = until_end(&tag.name, rest);
        reader.hidden(&tag, inside);
        return rest;
    }
    reader.tag(&tag);
    rest
}

impl<'a> Tag<'a> {
    /// What is between the brackets.
    fn of(tag: &'a str) -> Self {
        let body = tag.trim_start_matches('/');
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':');
        let length = body.find(|c| !is_part(c)).unwrap_or(body.len());
        Self {
            name: body[..length.min(NAME_BYTES)].to_ascii_lowercase(),
            is_end: tag.starts_with('/'),
            is_empty: tag.ends_with('/'),
            attributes: &body[length..],
        }
    }

    /// The value of an attribute, without its references. Of several the first counts.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/'));
            // A lone `=` begins a name (HTML, section 13.2.5.32).
            let end = if end == Some(0) { Some(1) } else { end };
            let (found, after) = rest.split_at(end.unwrap_or(rest.len()));
            if found.is_empty() {
                return None;
            }
            let (value, after) = value(after);
            if found.eq_ignore_ascii_case(name) {
                return Some(plain(value));
            }
            rest = after;
        }
    }
}

/// The value that follows a name, empty if there is none, and what comes after it.
fn value(text: &str) -> (&str, &str) {
    let Some(value) = text.trim_start().strip_prefix('=') else {
        return ("", text);
    };
    let value = value.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = value.find(|c: char| c.is_ascii_whitespace());
    value.split_at(end.unwrap_or(value.len()))
}

/// A tag without its brackets, and what comes after it. A `>` in a quoted value does not end it.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().take(TAG_BYTES) {
        match (quote, byte) {
            (None, b'>') => return (&text[..at], &text[at + 1..]),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    text.split_once('>').unwrap_or((text, ""))
}

/// What is inside of an element, and what comes after its end.
fn until_end<'a>(name: &str, text: &'a str) -> (&'a str, &'a str) {
    match find_end(text, name) {
        Some(at) => {
            let (_, after) = split_tag(&text[at + 1..]);
            (&text[..at], after)
        }
        None => (text, ""),
    }
}

fn find_end(text: &str, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'<', bytes).find(|at| {
        let end = bytes[at + 1..].strip_prefix(b"/");
        let Some((found, after)) = end.and_then(|end| end.split_at_checked(name.len())) else {
            return false;
        };
        // A longer name is another one (HTML, section 13.2.5.16).
        let is_whole = after
            .first()
            .is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
        is_whole && found.eq_ignore_ascii_case(name.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_their_names_alone() {
        for (tag, expected) in [
            ("a href=x", Some("x")),
            ("a title='href=y' HREF = \"x&amp;y\"", Some("x&y")),
            ("a data-href=y", None),
            ("a href", Some("")),
            ("a = href=x", Some("x")),
            ("a href='x", Some("x")),
            ("a", None),
            ("a x=y/href=z", None),
        ] {
            let found = Tag::of(tag).attribute("href");
            assert_eq!(found.as_deref(), expected, "{tag}");
        }
    }

    #[test]
    fn what_is_hidden_ends_with_its_own_name() {
        let check = |text, expect| assert_eq!(until_end("script", text), expect);
        check("a</scripting>b</SCRIPT >c", ("a</scripting>b", "c"));
        check("a</script", ("a", ""));
        check("a</scrip", ("a</scrip", ""));
    }

    #[test]
    fn tags_end_where_they_end() {
        assert_eq!(split_tag("a x='>'>y"), ("a x='>'", "y"));
        assert_eq!(split_tag("a x='>y"), ("a x='", "y"));
        let long = format!("a x='{}'>y", "z".repeat(TAG_BYTES));
        assert_eq!(split_tag(&long).1, "y");
    }
}
