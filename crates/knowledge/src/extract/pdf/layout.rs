//! From characters that stand somewhere on pages to lines and words: a PDF has neither, and often no spaces.

use bailiwick_model::limits::KNOWLEDGE_TEXT_BYTES;

/// How far apart two characters stand, in parts of their size, for a space to be between them.
const SPACE: f64 = 0.18;
/// How far a character stands above or below the one before, to be on another line.
const LINE: f64 = 0.5;
/// How far for there to be an empty line between.
const PARAGRAPH: f64 = 1.75;
/// How far to the left of the end of the one before a character begins, to be on another line all the same: the next column, the next cell.
const BACK: f64 = 1.0;

/// Text, as it becomes more.
#[derive(Debug, Default)]
pub(super) struct Layout {
    text: String,
    last: Option<Place>,
    is_over: bool,
}

/// Where a character stands. Lengths are those of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Where the next one of the same word begins.
    pub(super) end: f64,
    pub(super) size: f64,
}

impl Layout {
    /// Takes what is drawn, in the order in which it is.
    pub(super) fn draw(&mut self, characters: &str, place: Place) {
        let numbers = [place.x, place.y, place.end, place.size];
        if self.is_over || numbers.iter().any(|number| !number.is_finite()) {
            return;
        }
        if self.text.len() + characters.len() + 2 > KNOWLEDGE_TEXT_BYTES {
            self.is_over = true;
            return;
        }
        if let Some(last) = self.last {
            self.text.push_str(between(last, place));
        }
        // One space is enough, however it is made.
        let is_space = characters.chars().all(char::is_whitespace);
        if !is_space {
            self.text.push_str(characters);
        } else if !self.text.ends_with([' ', '\n']) && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.last = Some(place);
    }

    /// Ends a page.
    pub(super) fn end_page(&mut self) {
        let written = self.text.trim_end().len();
        self.text.truncate(written);
        if !self.text.is_empty() && !self.is_over {
            self.text.push_str("\n\n");
        }
        self.last = None;
    }

    /// Whether there was more than is kept.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// All of it, without spaces at the ends of lines.
    pub(super) fn done(self) -> String {
        let lines: Vec<_> = self.text.trim_end().lines().map(str::trim_end).collect();
        lines.join("\n")
    }
}

/// What is between two characters that follow each other.
fn between(last: Place, place: Place) -> &'static str {
    let size = last.size.max(place.size).max(f64::MIN_POSITIVE);
    let (down, right) = ((place.y - last.y).abs() / size, (place.x - last.end) / size);
    if down > PARAGRAPH {
        "\n\n"
    } else if down > LINE || right < -BACK {
        "\n"
    } else if right > SPACE {
        " "
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(layout: &mut Layout, words: &str, mut x: f64, y: f64) {
        for character in words.chars() {
            let place = Place {
                x,
                y,
                end: x + 5.0,
                size: 10.0,
            };
            layout.draw(&character.to_string(), place);
            x += 5.0;
        }
    }

    #[test]
    fn words_and_lines_follow_from_where_characters_stand() {
        let mut layout = Layout::default();
        draw(&mut layout, "one", 0.0, 700.0);
        draw(&mut layout, "two", 18.0, 700.0);
        draw(&mut layout, "sup", 33.0, 703.0);
        draw(&mut layout, "next", 0.0, 688.0);
        draw(&mut layout, " spaced  out ", 20.0, 688.0);
        draw(&mut layout, "far", 0.0, 600.0);
        layout.end_page();
        layout.end_page();
        draw(&mut layout, "page", 0.0, 700.0);
        layout.end_page();
        assert_eq!(layout.done(), "one twosup\nnext spaced out\n\nfar\n\npage");
    }

    #[test]
    fn what_stands_nowhere_is_not_there_and_too_much_is_told() {
        let mut layout = Layout::default();
        let place = Place {
            x: f64::NAN,
            y: 0.0,
            end: 0.0,
            size: 1.0,
        };
        layout.draw("x", place);
        assert_eq!(layout.text, "");
        layout.draw(&"x".repeat(KNOWLEDGE_TEXT_BYTES), Place { x: 0.0, ..place });
        assert!(layout.is_over());
    }
}
