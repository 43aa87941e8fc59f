//! Goes through JSON that comes in any pieces, and tells of what stands at known places. It keeps the path and nothing else, however long the JSON is.

use bailiwick_model::limits::LLM_ANSWER_DEPTH;
use memchr::memchr2;

/// Bytes of the longest name that leads to a known place.
const NAME_BYTES: usize = 32;
/// Known places are no deeper.
const KNOWN_DEPTH: usize = 8;

/// Where a value stands, in the words of whoever wants to know.
pub(super) trait Places {
    /// A place.
    type Place: Copy + std::fmt::Debug;

    /// What nobody wants to know of.
    const ELSEWHERE: Self::Place;
    /// The whole.
    const ROOT: Self::Place;

    /// The place of a value below `parent`; `name` is none in a list.
    fn below(parent: Self::Place, name: Option<&[u8]>) -> Self::Place;

    /// A map or a list begins there.
    fn begins(&mut self, place: Self::Place);

    /// It is whole.
    fn ends(&mut self, place: Self::Place);

    /// A whole number stands there.
    fn number(&mut self, place: Self::Place, number: u64);

    /// More bytes of a string stand there, as it is written.
    fn text(&mut self, place: Self::Place, bytes: usize);
}

/// The state between two pieces. It takes anything: what is no JSON leads to no known place.
#[derive(Debug)]
pub(super) struct Scanner<P: Places> {
    /// The places of what is open, as far as they can be known.
    open: [P::Place; KNOWN_DEPTH],
    depth: u32,
    /// Which of what is open are maps, the innermost in the lowest bit.
    maps: u128,
    within: Within,
    /// The next string of a map is a name.
    is_name_next: bool,
    name: Name,
    number: Option<u64>,
    is_lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Text,
    Escape,
    Number,
}

/// A name as far as it can be known.
#[derive(Debug, Clone, Copy)]
struct Name {
    bytes: [u8; NAME_BYTES],
    len: usize,
    is_whole: bool,
}

impl Name {
    const EMPTY: Self = Self {
        bytes: [0; NAME_BYTES],
        len: 0,
        is_whole: true,
    };

    fn clear(&mut self) {
        self.len = 0;
        self.is_whole = true;
    }

    fn add(&mut self, piece: &[u8]) {
        let to = self.len + piece.len();
        match self.bytes.get_mut(self.len..to) {
            Some(place) => {
                place.copy_from_slice(piece);
                self.len = to;
            }
            None => self.is_whole = false,
        }
    }

    fn get(&self) -> Option<&[u8]> {
        self.is_whole.then(|| &self.bytes[..self.len])
    }
}

impl<P: Places> Scanner<P> {
    pub(super) fn new() -> Self {
        Self {
            open: [P::ELSEWHERE; KNOWN_DEPTH],
            depth: 0,
            maps: 0,
            within: Within::Nothing,
            is_name_next: false,
            name: Name::EMPTY,
            number: None,
            is_lost: false,
        }
    }

    /// Before another JSON text.
    pub(super) fn restart(&mut self) {
        self.depth = 0;
        self.maps = 0;
        self.within = Within::Nothing;
        self.is_name_next = false;
        self.name.clear();
        self.is_lost = false;
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], teller: &mut P) {
        while let Some(first) = bytes.first()
            && !self.is_lost
        {
            bytes = match self.within {
                Within::Nothing => {
                    self.between(*first, teller);
                    &bytes[1..]
                }
                Within::Escape => {
                    self.within = Within::Text;
                    &bytes[1..]
                }
                Within::Text => self.text(bytes, teller),
                Within::Number => self.digits(bytes, teller),
            };
        }
    }

    fn between(&mut self, byte: u8, teller: &mut P) {
        match byte {
            b'{' => self.push(1, teller),
            b'[' => self.push(0, teller),
            b'}' | b']' => self.pop(teller),
            b',' => self.is_name_next = self.is_in_map(),
            b':' => self.is_name_next = false,
            b'"' => {
                self.within = Within::Text;
                if self.is_name_next {
                    self.name.clear();
                }
            }
            b'0'..=b'9' => {
                self.within = Within::Number;
                self.number = Some(u64::from(byte - b'0'));
            }
            b'-' => {
                self.within = Within::Number;
                self.number = None;
            }
            // Space, and what `true`, `false` and `null` are made of.
            _ => {}
        }
    }

    /// What of a string is there.
    fn text<'b>(&mut self, bytes: &'b [u8], teller: &mut P) -> &'b [u8] {
        let end = memchr2(b'"', b'\\', bytes);
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        if self.is_name_next {
            self.name.add(piece);
        } else if !piece.is_empty() {
            teller.text(self.here(), piece.len());
        }
        let Some(end) = end else { return &[] };
        if bytes[end] == b'\\' {
            self.within = Within::Escape;
            // No name that leads anywhere has one.
            self.name.is_whole &= !self.is_name_next;
        } else {
            self.within = Within::Nothing;
        }
        &bytes[end + 1..]
    }

    fn digits<'b>(&mut self, bytes: &'b [u8], teller: &mut P) -> &'b [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let more = |so_far: u64| so_far.saturating_mul(10).saturating_add(digit);
                    self.number = self.number.map(more);
                }
                b'.' | b'e' | b'E' | b'+' | b'-' => self.number = None,
                _ => {
                    self.within = Within::Nothing;
                    if let Some(number) = self.number.take() {
                        teller.number(self.here(), number);
                    }
                    return &bytes[at..];
                }
            }
        }
        &[]
    }

    fn push(&mut self, map: u128, teller: &mut P) {
        if self.depth == LLM_ANSWER_DEPTH {
            self.is_lost = true;
            return;
        }
        let place = self.here();
        if let Some(open) = self.open.get_mut(self.depth as usize) {
            *open = place;
        }
        self.depth += 1;
        self.maps = (self.maps << 1) | map;
        self.is_name_next = map == 1;
        self.name.clear();
        teller.begins(place);
    }

    fn pop(&mut self, teller: &mut P) {
        self.depth = self.depth.saturating_sub(1);
        self.maps >>= 1;
        self.is_name_next = false;
        if let Some(place) = self.open.get(self.depth as usize) {
            teller.ends(*place);
        }
    }

    fn is_in_map(&self) -> bool {
        self.maps & 1 == 1
    }

    /// The place of the value that begins, or stands, here.
    fn here(&self) -> P::Place {
        let Some(parent) = self.depth.checked_sub(1) else {
            return P::ROOT;
        };
        let Some(parent) = self.open.get(parent as usize) else {
            return P::ELSEWHERE;
        };
        if !self.is_in_map() {
            return P::below(*parent, None);
        }
        match self.name.get() {
            Some(name) => P::below(*parent, Some(name)),
            None => P::ELSEWHERE,
        }
    }
}
