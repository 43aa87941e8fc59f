//! From bytes to text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::scan::{Reader, Tag, scan};

/// How far in a page says its encoding (HTML, section 13.2.3.2).
const PRESCAN_BYTES: usize = 1024;

/// The text of some bytes: by their byte order mark, else by the `charset` of their media type, else, for HTML, by what the page says of itself,
/// else as UTF-8; what is no UTF-8 either is taken for windows-1252, which gives every byte a character. Nothing fails.
pub fn decode<'a>(media_type: Option<&str>, bytes: &'a [u8]) -> Cow<'a, str> {
    let media_type = media_type.unwrap_or_default();
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding.decode(bytes).0;
    }
    let named = charset(media_type).or_else(|| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(PRESCAN_BYTES)]);
        is_html(media_type, &start).then(|| of_page(&start))?
    });
    if let Some(encoding) = named {
        return encoding.decode_without_bom_handling(bytes).0;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // One byte that is cut off or broken in a long text of UTF-8 does not make it another encoding.
        Err(_) if is_mostly_utf8(bytes) => UTF_8.decode_without_bom_handling(bytes).0,
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Whether a text is HTML, by its media type, or by its beginning where there is none.
pub fn is_html(media_type: &str, text: &str) -> bool {
    let media_type = media_type.trim().to_ascii_lowercase();
    if media_type.starts_with("text/html") || media_type.starts_with("application/xhtml+xml") {
        return true;
    }
    let start: String = text.trim_start().chars().take(15).collect();
    let start = start.to_ascii_lowercase();
    media_type.is_empty() && (start.starts_with("<!doctype html") || start.starts_with("<html"))
}

fn charset(media_type: &str) -> Option<&'static Encoding> {
    let lower = media_type.to_ascii_lowercase();
    let (_, charset) = lower.split_once("charset=")?;
    let charset = charset.trim_start_matches(['"', '\'']);
    let charset = charset.split(['"', '\'', ';', ' ']).next()?;
    Encoding::for_label(charset.as_bytes())
}

/// More of the characters beyond ASCII are whole than are not.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > broken
}

/// What a page says of its own encoding. One that says UTF-16 could not have said so.
fn of_page(start: &str) -> Option<&'static Encoding> {
    let mut reader = Meta(None);
    scan(start, &mut reader);
    let encoding = reader.0?;
    Some(if encoding.is_ascii_compatible() {
        encoding
    } else {
        UTF_8
    })
}

struct Meta(Option<&'static Encoding>);

impl Reader for Meta {
    fn hides(&self, _: &Tag<'_>) -> bool {
        false
    }

    fn is_xml(&self) -> bool {
        false
    }

    fn words(&mut self, _: &str) {}

    fn verbatim(&mut self, _: &str) {}

    fn tag(&mut self, tag: &Tag<'_>) {
        if tag.name != "meta" || self.0.is_some() {
            return;
        }
        let own = tag.attribute("charset");
        let own = own.and_then(|label| Encoding::for_label(label.as_bytes()));
        self.0 = own.or_else(|| charset(&tag.attribute("content")?));
    }

    fn hidden(&mut self, _: &Tag<'_>, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_the_encoding_that_they_are_in() {
        for (media_type, bytes, expected) in [
            (None, &b"plain"[..], "plain"),
            (None, "é".as_bytes(), "é"),
            (None, b"caf\xe9", "café"),
            (Some("text/plain; charset=iso-8859-2"), b"\xb1", "ą"),
            (Some("text/plain; charset=\"utf-8\""), b"\xff", "\u{fffd}"),
            (None, b"\xff\xfea\0b\0", "ab"),
            (None, b"\xef\xbb\xbfa", "a"),
            (
                Some("text/html"),
                b"<meta charset=windows-1251>\xe4",
                "<meta charset=windows-1251>д",
            ),
            (
                None,
                b"<!doctype html><meta http-equiv=x content='text/html; charset=koi8-r'>\xc1",
                "<!doctype html><meta http-equiv=x content='text/html; charset=koi8-r'>а",
            ),
            (
                Some("text/html"),
                b"<meta charset=utf-16>x",
                "<meta charset=utf-16>x",
            ),
            (
                Some("text/plain"),
                b"<meta charset=windows-1251>\xe4",
                "<meta charset=windows-1251>ä",
            ),
            (None, b"\xc3\xa9\xc3\xa9\xc3", "éé\u{fffd}"),
        ] {
            assert_eq!(decode(media_type, bytes), expected, "{media_type:?}");
        }
    }
}
