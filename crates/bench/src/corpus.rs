//! What is searched: documents of two environments, and questions. The same ones each time, for everybody.
//!
//! Words are drawn as they are in texts: the n-th is there as often as 1/n.

/// The environments; the first one is searched.
pub(crate) const ENVIRONMENTS: [&str; 2] = ["dev", "prod"];
/// Pieces of one document.
const CHUNKS_OF_DOCUMENT: usize = 10;
/// Words of a piece, and different words.
const WORDS: usize = 150;
const VOCABULARY: u64 = 50_000;

/// A document in pieces.
pub(crate) struct CorpusDocument {
    pub(crate) title: String,
    /// Headings and text of each.
    pub(crate) chunks: Vec<(String, String)>,
}

/// SplitMix64: the same numbers each time.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn word(&mut self) -> String {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = (VOCABULARY as f64).powf(uniform) as u64;
        format!("word{rank}")
    }

    /// So many words.
    pub(crate) fn text(&mut self, words: usize) -> String {
        let words: Vec<_> = (0..words).map(|_| self.word()).collect();
        words.join(" ")
    }
}

/// The documents of an environment, which have so many pieces in all.
pub(crate) fn documents(environment: usize, chunks: usize) -> impl Iterator<Item = CorpusDocument> {
    let mut numbers = Numbers::new(1 + environment as u64);
    (0..chunks / CHUNKS_OF_DOCUMENT).map(move |_| CorpusDocument {
        title: numbers.text(4),
        chunks: (0..CHUNKS_OF_DOCUMENT)
            .map(|_| (numbers.text(3), numbers.text(WORDS)))
            .collect(),
    })
}

/// Questions of so many words.
pub(crate) fn questions(seed: u64, count: usize, words: usize) -> Vec<String> {
    let mut numbers = Numbers::new(1_000_000 + seed);
    (0..count).map(|_| numbers.text(words)).collect()
}
