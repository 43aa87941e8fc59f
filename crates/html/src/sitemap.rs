//! Lists of pages, as sites publish them (the protocol of sitemaps.org, version 0.9).

use crate::entity::plain;
use crate::scan::{Reader, Tag, scan};

/// A list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// The pages.
    pub pages: Vec<Listed>,
    /// The addresses of other lists, as written: it is an index.
    pub sitemaps: Vec<String>,
    /// Whether entries were left out, since there are more than were asked for.
    pub is_cut: bool,
}

/// A page in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its address, as written.
    pub address: String,
    /// When it last changed, as written.
    pub last_modified: Option<String>,
}

/// Reads a list, with at most so many entries. What is no XML has none. Takes time in proportion to its length: nothing is expanded.
pub fn sitemap(xml: &str, most: usize) -> Sitemap {
    let mut reader = Entries {
        sitemap: Sitemap::default(),
        most,
        field: Field::Other,
        address: String::new(),
        modified: String::new(),
    };
    scan(xml, &mut reader);
    reader.sitemap
}

/// Whose text is read.
enum Field {
    Address,
    Modified,
    Other,
}

struct Entries {
    sitemap: Sitemap,
    most: usize,
    field: Field,
    address: String,
    modified: String,
}

/// The name without the prefix of its namespace.
fn local<'a>(tag: &'a Tag<'_>) -> &'a str {
    tag.name.rsplit(':').next().unwrap_or_default()
}

impl Entries {
    fn begin(&mut self) {
        self.address.clear();
        self.modified.clear();
    }

    fn take(&mut self) -> Option<(String, String)> {
        let address = self.address.trim().to_owned();
        let modified = self.modified.trim().to_owned();
        self.begin();
        if address.is_empty() {
            return None;
        }
        if self.sitemap.pages.len() + self.sitemap.sitemaps.len() >= self.most {
            self.sitemap.is_cut = true;
            return None;
        }
        Some((address, modified))
    }
}

impl Reader for Entries {
    fn hides(&self, _: &Tag<'_>) -> bool {
        false
    }

    fn is_xml(&self) -> bool {
        true
    }

    fn words(&mut self, html: &str) {
        self.verbatim(&plain(html));
    }

    fn verbatim(&mut self, text: &str) {
        match self.field {
            Field::Address => self.address.push_str(text),
            Field::Modified => self.modified.push_str(text),
            Field::Other => {}
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        // An image of a page has a `loc` too, of another namespace.
        let is_foreign = tag.name.contains(':') && !tag.name.starts_with("sm:");
        self.field = Field::Other;
        match (local(tag), tag.is_end) {
            _ if is_foreign => {}
            ("url" | "sitemap", false) => self.begin(),
            ("loc", false) => self.field = Field::Address,
            ("lastmod", false) => self.field = Field::Modified,
            ("url", true) => {
                let page = self.take().map(|(address, modified)| Listed {
                    address,
                    last_modified: Some(modified).filter(|modified| !modified.is_empty()),
                });
                self.sitemap.pages.extend(page);
            }
            ("sitemap", true) => {
                let other = self.take().map(|(address, _)| address);
                self.sitemap.sitemaps.extend(other);
            }
            _ => {}
        }
    }

    fn hidden(&mut self, _: &Tag<'_>, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_lists_of_lists_are_read() {
        let xml = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a \"b\">]><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
            <url><loc> https://a.test/?x=1&amp;y=2 </loc><lastmod>2026-01-02</lastmod><image:image><image:loc>https://a.test/i.png</image:loc></image:image></url>\
            <url><loc><![CDATA[https://a.test/b]]></loc></url><url></url><url><loc>&a;</loc></url></urlset>";
        let read = sitemap(xml, 10);
        let addresses: Vec<_> = read.pages.iter().map(|page| &*page.address).collect();
        assert_eq!(
            addresses,
            ["https://a.test/?x=1&y=2", "https://a.test/b", "&a;"]
        );
        assert_eq!(read.pages[0].last_modified.as_deref(), Some("2026-01-02"));
        assert!(!read.is_cut);
        let index =
            "<sitemapindex><sitemap><loc>https://a.test/1.xml</loc></sitemap></sitemapindex>";
        assert_eq!(sitemap(index, 10).sitemaps, ["https://a.test/1.xml"]);
    }

    #[test]
    fn entries_are_counted() {
        let xml = "<url><loc>x</loc></url>".repeat(5);
        let read = sitemap(&xml, 3);
        assert_eq!((read.pages.len(), read.is_cut), (3, true));
    }
}
