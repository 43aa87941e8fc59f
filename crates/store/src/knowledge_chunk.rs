//! Chunks of documents, which is what is found.

use sqlx::{Any, AssertSqlSafe};

use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::transaction::Transaction;

/// A chunk's number is its connector's times this, and what is below it.
pub(crate) const CHUNKS_OF_CONNECTOR: i64 = 1 << 36;
/// Chunks that are written by one statement: some databases take few values at once.
const CHUNKS_AT_ONCE: usize = 50;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKnowledgeChunk {
    /// The headings that it is under, one a line.
    pub headings: String,
    /// What it says.
    pub body: String,
}

/// Where chunks belong.
pub(crate) struct ChunkPlace<'a> {
    pub(crate) document: &'a str,
    pub(crate) title: &'a str,
    /// The number of the document's connector.
    pub(crate) connector: i64,
    /// The number of the first of them.
    pub(crate) first: i64,
}

/// Takes away the chunks of a document.
pub(crate) async fn delete_chunks(
    transaction: &mut Transaction,
    document: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM knowledge_chunk WHERE document_id = $1")
        .bind(document.to_owned())
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// The statement that writes so many chunks.
fn insertion(dialect: Dialect, chunks: usize) -> String {
    let (columns, width) = match dialect {
        Dialect::Sqlite => ("", 6),
        Dialect::Postgres => (", words", 10),
    };
    let row = |index: usize| {
        let at = |column: usize| format!("${}", index * width + column);
        let own: Vec<_> = (1..=6).map(at).collect();
        let own = own.join(", ");
        match dialect {
            Dialect::Sqlite => format!("({own})"),
            Dialect::Postgres => format!(
                "({own}, setweight(to_tsvector('english', {}), 'A') || setweight(to_tsvector('english', {}), 'B') || \
                 to_tsvector('english', {}) || array_to_tsvector(ARRAY[{}]))",
                at(7),
                at(8),
                at(9),
                at(10)
            ),
        }
    };
    let rows: Vec<_> = (0..chunks).map(row).collect();
    format!(
        "INSERT INTO knowledge_chunk (id, document_id, position, title, headings, body{columns}) VALUES {}",
        rows.join(", ")
    )
}

/// Writes the chunks of a document that has none.
pub(crate) async fn insert_chunks(
    transaction: &mut Transaction,
    dialect: Dialect,
    place: &ChunkPlace<'_>,
    chunks: &[NewKnowledgeChunk],
) -> Result<(), StoreError> {
    let mut numbered = (0_i64..).zip(chunks).peekable();
    while numbered.peek().is_some() {
        let some: Vec<_> = numbered.by_ref().take(CHUNKS_AT_ONCE).collect();
        // It is made of words of this module alone.
        let mut query = sqlx::query::<Any>(AssertSqlSafe(insertion(dialect, some.len())));
        for (position, chunk) in some {
            query = query
                .bind(place.first + position)
                .bind(place.document.to_owned())
                .bind(position)
                .bind(place.title.to_owned())
                .bind(chunk.headings.clone())
                .bind(chunk.body.clone());
            if dialect == Dialect::Postgres {
                query = query
                    .bind(words(place.title))
                    .bind(words(&chunk.headings))
                    .bind(words(&chunk.body))
                    .bind(mark(place.connector));
            }
        }
        query.execute(transaction.connection()).await?;
    }
    Ok(())
}

/// A text as words alone: PostgreSQL would take what looks like a host or a path for one word.
fn words(text: &str) -> String {
    let word = |c: char| if c.is_alphanumeric() { c } else { ' ' };
    text.chars().map(word).collect()
}

/// The lexeme of a connector. No word has a slash in it.
fn mark(number: i64) -> String {
    format!("/{number}")
}
