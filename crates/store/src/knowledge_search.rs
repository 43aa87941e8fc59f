//! Searching what an environment knows.
//!
//! There is one query, and it is made for an [`EnvironmentScope`]: what is found is joined with the connector that it is of, and that with its
//! environment, so a connector that was moved, archived with its environment or deleted is found where it is now or nowhere. What is searched for
//! is words: letters and digits alone get into a statement of either database, quoted, so that nothing of it is syntax.
//!
//! First come chunks that have all words, the best first; if those are too few, chunks that have some of them. To keep a search short only
//! [`KNOWLEDGE_COMPARED`] chunks are compared where more have all words, on PostgreSQL fewer the more words there are, and twice as many where they
//! have some, a share for each word: of words that very many chunks have, which tell little, not all are looked at, and of rare ones all are.

use std::ops::Range;

use bailiwick_model::limits::{
    KNOWLEDGE_COMPARED, KNOWLEDGE_QUERY_WORD_CHARS, KNOWLEDGE_QUERY_WORDS, KNOWLEDGE_RANKED,
    KNOWLEDGE_SNIPPET_WORDS,
};
use bailiwick_model::{KnowledgeConnectorId, KnowledgeDocumentId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};

use crate::dialect::Dialect;
use crate::environment_scope::EnvironmentScope;
use crate::error::StoreError;
use crate::knowledge_chunk::CHUNKS_OF_CONNECTOR;
use crate::row::Columns;

/// Words that are in nearly every English text, and tell none from another.
const COMMON: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "been", "before", "but", "by", "can", "could", "did", "do", "does", "for", "from", "had",
    "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my", "no", "not",
    "of", "on", "or", "our", "out", "should", "so", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "us", "was", "we", "were", "what", "when",
    "where", "which", "who", "why", "will", "with", "would", "you", "your",
];

/// Words to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeQuery {
    words: Vec<String>,
}

/// What is found: a chunk of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct KnowledgeHit {
    /// Whose document it is.
    pub connector: KnowledgeConnectorId,
    /// What the connector is called.
    pub connector_name: String,
    /// What the connector reads: a word.
    pub connector_kind: String,
    /// The document.
    pub document: KnowledgeDocumentId,
    /// What its source calls it.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Where people find it.
    pub link: Option<String>,
    /// When it changed, as its source says.
    pub updated_at: Option<Timestamp>,
    /// The place of the chunk in it, from 0.
    pub position: i64,
    /// The headings that the chunk is under, the outermost first.
    pub headings: Vec<String>,
    /// The part of the chunk that has the words.
    pub snippet: Vec<SnippetPart>,
    /// How well it fits, among the results of this search alone: 1 for the best, then 1/2, 1/3 and so on. By what a database brings it to its place is
    /// not told: that comes from what others know too.
    pub score: f64,
}

/// A part of a snippet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnippetPart {
    /// What stands around words that were searched for.
    Around(String),
    /// A word that was searched for, or a form of it.
    Match(String),
}

impl SnippetPart {
    /// What it says.
    pub fn text(&self) -> &str {
        match self {
            Self::Around(text) | Self::Match(text) => text,
        }
    }
}

impl KnowledgeQuery {
    /// The words of a text; `None` if it has none. Words that are in every text count only where there are no others.
    pub fn of(text: &str) -> Option<Self> {
        let mut all: Vec<String> = Vec::new();
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            let word: String = word.chars().take(KNOWLEDGE_QUERY_WORD_CHARS).collect();
            let word = word.to_lowercase();
            if !word.is_empty() && !all.contains(&word) && all.len() < 8 * KNOWLEDGE_QUERY_WORDS {
                all.push(word);
            }
        }
        let telling = all.iter().filter(|word| !COMMON.contains(&word.as_str()));
        let telling: Vec<_> = telling.cloned().collect();
        let mut words = if telling.is_empty() { all } else { telling };
        words.truncate(KNOWLEDGE_QUERY_WORDS);
        (!words.is_empty()).then_some(Self { words })
    }

    /// As `dialect` takes it, for chunks that have all of these words.
    fn all(words: &[String], dialect: Dialect) -> String {
        Self::joined(words, dialect, " ")
    }

    /// For chunks that have one of these words.
    fn any(words: &[String], dialect: Dialect) -> String {
        Self::joined(words, dialect, " OR ")
    }

    /// FTS5 takes words in quotes, and PostgreSQL (`websearch_to_tsquery`) too.
    fn joined(words: &[String], dialect: Dialect, with: &str) -> String {
        let quoted = |word: &String| match dialect {
            Dialect::Sqlite => format!("\"{word}\""),
            Dialect::Postgres => word.clone(),
        };
        let words: Vec<_> = words.iter().map(quoted).collect();
        words.join(with)
    }
}

impl KnowledgeHit {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let headings: String = row.value("headings")?;
        let snippet: String = row.value("snippet")?;
        Ok(Self {
            connector: row.id("connector_id")?,
            connector_name: row.value("connector_name")?,
            connector_kind: row.value("connector_kind")?,
            document: row.id("document_id")?,
            key: row.value("document_key")?,
            title: row.value("title")?,
            link: row.value("link")?,
            updated_at: row.optional_time("updated_at")?,
            position: row.value("position")?,
            headings: headings.lines().map(str::to_owned).collect(),
            snippet: parts(&snippet),
            score: 0.0,
        })
    }
}

/// Documents have no control characters, so these are the database's.
fn parts(marked: &str) -> Vec<SnippetPart> {
    let mut parts = Vec::new();
    let mut push = |text: &str, part: fn(String) -> SnippetPart| {
        if !text.is_empty() {
            parts.push(part(text.to_owned()));
        }
    };
    let mut rest = marked;
    while let Some((around, after)) = rest.split_once('\u{1}') {
        push(around, SnippetPart::Around);
        let (matched, after) = after.split_once('\u{2}').unwrap_or((after, ""));
        push(matched, SnippetPart::Match);
        rest = after;
    }
    push(rest, SnippetPart::Around);
    parts
}

/// Hits with the scores of their places.
fn ranked(found: Vec<KnowledgeHit>) -> Vec<KnowledgeHit> {
    let places = (1_u32..).map(|place| 1.0 / f64::from(place));
    let ranked = found.into_iter().zip(places);
    ranked
        .map(|(hit, score)| KnowledgeHit { score, ..hit })
        .collect()
}

/// Chunks of an environment (`$1`, `$2`) that have what the value with this number asks for, at most so many, and how well each fits.
fn hits(dialect: Dialect, value: usize, most: i64) -> String {
    let own = "knowledge_connector k JOIN environment e ON e.id = k.environment_id AND e.archived_at IS NULL";
    let here = "k.organization_id = $1 AND k.environment_id = $2 AND k.deleted_at IS NULL";
    match dialect {
        Dialect::Sqlite => format!(
            "SELECT hit, score FROM (SELECT knowledge_index.rowid AS hit, -bm25(knowledge_index, 8.0, 4.0, 1.0) AS score \
             FROM {own} CROSS JOIN knowledge_index WHERE {here} AND knowledge_index MATCH ${value} \
             AND knowledge_index.rowid >= k.number * {CHUNKS_OF_CONNECTOR} AND knowledge_index.rowid < (k.number + 1) * {CHUNKS_OF_CONNECTOR} \
             LIMIT {most})"
        ),
        // Of words that are in every text nothing is left, and then everything would be found.
        Dialect::Postgres => format!(
            "SELECT hit, CAST(ts_rank_cd(words, websearch_to_tsquery('english', ${value})) AS DOUBLE PRECISION) AS score FROM (\
             SELECT c.id AS hit, c.words FROM {own} CROSS JOIN LATERAL (SELECT id, words FROM knowledge_chunk WHERE words @@ (\
             websearch_to_tsquery('english', ${value}) && CAST('''/' || k.number || '''' AS tsquery)) LIMIT {most}) c \
             WHERE {here} AND numnode(websearch_to_tsquery('english', ${value})) > 0 LIMIT {most}) f"
        ),
    }
}

/// The best chunks that have some of the words of the values with these numbers, of so many that have each; at most `$4`.
///
/// PostgreSQL reads all words of a chunk to rank it. It ranks those few that have most of the words, and rare ones of them; that takes the index alone,
/// and counts among what is found here.
fn best_of_some(dialect: Dialect, values: Range<usize>, most: i64) -> String {
    let each = |score: &str| {
        let one = |value: usize| {
            let hits = hits(dialect, value, most);
            format!("SELECT hit, {score} FROM ({hits}) w{value}")
        };
        let each: Vec<_> = values.clone().map(one).collect();
        each.join(" UNION ALL ")
    };
    match dialect {
        Dialect::Sqlite => format!(
            "SELECT hit, SUM(score) AS score FROM ({}) b GROUP BY hit ORDER BY 2 DESC, hit LIMIT $4",
            each("score")
        ),
        Dialect::Postgres => format!(
            "SELECT r.hit, r.weight * (1 + ts_rank(c.words, websearch_to_tsquery('english', $3))) AS score FROM (\
             SELECT hit, SUM(weight) AS weight FROM ({}) b GROUP BY hit ORDER BY 2 DESC, hit LIMIT {KNOWLEDGE_RANKED}) r \
             JOIN knowledge_chunk c ON c.id = r.hit ORDER BY 2 DESC, 1 LIMIT $4",
            each(&format!(
                "ln(CAST(2 AS DOUBLE PRECISION) + CAST({most} AS DOUBLE PRECISION) / COUNT(*) OVER ()) AS weight"
            ))
        ),
    }
}

/// What is shown of the best of `found`; the words to be marked are in `$3`.
fn shown(dialect: Dialect, found: &str) -> String {
    let (snippet, index) = match dialect {
        Dialect::Sqlite => (
            format!(
                "snippet(knowledge_index, 2, char(1), char(2), '…', {KNOWLEDGE_SNIPPET_WORDS})"
            ),
            "CROSS JOIN knowledge_index ON knowledge_index.rowid = h.hit AND knowledge_index MATCH $3",
        ),
        Dialect::Postgres => (
            format!(
                "ts_headline('english', c.body, websearch_to_tsquery('english', $3), 'StartSel=' || chr(1) || ', StopSel=' || chr(2) || \
                 ', MaxWords={KNOWLEDGE_SNIPPET_WORDS}, MinWords=20')"
            ),
            "",
        ),
    };
    format!(
        "WITH h AS ({found}) SELECT k.id AS connector_id, k.name AS connector_name, k.kind AS connector_kind, d.id AS document_id, d.document_key, \
         d.title, d.link, d.updated_at, c.position, c.headings, {snippet} AS snippet, h.score, h.hit FROM h {index} \
         JOIN knowledge_chunk c ON c.id = h.hit JOIN knowledge_document d ON d.id = c.document_id JOIN knowledge_connector k ON k.id = d.connector_id \
         WHERE k.organization_id = $1 AND k.environment_id = $2 ORDER BY h.score DESC, h.hit"
    )
}

impl EnvironmentScope<'_> {
    /// Whether the environment has a knowledge connector at all.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn has_knowledge(&self) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 AS one FROM knowledge_connector k JOIN environment e ON e.id = k.environment_id AND e.archived_at IS NULL \
             WHERE k.organization_id = $1 AND k.environment_id = $2 AND k.deleted_at IS NULL LIMIT 1",
        )
        .bind(self.scope.organization.to_string())
        .bind(self.environment.to_string())
        .fetch_optional(self.scope.pool)
        .await?;
        Ok(row.is_some())
    }

    /// Searches what an environment knows: the best results, the best first, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn search_knowledge(
        &self,
        query: &KnowledgeQuery,
        limit: u32,
    ) -> Result<Vec<KnowledgeHit>, StoreError> {
        let dialect = self.scope.dialect;
        let words = i64::try_from(query.words.len()).unwrap_or(i64::MAX - 1);
        let most = match dialect {
            Dialect::Sqlite => KNOWLEDGE_COMPARED,
            // Ranking a chunk takes time for each word.
            Dialect::Postgres => 2 * KNOWLEDGE_COMPARED / (words + 1),
        };
        let best = format!(
            "SELECT hit, score FROM ({}) b ORDER BY score DESC, hit LIMIT $4",
            hits(dialect, 5, most)
        );
        let all = [KnowledgeQuery::all(&query.words, dialect)];
        let mut found = self
            .searched(query, &shown(dialect, &best), limit, &all)
            .await?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        if found.len() >= wanted || query.words.len() < 2 {
            return Ok(ranked(found));
        }
        // What has some of the words comes after what has all of them, whatever it scores.
        for hit in self.some_words(query, limit).await? {
            let is_known = |known: &KnowledgeHit| {
                known.document == hit.document && known.position == hit.position
            };
            if found.len() < wanted && !found.iter().any(is_known) {
                found.push(hit);
            }
        }
        Ok(ranked(found))
    }

    /// Chunks that have some of the words: what each word counts for is added up.
    async fn some_words(
        &self,
        query: &KnowledgeQuery,
        limit: u32,
    ) -> Result<Vec<KnowledgeHit>, StoreError> {
        let dialect = self.scope.dialect;
        let words = i64::try_from(query.words.len()).unwrap_or(i64::MAX);
        let share = 2 * KNOWLEDGE_COMPARED / words.max(2);
        let best = best_of_some(dialect, 5..5 + query.words.len(), share);
        let words: Vec<_> = query
            .words
            .chunks(1)
            .map(|word| KnowledgeQuery::all(word, dialect))
            .collect();
        self.searched(query, &shown(dialect, &best), limit, &words)
            .await
    }

    async fn searched(
        &self,
        query: &KnowledgeQuery,
        statement: &str,
        limit: u32,
        wanted: &[String],
    ) -> Result<Vec<KnowledgeHit>, StoreError> {
        // It is made of words of this module alone; what is searched for is bound.
        let mut asked = sqlx::query::<Any>(AssertSqlSafe(statement.to_owned()))
            .bind(self.scope.organization.to_string())
            .bind(self.environment.to_string())
            .bind(KnowledgeQuery::any(&query.words, self.scope.dialect))
            .bind(i64::from(limit));
        for words in wanted {
            asked = asked.bind(words.clone());
        }
        let rows = asked.fetch_all(self.scope.pool).await?;
        rows.iter().map(KnowledgeHit::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        KnowledgeQuery::of(text)
            .map(|query| query.words)
            .unwrap_or_default()
    }

    #[test]
    fn what_is_searched_for_is_words_and_never_syntax() {
        assert_eq!(
            words("How do we rotate the signing keys?"),
            ["rotate", "signing", "keys"]
        );
        assert_eq!(
            words("title:x\" OR (a* NEAR/2 b) -c ^d | !e <-> f'g\\"),
            ["title", "x", "near", "2", "b", "c", "d", "e", "f", "g"]
        );
        assert_eq!(words("the who"), ["the", "who"]);
        assert_eq!(words("Café CAFÉ naïve"), ["café", "naïve"]);
        assert!(KnowledgeQuery::of(" \"*-()\0\u{1} ").is_none());
        let many: Vec<_> = (0..100).map(|n| format!("w{n}")).collect();
        assert_eq!(words(&many.join(" ")).len(), KNOWLEDGE_QUERY_WORDS);
        assert_eq!(
            words(&"x".repeat(1000))[0].len(),
            KNOWLEDGE_QUERY_WORD_CHARS
        );
    }

    #[test]
    fn a_snippet_has_parts_also_where_a_mark_is_missing() {
        let around = |text: &str| SnippetPart::Around(text.to_owned());
        let matched = |text: &str| SnippetPart::Match(text.to_owned());
        assert_eq!(
            parts("a \u{1}b\u{2} c"),
            [around("a "), matched("b"), around(" c")]
        );
        assert_eq!(parts("\u{1}b"), [matched("b")]);
        assert_eq!(parts(""), []);
    }
}
