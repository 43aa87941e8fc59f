//! What a page is about, and where it leads.

use std::ops::Range;

use crate::scan::{Reader, Tag, scan};
use crate::text::{Addresses, Writer, is_hidden, text};

/// A page, as it is searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Its title, one line.
    pub title: Option<String>,
    /// What it says, without what stands around on every page of a site. Lines of headings begin with as many `#` as their level says.
    pub text: String,
    /// Its links, in order, those of its navigation too.
    pub links: Vec<Link>,
    /// The address that its author wants it to be known by, as written.
    pub canonical: Option<String>,
    /// What relative addresses are relative to, if not to the page, as written.
    pub base: Option<String>,
    /// What it says of itself to those who gather pages.
    pub indexing: Indexing,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, as written.
    pub address: String,
    /// What for.
    pub purpose: Purpose,
}

/// Whether a link is one to go along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is.
    Follow,
    /// Its author asks not to (`rel=nofollow`).
    NoFollow,
}

/// What a page asks of those who gather pages, in its element `meta` or, in the same words, in `X-Robots-Tag`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indexing {
    /// It is not to be found.
    pub no_index: bool,
    /// Its links are not to be gone along.
    pub no_follow: bool,
}

/// Reads a page, with at most so many links. Takes time in proportion to its length.
pub fn page(html: &str, most_links: usize) -> Page {
    let mut reader = Searched {
        page: Page::default(),
        writer: Writer::new(Addresses::LeftOut),
        most_links,
        around: 0,
        inner: 0,
        main: None,
    };
    scan(html, &mut reader);
    reader.done(html)
}

impl Indexing {
    /// Of a list of directives: `noindex, nofollow`, `none`, others.
    pub fn parse(directives: &str) -> Self {
        let mut said = Self::default();
        for directive in directives.split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            let is_none = directive == "none";
            said.no_index |= is_none || directive == "noindex";
            said.no_follow |= is_none || directive == "nofollow";
        }
        said
    }

    /// What either asks.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            no_index: self.no_index || other.no_index,
            no_follow: self.no_follow || other.no_follow,
        }
    }
}

struct Searched {
    page: Page,
    writer: Writer,
    most_links: usize,
    /// How many elements are open that stand around the page's matter.
    around: usize,
    /// How many are open that hold it.
    inner: usize,
    /// Where in the text the page's `main` is.
    main: Option<Range<usize>>,
}

/// What stands around a page's matter, as its element says.
fn is_around(name: &str) -> bool {
    matches!(name, "nav" | "aside" | "footer" | "dialog")
}

impl Searched {
    fn done(self, html: &str) -> Page {
        let mut page = self.page;
        let main = self.main.and_then(|main| {
            let end = main.end.min(self.writer.written().len());
            self.writer.written().get(main.start..end)
        });
        page.text = match main.map(str::trim) {
            Some(main) if !main.is_empty() => main.to_owned(),
            Some(_) | None => self.writer.done(),
        };
        // A page that is all navigation, or never ends it, is read as it is.
        if page.text.is_empty() {
            page.text = text(html);
        }
        page
    }

    fn head(&mut self, tag: &Tag<'_>) {
        let lower = |name| tag.attribute(name).unwrap_or_default().to_ascii_lowercase();
        match tag.name.as_str() {
            "base" if self.page.base.is_none() => self.page.base = tag.attribute("href"),
            "link" if self.page.canonical.is_none() && has(&lower("rel"), "canonical") => {
                self.page.canonical = tag.attribute("href");
            }
            "meta" if lower("name") == "robots" => {
                let said = Indexing::parse(&lower("content"));
                self.page.indexing = self.page.indexing.and(said);
            }
            "a" | "area" if self.page.links.len() < self.most_links => {
                let is_unwanted = has(&lower("rel"), "nofollow");
                let purpose = if is_unwanted {
                    Purpose::NoFollow
                } else {
                    Purpose::Follow
                };
                let link = tag.attribute("href");
                let link = link.map(|address| Link { address, purpose });
                self.page.links.extend(link);
            }
            _ => {}
        }
    }

    /// Elements that say where the page's matter is. What begins `main` is inside of nothing that was left open.
    fn part(&mut self, tag: &Tag<'_>) {
        let name = tag.name.as_str();
        let is_header = name == "header" && self.inner == 0;
        match (name, tag.is_end) {
            ("main", false) => {
                (self.around, self.inner) = (0, 1);
                if self.main.is_none() {
                    self.main = Some(self.writer.written().len()..usize::MAX);
                }
            }
            ("main", true) => {
                self.inner = 0;
                let end = self.writer.written().len();
                if let Some(main) = &mut self.main {
                    main.end = main.end.min(end);
                }
            }
            ("article", false) => self.inner += 1,
            ("article", true) => self.inner = self.inner.saturating_sub(1),
            (_, false) if is_header || is_around(name) => self.around += 1,
            (_, true) if is_header || is_around(name) => {
                self.around = self.around.saturating_sub(1);
            }
            _ => {}
        }
    }
}

/// Whether a list of words has one.
fn has(words: &str, word: &str) -> bool {
    words
        .split_ascii_whitespace()
        .any(|other| other.eq_ignore_ascii_case(word))
}

impl Reader for Searched {
    fn hides(&self, tag: &Tag<'_>) -> bool {
        is_hidden(&tag.name)
    }

    fn is_xml(&self) -> bool {
        false
    }

    fn words(&mut self, html: &str) {
        if self.around == 0 {
            self.writer.words(html);
        }
    }

    fn verbatim(&mut self, text: &str) {
        if self.around == 0 {
            self.writer.plain(text);
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        if !tag.is_end {
            self.head(tag);
        }
        self.part(tag);
        if self.around == 0 {
            self.writer.tag(tag);
        }
    }

    fn hidden(&mut self, tag: &Tag<'_>, inside: &str) {
        if tag.name == "title" && self.page.title.is_none() {
            let mut title = Writer::new(Addresses::LeftOut);
            title.words(inside);
            self.page.title = Some(title.done()).filter(|title| !title.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "<!doctype html><html><head><title>The\n title &amp; more</title><link rel='canonical' href='/a?x=1&amp;y'>\
        <meta name=robots content='noindex, max-snippet:5'><base href=/b/></head><body><header><a href=/>Home</a></header>\
        <nav><a href=/one>One</a> <a rel='noopener nofollow' href=two>Two</a></nav><main><header><h1>Head</h1></header><p>Said <a href=three>here</a>.</p>\
        <aside>Beside</aside><h2>Next</h2><pre>a\n  b</pre></main><footer>All rights</footer></body></html>";

    #[test]
    fn a_page_is_what_its_main_part_says() {
        let page = page(PAGE, 10);
        assert_eq!(page.title.as_deref(), Some("The title & more"));
        assert_eq!(page.text, "# Head\n\nSaid here.\n\n## Next\n\na\n  b");
        assert_eq!(page.canonical.as_deref(), Some("/a?x=1&y"));
        assert_eq!(page.base.as_deref(), Some("/b/"));
        let expected = Indexing {
            no_index: true,
            no_follow: false,
        };
        assert_eq!(page.indexing, expected);
        let links: Vec<_> = page.links.iter().map(|link| &*link.address).collect();
        assert_eq!(links, ["/", "/one", "two", "three"]);
        assert_eq!(page.links[2].purpose, Purpose::NoFollow);
    }

    #[test]
    fn links_are_counted() {
        assert_eq!(page(&"<a href=x>".repeat(100), 7).links.len(), 7);
    }

    #[test]
    fn a_page_without_a_main_part_is_all_but_what_stands_around() {
        for (html, expected) in [
            ("<nav>x</nav>said<footer>y</footer>", "said"),
            (
                "<article><header><h1>H</h1></header>said</article>",
                "# H\n\nsaid",
            ),
            ("<nav>never ends", "never ends"),
            ("<nav>never ends <main>said", "said"),
            ("<main></main>said", "said"),
            ("<p>a</nav></footer>b", "a\n\nb"),
            ("<head><title>t</title><p>said", "said"),
        ] {
            assert_eq!(page(html, 10).text, expected, "{html}");
        }
    }

    #[test]
    fn depth_and_length_cost_no_more_than_they_are() {
        for part in [
            "<div>",
            "<nav>",
            "<main>",
            "<a href='",
            "<a \"",
            "<",
            "<!--",
            "&",
            "<title>",
            "<script>",
        ] {
            let html = part.repeat(200_000);
            let began = std::time::Instant::now();
            let _ = page(&html, 1000);
            assert!(began.elapsed().as_secs() < 10, "{part}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(html in "(<|>|/|!|--|a|pre|main|nav|title|meta|name=robots|\"|'|=|&|#|;|é|\\s|script|href){0,40}") {
            let _ = page(&html, 5);
        }
    }
}
