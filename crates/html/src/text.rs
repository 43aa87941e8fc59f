//! The text of a page.

use crate::entity::entity;
use crate::scan::{Reader, Tag, scan};

/// All that a page says, with the addresses of its links. Takes time in proportion to its length.
pub fn text(html: &str) -> String {
    let mut reader = Whole(Writer::new(Addresses::Shown));
    scan(html, &mut reader);
    reader.0.done()
}

/// Elements whose contents are no text of a page. What a title holds is text, and no markup.
const HIDDEN: [&str; 7] = [
    "script", "style", "template", "svg", "noscript", "iframe", "title",
];

/// Whether an element of HTML is hidden.
pub(crate) fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name)
}

/// Whether the addresses that links lead to are part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    Shown,
    LeftOut,
}

/// Reads everything.
struct Whole(Writer);

impl Reader for Whole {
    fn hides(&self, tag: &Tag<'_>) -> bool {
        is_hidden(&tag.name)
    }

    fn is_xml(&self) -> bool {
        false
    }

    fn words(&mut self, html: &str) {
        self.0.words(html);
    }

    fn verbatim(&mut self, text: &str) {
        self.0.plain(text);
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        self.0.tag(tag);
    }

    fn hidden(&mut self, tag: &Tag<'_>, inside: &str) {
        if tag.name == "title" {
            self.0.words(inside);
            self.0.break_line(2);
        }
    }
}

/// Lays out text.
#[derive(Debug)]
pub(crate) struct Writer {
    text: String,
    /// White space was seen since the last word.
    space: bool,
    /// Line feeds that come before the next word.
    feeds: usize,
    preformatted: usize,
    addresses: Addresses,
    /// Where the link leads that is open.
    link: Option<String>,
}

impl Writer {
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            text: String::new(),
            space: false,
            feeds: 0,
            preformatted: 0,
            addresses,
            link: None,
        }
    }

    pub(crate) fn done(self) -> String {
        self.text.trim().to_owned()
    }

    /// What was written so far.
    pub(crate) fn written(&self) -> &str {
        &self.text
    }

    pub(crate) fn tag(&mut self, tag: &Tag<'_>) {
        match (tag.name.as_str(), tag.is_end) {
            ("br", _) => self.break_line(1),
            ("a", false) if self.addresses == Addresses::Shown => {
                self.link = tag.attribute("href");
            }
            ("a", true) => self.end_link(),
            ("img", _) => {
                if let Some(text) = tag.attribute("alt").filter(|text| !text.is_empty()) {
                    self.plain(&text);
                }
            }
            ("li", false) => self.mark("* "),
            (name @ ("h1" | "h2" | "h3" | "h4" | "h5" | "h6"), false) => {
                self.break_line(2);
                let level = name
                    .bytes()
                    .last()
                    .map_or(1, |digit| usize::from(digit - b'0'));
                self.mark(&format!("{} ", "#".repeat(level)));
            }
            ("pre", false) => self.begin_preformatted(),
            ("pre", true) => self.end_preformatted(),
            ("td" | "th", true) => self.words(" | "),
            (
                "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "table" | "section"
                | "article" | "blockquote" | "hr" | "header" | "footer" | "nav" | "main" | "form",
                _,
            ) => self.break_line(2),
            ("div" | "li" | "tr" | "dt" | "dd" | "option", _) => self.break_line(1),
            _ => {}
        }
    }

    pub(crate) fn begin_preformatted(&mut self) {
        self.break_line(2);
        self.preformatted += 1;
    }

    pub(crate) fn end_preformatted(&mut self) {
        self.preformatted = self.preformatted.saturating_sub(1);
        self.break_line(2);
    }

    fn end_link(&mut self) {
        if let Some(link) = self.link.take().filter(|link| link.starts_with("http")) {
            self.plain(&format!(" ({link})"));
        }
    }

    pub(crate) fn break_line(&mut self, feeds: usize) {
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

    /// Text with references.
    pub(crate) fn words(&mut self, html: &str) {
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

    /// Text without.
    pub(crate) fn plain(&mut self, text: &str) {
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
