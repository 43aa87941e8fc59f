//! Finding texts in a stream of bytes, wherever its pieces are cut, and putting others in their place.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// What is looked for, and what comes in its place.
pub(super) struct Texts {
    needles: Vec<Zeroizing<Vec<u8>>>,
    replacements: Vec<Replacement>,
    finder: Option<AhoCorasick>,
    longest: usize,
    /// So many first bytes of a text may be let through before it is known to be one.
    tolerated: usize,
}

/// What comes in the place of a text.
pub(super) enum Replacement {
    /// As many asterisks: the length of a stream stays what was announced.
    Asterisks,
    /// Another text.
    Text(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Texts({})", self.needles.len())
    }
}

/// Of a secret that comes back so much may be seen. Without it every message that happens to end like a secret begins would wait for the next
/// one, which a client may never ask for.
const TOLERATED_BYTES: usize = 3;

impl Texts {
    /// Texts of at least one byte each, all to be replaced in the same way.
    pub(super) fn new(pairs: Vec<(Zeroizing<Vec<u8>>, Replacement)>) -> Self {
        let (needles, replacements): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(needles.iter().map(|needle| needle.as_slice()));
        let covered = |replacement: &Replacement| matches!(replacement, Replacement::Asterisks);
        Self {
            tolerated: if replacements.iter().all(covered) {
                TOLERATED_BYTES
            } else {
                0
            },
            longest: needles.iter().map(|needle| needle.len()).max().unwrap_or(0),
            // It fails only for more texts than fit into memory, which the bounds of credentials exclude.
            finder: (!needles.is_empty()).then_some(finder).and_then(Result::ok),
            needles,
            replacements,
        }
    }

    /// These and those, each once; of all of them nothing is left but asterisks.
    pub(super) fn and(&self, others: &Self) -> Self {
        let mut all = self.needles.clone();
        for needle in &others.needles {
            if !all.contains(needle) {
                all.push(needle.clone());
            }
        }
        let covered = all
            .into_iter()
            .map(|needle| (needle, Replacement::Asterisks));
        Self::new(covered.collect())
    }

    /// True if nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// Whether any of them is in `bytes`.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        self.finder
            .as_ref()
            .is_some_and(|finder| finder.is_match(bytes))
    }

    /// Whether any of them is in `bytes`, in whatever case.
    pub(super) fn are_in_ignoring_case(&self, bytes: &[u8]) -> bool {
        self.needles.iter().any(|needle| {
            let mut windows = bytes.windows(needle.len());
            windows.any(|window| window.eq_ignore_ascii_case(needle))
        })
    }

    /// A whole text, with those replaced that `wanted` says, by their number; `None` if that is none.
    pub(super) fn replaced(
        &self,
        bytes: &[u8],
        wanted: impl Fn(usize) -> bool,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
        let mut done = 0;
        for found in self.finder.as_ref()?.find_iter(bytes) {
            let number = found.pattern().as_usize();
            if wanted(number) {
                out.extend_from_slice(&bytes[done..found.start()]);
                self.put(number, &mut out);
                done = found.end();
            }
        }
        (done > 0).then(|| {
            out.extend_from_slice(&bytes[done..]);
            out
        })
    }

    fn put(&self, number: usize, out: &mut Vec<u8>) {
        match &self.replacements[number] {
            Replacement::Asterisks => {
                out.resize(out.len() + self.needles[number].len(), b'*');
            }
            Replacement::Text(text) => out.extend_from_slice(text),
        }
    }

    /// Where the bytes at the end begin that may be the beginning of a text, and more of it than is tolerated.
    fn unsettled(&self, bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let to = bytes.len().saturating_sub(self.tolerated);
        (from..to)
            .find(|&start| {
                let rest = &bytes[start..];
                self.needles.iter().any(|needle| {
                    needle[0] == rest[0] && needle.len() > rest.len() && needle.starts_with(rest)
                })
            })
            .unwrap_or(bytes.len())
    }
}

/// One stream, piece by piece.
#[derive(Debug)]
pub(super) struct Rewriter {
    texts: Arc<Texts>,
    /// The end of what went on, as far as it may be the beginning of a text.
    shown: Vec<u8>,
    /// The end of what came, if it may be the beginning of a text.
    held: Vec<u8>,
}

impl Rewriter {
    pub(super) fn new(texts: Arc<Texts>) -> Self {
        Self {
            texts,
            shown: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Looks for other texts from here on. What is held back is looked at with them.
    pub(super) fn change(&mut self, texts: Arc<Texts>) {
        self.texts = texts;
    }

    /// True while something is held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What may go on after the next piece came.
    pub(super) fn push(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() && self.is_clean(&piece) {
            self.show(&piece);
            return piece;
        }
        let mut whole = self.shown.clone();
        whole.append(&mut self.held);
        whole.extend_from_slice(&piece);
        let unsettled = self.texts.unsettled(&whole);
        let settled = self.settle(&whole, unsettled);
        whole.zeroize();
        settled
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> Bytes {
        let mut whole = self.shown.clone();
        whole.append(&mut self.held);
        let settled = self.settle(&whole, whole.len());
        whole.zeroize();
        settled
    }

    /// Whether a piece that is longer than any text holds none, begins none, and ends none.
    fn is_clean(&self, piece: &Bytes) -> bool {
        let ends = &piece[..piece.len().min(self.texts.longest)];
        piece.len() >= self.texts.longest
            && self.texts.unsettled(piece) == piece.len()
            && (self.shown.is_empty() || !self.texts.are_in(&[&self.shown, ends].concat()))
            && !self.texts.are_in(piece)
    }

    fn show(&mut self, bytes: &[u8]) {
        self.shown
            .extend_from_slice(&bytes[bytes.len().saturating_sub(self.texts.tolerated)..]);
        self.shown
            .drain(..self.shown.len().saturating_sub(self.texts.tolerated));
    }

    /// Replaces what is found before `unsettled`, and holds back what begins there. `whole` begins with what was shown already.
    fn settle(&mut self, whole: &[u8], mut unsettled: usize) -> Bytes {
        let shown = self.shown.len();
        let mut out = Vec::with_capacity(whole.len());
        let mut done = 0;
        for found in self
            .texts
            .finder
            .iter()
            .flat_map(|finder| finder.find_iter(whole))
        {
            if found.start() >= unsettled {
                break;
            }
            out.extend_from_slice(&whole[done..found.start()]);
            self.texts.put(found.pattern().as_usize(), &mut out);
            done = found.end();
            if done > unsettled {
                unsettled = done + self.texts.unsettled(&whole[done..]);
            }
        }
        let unsettled = unsettled.max(shown);
        if done < unsettled {
            out.extend_from_slice(&whole[done..unsettled]);
        }
        self.held.extend_from_slice(&whole[unsettled..]);
        let out = Bytes::from(out).slice(shown..);
        self.show(&out);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(pairs: &[(&str, Option<&str>)]) -> Arc<Texts> {
        let bytes = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let pairs = pairs.iter().map(|(needle, text)| {
            let replacement = text.map_or(Replacement::Asterisks, |text| {
                Replacement::Text(bytes(text))
            });
            (bytes(needle), replacement)
        });
        Arc::new(Texts::new(pairs.collect()))
    }

    fn run(texts: &Arc<Texts>, pieces: &[&[u8]]) -> String {
        let mut rewriter = Rewriter::new(texts.clone());
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(rewriter.push(Bytes::copy_from_slice(piece)));
        }
        out.extend(rewriter.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_is_found_wherever_the_stream_is_cut() {
        let texts = texts(&[("placeholder", Some("secret"))]);
        let whole = b"a placeholder, placeplaceholder and placeholde";
        let expected = "a secret, placesecret and placeholde";
        for cut in 1..=whole.len() {
            let pieces: Vec<_> = whole.chunks(cut).collect();
            assert_eq!(run(&texts, &pieces), expected, "in pieces of {cut}");
        }
    }

    #[test]
    fn of_two_texts_of_which_one_begins_the_other_the_longer_is_found() {
        let texts = texts(&[("abcde", None), ("abcdefgh", None)]);
        for cut in 1..=16 {
            let pieces: Vec<_> = b"xabcdefghxabcdef".chunks(cut).collect();
            let told = run(&texts, &pieces);
            assert!(told.len() == 16 && told.ends_with("**f"), "{told}");
            assert!(!told.contains('d') && !told.contains("gh"), "{told}");
        }
    }

    #[test]
    fn a_message_that_ends_like_a_secret_begins_does_not_wait_for_the_next_one() {
        let mut rewriter = Rewriter::new(texts(&[("secret-of-some-length", None)]));
        assert_eq!(rewriter.push(Bytes::from_static(b"says")), "says");
        assert_eq!(rewriter.push(Bytes::from_static(b" sec")), " sec");
        // Of what turns out to be one so much was seen, and no more.
        assert_eq!(
            rewriter.push(Bytes::from_static(b"ret-of-some-length!")),
            "******************!"
        );
        assert_eq!(rewriter.push(Bytes::from_static(b"secr")), "");
        assert_eq!(rewriter.push(Bytes::from_static(b"ets")), "secrets");
    }

    #[test]
    fn what_holds_nothing_goes_on_as_it_came() {
        let mut rewriter = Rewriter::new(texts(&[("secret", None)]));
        let piece = Bytes::from_static(b"nothing in here");
        let settled = rewriter.push(piece.clone());
        assert_eq!(settled.as_ptr(), piece.as_ptr());
        assert!(!rewriter.holds());
    }

    #[test]
    fn a_stream_that_ends_within_a_text_keeps_its_bytes() {
        assert_eq!(run(&texts(&[("secret", None)]), &[b"a secre"]), "a secre");
        assert_eq!(run(&texts(&[]), &[b"any", b"thing"]), "anything");
    }

    proptest! {
        #[test]
        fn the_cuts_of_a_stream_make_no_difference(
            text in "[abc]{0,60}",
            cuts in prop::collection::vec(1usize..7, 1..60),
            needles in prop::collection::vec("[abc]{1,8}", 1..4),
        ) {
            let pairs: Vec<_> = needles.iter().map(|needle| (needle.as_str(), None)).collect();
            let texts = texts(&pairs);
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            let out = run(&texts, &pieces);
            prop_assert_eq!(out.len(), text.len());
            for needle in needles.iter().filter(|needle| needle.len() > TOLERATED_BYTES) {
                prop_assert!(!out.contains(needle.as_str()), "{} in {}", needle, out);
            }
        }
    }
}
