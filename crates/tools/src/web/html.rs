//! From HTML to text that reads well, in one pass.
//!
//! No tree is built: the parsers of browsers take time and memory out of proportion for pages that are made to cost (100 000 elements inside
//! one another), and a page is whatever a stranger wrote. What this loses is what only a tree knows, such as columns of tables.

use std::iter::once;

/// The text of a page. Takes time in proportion to its length.
pub(super) fn text(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        page.words(&rest[..at]);
        rest = page.markup(&rest[at..]);
    }
    page.words(rest);
    page.text.trim().to_owned()
}

/// Elements whose contents are no text of the page.
const HIDDEN: [&str; 7] = [
    "script", "style", "template", "svg", "noscript", "iframe", "head",
];
/// The longest name of an entity, and of a tag that means something here.
const NAME_BYTES: usize = 32;

#[derive(Default)]
struct Page {
    text: String,
    /// White space was seen since the last word.
    space: bool,
    /// Line feeds that come before the next word.
    feeds: usize,
    preformatted: usize,
    /// Where the link leads that is open.
    link: Option<String>,
}

impl Page {
    /// What begins with `<`; what comes after it is returned.
    fn markup<'a>(&mut self, rest: &'a str) -> &'a str {
        if let Some(comment) = rest.strip_prefix("<!--") {
            return comment.split_once("-->").map_or("", |(_, rest)| rest);
        }
        let after = &rest[1..];
        if !after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            self.words("<");
            return after;
        }
        let (tag, rest) = split_tag(after);
        let is_end = tag.starts_with('/');
        let body = tag.trim_start_matches('/');
        let length = body
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(body.len());
        let name = body[..length.min(NAME_BYTES)].to_ascii_lowercase();
        if !is_end && !tag.ends_with('/') && HIDDEN.contains(&name.as_str()) {
            return self.hidden(&name, rest);
        }
        self.element(&name, is_end, &body[length..]);
        rest
    }

    /// Leaves an element out. Of a head the title is kept, which is looked for in what is left out.
    fn hidden<'a>(&mut self, name: &str, rest: &'a str) -> &'a str {
        let (inside, after) = until_end(name, rest);
        if name == "head"
            && let Some(at) = find_ignoring_case(inside, "<title")
        {
            let (_, title) = split_tag(&inside[at + 1..]);
            let (title, _) = until_end("title", title);
            self.words(title);
            self.break_line(2);
        }
        after
    }

    fn element(&mut self, name: &str, is_end: bool, attributes: &str) {
        match (name, is_end) {
            ("br", _) => self.break_line(1),
            ("a", false) => self.link = attribute(attributes, "href"),
            ("a", true) => self.end_link(),
            ("img", _) => {
                if let Some(text) = attribute(attributes, "alt").filter(|text| !text.is_empty()) {
                    self.words(&text);
                }
            }
            ("li", false) => self.mark("* "),
            ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", false) => {
                self.break_line(2);
                let level = name
                    .bytes()
                    .last()
                    .map_or(1, |digit| usize::from(digit - b'0'));
                self.mark(&format!("{} ", "#".repeat(level)));
            }
            ("pre", false) => {
                self.break_line(2);
                self.preformatted += 1;
            }
            ("pre", true) => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.break_line(2);
            }
            ("td" | "th", true) => {
                self.words(" | ");
            }
            (
                "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "table" | "section"
                | "article" | "blockquote" | "hr" | "header" | "footer" | "nav" | "main" | "form",
                _,
            ) => self.break_line(2),
            ("div" | "li" | "tr" | "dt" | "dd" | "option" | "title", _) => self.break_line(1),
            _ => {}
        }
    }

    fn end_link(&mut self) {
        if let Some(link) = self.link.take().filter(|link| link.starts_with("http")) {
            self.words(&format!(" ({link})"));
        }
    }

    fn break_line(&mut self, feeds: usize) {
        self.feeds = self.feeds.max(feeds);
        self.space = false;
    }

    /// Stands in front of what comes on a line of its own.
    fn mark(&mut self, mark: &str) {
        self.break_line(1);
        self.flush();
        self.text.push_str(mark);
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            self.feeds = 0;
        }
        self.text.extend(std::iter::repeat_n('\n', self.feeds));
        if self.feeds == 0 && self.space && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
        (self.feeds, self.space) = (0, false);
    }

    fn words(&mut self, html: &str) {
        let mut rest = html;
        while let Some(at) = rest.find('&') {
            self.plain(&rest[..at]);
            rest = &rest[at..];
            match entity(rest) {
                Some((character, length)) => {
                    self.flush();
                    self.text.push(character);
                    rest = &rest[length..];
                }
                None => {
                    self.plain("&");
                    rest = &rest[1..];
                }
            }
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        if self.preformatted > 0 {
            if !text.is_empty() {
                self.flush();
                self.text.push_str(text);
            }
            return;
        }
        for character in text.chars() {
            if character.is_whitespace() {
                self.space = true;
            } else {
                self.flush();
                self.text.push(character);
            }
        }
    }
}

/// A tag without its brackets, and what comes after it. A `>` in a quoted value does not end it.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return (&text[..at], &text[at + 1..]),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed: then quotes count for nothing, or all of the page would be one tag.
    text.split_once('>').unwrap_or((text, ""))
}

/// What is inside of an element, and what comes after its end.
fn until_end<'a>(name: &str, text: &'a str) -> (&'a str, &'a str) {
    match find_ignoring_case(text, &format!("</{name}")) {
        Some(at) => {
            let (_, after) = split_tag(&text[at + 1..]);
            (&text[..at], after)
        }
        None => (text, ""),
    }
}

fn find_ignoring_case(text: &str, part: &str) -> Option<usize> {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    memchr::memchr_iter(b'<', text).find(|at| {
        text.get(*at..*at + part.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(part))
    })
}

/// The value of an attribute, with its entities decoded.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let lower = attributes.to_ascii_lowercase();
    let at = once(0)
        .chain(
            lower
                .match_indices(|c: char| c.is_ascii_whitespace())
                .map(|(at, _)| at + 1),
        )
        .find(|at| {
            lower[*at..]
                .strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        })?;
    let value = attributes[at..].split_once('=')?.1.trim_start();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_ascii_whitespace().next()?,
    };
    let mut decoded = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        let (character, length) = entity(&rest[at..]).unwrap_or(('&', 1));
        decoded.push(character);
        rest = &rest[at + length..];
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// The character of a reference such as `&amp;` or `&#x27;`, and the length of the reference.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text
        .bytes()
        .take(NAME_BYTES)
        .position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let number = |digits, radix| {
        u32::from_str_radix(digits, radix)
            .ok()
            .and_then(char::from_u32)
    };
    let character = match name.strip_prefix('#') {
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(digits) => number(digits, 16)?,
            None => number(digits, 10)?,
        },
        None => match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            "mdash" => '—',
            "ndash" => '–',
            "hellip" => '…',
            "lsquo" => '‘',
            "rsquo" => '’',
            "ldquo" => '“',
            "rdquo" => '”',
            "copy" => '©',
            "middot" => '·',
            "rarr" => '→',
            "times" => '×',
            _ => return None,
        },
    };
    Some((character, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_reads_well() {
        let html = "<!doctype html><html><head><title>The &amp; title</title><style>p{}</style></head><body>\
            <script>if (a < b) { '</p>' }</script><h1>Head</h1><p>Some <b>bold</b>\n text, <a href='https://a.example/?x=1&amp;y'>a link</a>.\
            <p>1 < 2 &lt; 3 &#x41;&#66; &unknown; <!-- <p>no --> yes<br>line</p><ul><li>one<li>two</ul>\
            <pre>a\n  b</pre><table><tr><td>x</td><td>y</td></tr></table><img alt=\"a > picture\" src=x></body></html>";
        insta::assert_snapshot!(text(html));
    }

    #[test]
    fn broken_markup_is_read_too() {
        for (html, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("a <", "a <"),
            ("a <b", "a"),
            ("a <b \"x> c", "a c"),
            ("<script>never ends", ""),
            ("<!-- never ends", ""),
            ("a&b &#1114112; &", "a&b &#1114112; &"),
            ("</p></p>x", "x"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(html in "(<|>|/|!|--|a|pre|head|title|\"|'|=|&|#|;|é|\\s|script|href){0,40}") {
            let _ = text(&html);
        }
    }
}
