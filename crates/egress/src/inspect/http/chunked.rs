//! The chunked transfer coding (RFC 9112 section 7.1), as a scanner over bytes that pass.

use super::RequestViolation;

/// The longest line of a chunk size with its extensions, or of a trailer field.
const LINE_BYTES: usize = 4096;
/// The most trailer fields.
const TRAILERS: usize = 64;

/// Where in a chunked body the scanner is.
#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer(usize),
    Over,
}

/// One chunked body.
#[derive(Debug, Default)]
pub(super) struct Chunked(State);

impl Chunked {
    /// How many bytes at the front of `held` are surely part of this body; 0 means that more are needed.
    pub(super) fn advance(&mut self, held: &[u8]) -> Result<usize, RequestViolation> {
        match self.0 {
            State::Size => self.size(held),
            State::Data(left) => {
                let count = held.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - count as u64;
                self.0 = if left == 0 {
                    State::DataEnd
                } else {
                    State::Data(left)
                };
                Ok(count)
            }
            State::DataEnd => match held {
                [b'\r', b'\n', ..] => {
                    self.0 = State::Size;
                    Ok(2)
                }
                [b'\r'] => Ok(0),
                _ => Err(RequestViolation::Framing),
            },
            State::Trailer(count) => self.trailer(held, count),
            State::Over => Ok(0),
        }
    }

    /// True when the next byte belongs to the next request.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.0, State::Over)
    }

    fn size(&mut self, held: &[u8]) -> Result<usize, RequestViolation> {
        let Some(line) = line(held)? else {
            return Ok(0);
        };
        let digits = line.split(|&b| b == b';').next().unwrap_or(line);
        let hexadecimal =
            (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let number = std::str::from_utf8(digits).ok().filter(|_| hexadecimal);
        let size = number
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .ok_or(RequestViolation::Framing)?;
        self.0 = if size == 0 {
            State::Trailer(0)
        } else {
            State::Data(size)
        };
        Ok(line.len() + 2)
    }

    fn trailer(&mut self, held: &[u8], count: usize) -> Result<usize, RequestViolation> {
        let Some(line) = line(held)? else {
            return Ok(0);
        };
        if line.is_empty() {
            self.0 = State::Over;
            return Ok(2);
        }
        if count == TRAILERS || line[0].is_ascii_whitespace() || !line.contains(&b':') {
            return Err(RequestViolation::Framing);
        }
        self.0 = State::Trailer(count + 1);
        Ok(line.len() + 2)
    }
}

/// The line at the front of `held`, without its `\r\n`; bare carriage returns, line feeds and controls are refused.
fn line(held: &[u8]) -> Result<Option<&[u8]>, RequestViolation> {
    let window = &held[..held.len().min(LINE_BYTES)];
    let end = window
        .iter()
        .position(|&b| (b < 0x20 && b != b'\t') || b == 0x7f);
    match end.map(|end| (end, &window[end..])) {
        None if window.len() < LINE_BYTES => Ok(None),
        Some((end, [b'\r', b'\n', ..])) => Ok(Some(&window[..end])),
        Some((_, [b'\r'])) => Ok(None),
        None | Some(_) => Err(RequestViolation::Framing),
    }
}
