//! Pages of Confluence in their storage format: XHTML with elements of its own.

use crate::scan::{Reader, Tag, scan};
use crate::text::{Addresses, Writer, is_hidden};

/// The text of a page of Confluence. Lines of headings begin with as many `#` as their level says. Takes time in proportion to its length.
pub fn storage(xhtml: &str) -> String {
    let mut reader = Storage {
        writer: Writer::new(Addresses::LeftOut),
        target: None,
    };
    scan(xhtml, &mut reader);
    reader.writer.done()
}

struct Storage {
    writer: Writer,
    /// What the open link leads to, which is its text if it has no other.
    target: Option<String>,
}

impl Reader for Storage {
    /// Settings of macros and ids of tasks are nothing that a reader of the page sees.
    fn hides(&self, tag: &Tag<'_>) -> bool {
        let is_setting = matches!(
            tag.name.as_str(),
            "ac:parameter" | "ac:placeholder" | "ac:task-id" | "ac:task-uuid" | "ac:task-status"
        );
        is_setting || is_hidden(&tag.name)
    }

    fn is_xml(&self) -> bool {
        true
    }

    fn words(&mut self, html: &str) {
        self.writer.words(html);
    }

    fn verbatim(&mut self, text: &str) {
        self.writer.plain(text);
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        match (tag.name.as_str(), tag.is_end) {
            ("ac:plain-text-body", false) => self.writer.begin_preformatted(),
            ("ac:plain-text-body", true) => self.writer.end_preformatted(),
            ("ac:structured-macro" | "ac:rich-text-body" | "ac:task-list", _) => {
                self.writer.break_line(2);
            }
            ("ac:task", _) => self.writer.break_line(1),
            ("ac:link", false) => self.target = None,
            ("ac:link-body" | "ac:plain-text-link-body", false) => self.target = None,
            ("ac:link", true) => {
                if let Some(target) = self.target.take() {
                    self.writer.plain(&target);
                }
            }
            ("ri:page" | "ri:blog-post", false) => {
                self.target = tag.attribute("ri:content-title");
            }
            ("ri:attachment", false) => self.target = tag.attribute("ri:filename"),
            ("time", false) => {
                self.writer
                    .plain(&tag.attribute("datetime").unwrap_or_default());
            }
            _ => self.writer.tag(tag),
        }
    }

    /// The title of a panel or of a part that unfolds is seen.
    fn hidden(&mut self, tag: &Tag<'_>, inside: &str) {
        if tag.name == "ac:parameter" && tag.attribute("ac:name").as_deref() == Some("title") {
            self.writer.break_line(1);
            self.writer.words(inside);
            self.writer.break_line(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_well() {
        let page = "<h1>Rollout</h1><p>See <ac:link><ri:page ri:content-title=\"Plan &amp; goals\"/></ac:link> or \
            <ac:link><ri:page ri:content-title=\"X\"/><ac:plain-text-link-body><![CDATA[the <old> one]]></ac:plain-text-link-body></ac:link>, \
            due <time datetime=\"2026-01-02\"/>.</p><ac:structured-macro ac:name=\"code\"><ac:parameter ac:name=\"language\">sh</ac:parameter>\
            <ac:plain-text-body><![CDATA[if a < b\n  run && go]]></ac:plain-text-body></ac:structured-macro>\
            <ac:structured-macro ac:name=\"info\"><ac:parameter ac:name=\"title\">Beware</ac:parameter><ac:rich-text-body><p>Hot&eacute;</p>\
            </ac:rich-text-body></ac:structured-macro><ac:task-list><ac:task><ac:task-id>7</ac:task-id><ac:task-status>complete</ac:task-status>\
            <ac:task-body>Do it</ac:task-body></ac:task></ac:task-list>";
        let expected = "# Rollout\n\nSee Plan & goals or the <old> one, due 2026-01-02.\n\nif a < b\n  run && go\n\nBeware\n\nHoté\n\nDo it";
        assert_eq!(storage(page), expected);
    }

    #[test]
    fn what_is_cut_off_is_read_as_far_as_it_goes() {
        assert_eq!(storage("<p>a<![CDATA[b"), "ab");
        assert_eq!(storage("<p>a<ac:parameter ac:name='x'>b"), "a");
    }
}
