//! Cutting a text into pieces that are found one by one.

use std::ops::Range;

use bailiwick_model::limits::{
    KNOWLEDGE_CHUNK_CHARS, KNOWLEDGE_CHUNK_HEADINGS_BYTES, KNOWLEDGE_HEADING_CHARS,
    KNOWLEDGE_HEADINGS, KNOWLEDGE_HEADINGS_BYTES, KNOWLEDGE_SECTIONS,
};

use crate::Kind;

/// A piece of a text. The pieces of a text follow each other without a gap: joined they are the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its place among the pieces, from 0.
    pub position: usize,
    /// The bytes of the text that it is; both ends are ends of characters.
    pub range: Range<usize>,
    /// The headings that it is under, the outermost first. Those that it begins with are among them.
    pub headings: Vec<String>,
}

/// Cuts a text by its headings, paragraphs and lines, into pieces of at most [`KNOWLEDGE_CHUNK_CHARS`] characters. The same text is always cut the same way.
/// Of a text with more than [`KNOWLEDGE_SECTIONS`] sections the last ones are pieces together. A piece has no more than
/// [`KNOWLEDGE_CHUNK_HEADINGS_BYTES`] of headings, and all have no more than [`KNOWLEDGE_HEADINGS_BYTES`].
pub fn chunks(kind: Kind, text: &str) -> Vec<Chunk> {
    let mut cutter = Cutter::new(text, KNOWLEDGE_CHUNK_CHARS);
    lines(kind, text, |line| cutter.take(line));
    cutter.done()
}

/// A line, its line feed included.
struct Line {
    range: Range<usize>,
    is: Is,
}

enum Is {
    /// A heading of this level, and what it says.
    Heading(usize, String),
    Blank,
    Words,
}

/// The lines of a text, one after the other: all at once would take many times the text. Only kinds whose headings are marked have headings, and not
/// inside of a fence.
fn lines(kind: Kind, text: &str, mut take: impl FnMut(Line)) {
    let has_headings = match kind {
        Kind::Markdown | Kind::Html => true,
        Kind::Text | Kind::Code | Kind::Pdf => false,
    };
    let (mut fence, mut start) = (None, 0);
    // The next line says whether it is a heading, if the one before it was none of its paragraph.
    let (mut last, mut is_alone): (Option<Line>, bool) = (None, true);
    for line in text.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        if kind == Kind::Markdown {
            fence = fenced(fence, line);
            if let (None, Some(last), true) = (fence, &mut last, is_alone) {
                underline(text, last, line);
            }
        }
        let is = match heading(line) {
            Some((level, words)) if has_headings && fence.is_none() => Is::Heading(level, words),
            _ if line.trim().is_empty() => Is::Blank,
            _ => Is::Words,
        };
        if let Some(before) = last.replace(Line { range, is }) {
            is_alone = !matches!(before.is, Is::Words);
            take(before);
        }
    }
    last.into_iter().for_each(take);
}

/// Makes a heading of the line before, if this line underlines it and it is a paragraph of its own (CommonMark, section 4.3).
fn underline(text: &str, last: &mut Line, line: &str) {
    let line = line.trim_end();
    let level = match line.bytes().next() {
        Some(b'=') if line.bytes().all(|byte| byte == b'=') => 1,
        Some(b'-') if line.len() > 2 && line.bytes().all(|byte| byte == b'-') => 2,
        Some(_) | None => return,
    };
    if matches!(last.is, Is::Words) {
        last.is = Is::Heading(level, in_path(&text[last.range.clone()]));
    }
}

/// The words of a heading, as a path has them.
fn in_path(words: &str) -> String {
    words.trim().chars().take(KNOWLEDGE_HEADING_CHARS).collect()
}

/// The fence that is open after a line: its character and how often it stands there (CommonMark, section 4.5).
fn fenced(open: Option<(char, usize)>, line: &str) -> Option<(char, usize)> {
    let trimmed = line.trim_start();
    let mark = trimmed.chars().next().filter(|c| matches!(c, '`' | '~'));
    let Some(mark) = mark else { return open };
    let count = trimmed.chars().take_while(|c| *c == mark).count();
    if count < 3 {
        return open;
    }
    match open {
        None => Some((mark, count)),
        Some((other, least)) => {
            let ends = other == mark && count >= least && trimmed[count..].trim().is_empty();
            if ends { None } else { open }
        }
    }
}

/// Level and words of a heading (CommonMark, section 4.2).
fn heading(line: &str) -> Option<(usize, String)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let words = &line[level..];
    if !(1..=KNOWLEDGE_HEADINGS).contains(&level) || !words.starts_with([' ', '\t']) {
        return None;
    }
    let words = in_path(words.trim().trim_end_matches('#'));
    (!words.is_empty()).then_some((level, words))
}

struct Cutter<'a> {
    text: &'a str,
    most_chars: usize,
    chunks: Vec<Chunk>,
    /// How many pieces headings have begun.
    sections: usize,
    /// Headings that are open, with their levels.
    path: Vec<(usize, String)>,
    /// Bytes of headings that pieces may still have.
    headings_left: usize,
    start: usize,
    end: usize,
    chars: usize,
    /// There is more in the piece than headings.
    has_words: bool,
    /// Where a paragraph of the piece last ended, and how many characters came before.
    paragraph: Option<(usize, usize)>,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str, most_chars: usize) -> Self {
        Self {
            text,
            most_chars,
            chunks: Vec::new(),
            sections: 0,
            path: Vec::new(),
            headings_left: KNOWLEDGE_HEADINGS_BYTES,
            start: 0,
            end: 0,
            chars: 0,
            has_words: false,
            paragraph: None,
        }
    }

    fn take(&mut self, line: Line) {
        if let Is::Heading(level, words) = line.is {
            // Headings that follow each other stay together, with what they are the headings of.
            if self.has_words && self.sections < KNOWLEDGE_SECTIONS {
                self.sections += 1;
                self.cut();
            }
            self.path.retain(|(other, _)| *other < level);
            self.path.push((level, words));
            self.append(line.range);
            return;
        }
        let is_blank = matches!(line.is, Is::Blank);
        self.append(line.range);
        self.has_words |= !is_blank;
        if is_blank && self.chars > 0 {
            self.paragraph = Some((self.end, self.chars));
        }
    }

    fn append(&mut self, line: Range<usize>) {
        let chars = self.text[line.clone()].chars().count();
        if self.chars + chars > self.most_chars {
            self.make_room(chars);
        }
        self.end = line.end;
        self.chars += chars;
        while self.chars > self.most_chars {
            self.cut_inside();
        }
    }

    /// Ends the piece where a paragraph last ended, or else here.
    fn make_room(&mut self, chars: usize) {
        if let Some((at, before)) = self.paragraph {
            let (end, all) = (self.end, self.chars);
            (self.end, self.chars) = (at, before);
            self.cut();
            (self.end, self.chars) = (end, all - before);
            self.has_words = self.chars > 0;
        }
        if self.chars > 0 && self.chars + chars > self.most_chars {
            self.cut();
        }
    }

    /// Ends the piece in the middle of a line that is too long: behind white space in its last quarter, or else at the last character that fits.
    fn cut_inside(&mut self) {
        let piece = &self.text[self.start..self.end];
        let mut at = self.start;
        let (mut behind_space, mut counted) = (None, 0);
        for (offset, character) in piece.char_indices().take(self.most_chars) {
            counted += 1;
            at = self.start + offset + character.len_utf8();
            if character.is_whitespace() && counted * 4 > self.most_chars * 3 {
                behind_space = Some((at, counted));
            }
        }
        let (at, before) = behind_space.unwrap_or((at, counted));
        let (end, all) = (self.end, self.chars);
        (self.end, self.chars) = (at, before);
        self.cut();
        (self.end, self.chars) = (end, all - before);
    }

    fn cut(&mut self) {
        if self.end > self.start {
            let headings = self.headings();
            self.chunks.push(Chunk {
                position: self.chunks.len(),
                range: self.start..self.end,
                headings,
            });
        }
        (self.start, self.chars, self.has_words, self.paragraph) = (self.end, 0, false, None);
    }

    /// The innermost of the headings that are open, as many as there is room for.
    fn headings(&mut self) -> Vec<String> {
        let mut left = KNOWLEDGE_CHUNK_HEADINGS_BYTES.min(self.headings_left);
        let mut headings = Vec::new();
        for (_, words) in self.path.iter().rev() {
            // A separator stands behind each.
            let Some(less) = left.checked_sub(words.len() + 1) else {
                break;
            };
            self.headings_left -= left - less;
            left = less;
            headings.push(words.clone());
        }
        headings.reverse();
        headings
    }

    fn done(mut self) -> Vec<Chunk> {
        self.cut();
        self.chunks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(kind: Kind, text: &str) -> Vec<Chunk> {
        let chunks = chunks(kind, text);
        let joined: String = chunks
            .iter()
            .map(|chunk| &text[chunk.range.clone()])
            .collect();
        assert_eq!(joined, text);
        for (at, chunk) in chunks.iter().enumerate() {
            assert_eq!(chunk.position, at);
            assert!(!chunk.range.is_empty());
            let chars = text[chunk.range.clone()].chars().count();
            assert!(chars <= KNOWLEDGE_CHUNK_CHARS, "{chars}");
            assert!(chunk.headings.len() <= KNOWLEDGE_HEADINGS);
            assert!(headings_bytes(chunk) <= KNOWLEDGE_CHUNK_HEADINGS_BYTES);
        }
        let headings: usize = chunks.iter().map(headings_bytes).sum();
        assert!(headings <= KNOWLEDGE_HEADINGS_BYTES, "{headings}");
        chunks
    }

    fn headings_bytes(chunk: &Chunk) -> usize {
        chunk.headings.iter().map(String::len).sum()
    }

    fn shown(kind: Kind, text: &str) -> Vec<(String, String)> {
        let show = |chunk: &Chunk| {
            (
                chunk.headings.join(" > "),
                text[chunk.range.clone()].to_owned(),
            )
        };
        check(kind, text).iter().map(show).collect()
    }

    #[test]
    fn a_text_is_cut_at_its_headings() {
        let text = "intro\n\n# One\n## Two\n\nwords\n```sh\n# no heading\n```\n### Three ###\nmore\n# Four\n";
        let expected = [
            ("", "intro\n\n"),
            (
                "One > Two",
                "# One\n## Two\n\nwords\n```sh\n# no heading\n```\n",
            ),
            ("One > Two > Three", "### Three ###\nmore\n"),
            ("Four", "# Four\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(shown(Kind::Markdown, text), expected);
        assert_eq!(shown(Kind::Code, text).len(), 1);
        assert_eq!(shown(Kind::Markdown, ""), []);
    }

    #[test]
    fn an_underlined_line_is_a_heading() {
        let text = "Title\n=====\n\nwords\n\nPart\n----\nmore\ntable\n---\n";
        let expected = [
            ("Title", "Title\n=====\n\nwords\n\n"),
            ("Title > Part", "Part\n----\nmore\ntable\n---\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(shown(Kind::Markdown, text), expected);
    }

    #[test]
    fn a_long_section_is_cut_between_paragraphs() {
        let paragraph = format!("{}\n\n", "word ".repeat(100));
        let text = format!("# H\n{}", paragraph.repeat(10));
        let shown = shown(Kind::Markdown, &text);
        assert_eq!(shown.len(), 4);
        for (path, text) in &shown {
            assert_eq!(path, "H");
            assert!(text.ends_with("\n\n"));
        }
    }

    #[test]
    fn a_long_line_is_cut_between_words_and_never_in_a_character() {
        let words = "wörter ".repeat(1000);
        for (_, text) in &shown(Kind::Text, &words) {
            assert!(text.ends_with(' '));
        }
        let one_word = "é".repeat(5000);
        assert_eq!(shown(Kind::Text, &one_word).len(), 4);
    }

    #[test]
    fn headings_of_a_text_that_is_all_headings_are_copied_so_many_times() {
        let long = "x".repeat(KNOWLEDGE_HEADING_CHARS);
        let text = format!("# {long}\n{}", "## a\nb\n".repeat(KNOWLEDGE_SECTIONS * 4));
        let chunks = check(Kind::Markdown, &text);
        let more = text.len() / KNOWLEDGE_CHUNK_CHARS;
        assert!(
            chunks.len() <= KNOWLEDGE_SECTIONS + more + 1,
            "{}",
            chunks.len()
        );
        assert_eq!(chunks[1].headings, [long, "a".to_owned()]);
    }

    #[test]
    fn headings_that_are_larger_than_what_is_under_them_are_left_out() {
        let long = "é".repeat(KNOWLEDGE_HEADING_CHARS);
        let levels = 1..=KNOWLEDGE_HEADINGS;
        let path: String = levels
            .map(|level| format!("{} {level}{long}\n", "#".repeat(level)))
            .collect();
        let text = format!(
            "{path}{}",
            "###### x\nwords\n".repeat(KNOWLEDGE_SECTIONS / 2)
        );
        let chunks = check(Kind::Markdown, &text);
        // The innermost stay, as many as fit.
        assert_eq!(chunks[1].headings.last().unwrap(), "x");
        assert!((2..KNOWLEDGE_HEADINGS).contains(&chunks[1].headings.len()));
        assert!(chunks.last().unwrap().headings.is_empty());
    }

    proptest! {
        #[test]
        fn joined_chunks_are_the_text(text in "(#|##| |\\n|\\n\\n|```|word|wörter |é{0,900}|x{0,900}|[a-z ]{0,400}|\\PC){0,40}") {
            for kind in [Kind::Markdown, Kind::Html, Kind::Text, Kind::Code, Kind::Pdf] {
                let once = check(kind, &text);
                prop_assert_eq!(once, chunks(kind, &text));
            }
        }
    }
}
