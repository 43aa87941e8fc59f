//! PDF documents.
//!
//! A PDF is a program that draws pages, written by a stranger. Whoever uses the crate says where that runs ([`ReadPdf`]): a server gives a process of
//! its own to each document, which may panic, run out of its stack or of its memory, or never end; [`serve_pdf`] is what such a process does, and
//! [`pdf_answer`] reads what it said. [`OnThread`] is for programs that may do without: a panic fails that document where panics unwind, what never
//! ends keeps a thread, of which there are few, and memory has no bound but the machine's.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bailiwick_model::limits::{
    KNOWLEDGE_DOCUMENT_BYTES, KNOWLEDGE_PDF_STACK_BYTES, KNOWLEDGE_PDF_THREADS, KNOWLEDGE_PDF_TIME,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::BoxFuture;

mod layout;
mod read;

pub use read::read_pdf;

/// Where PDF documents are read.
pub trait ReadPdf: Send + Sync {
    /// Reads one, within [`KNOWLEDGE_PDF_TIME`]. What was begun ends when the future is dropped.
    ///
    /// # Errors
    ///
    /// See [`PdfError`].
    fn read(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>>;
}

/// What a PDF document says.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PdfText {
    /// Its title, if it has one.
    pub title: Option<String>,
    /// The text of its pages, with an empty line between two.
    pub text: String,
}

/// Why a PDF document is not read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
pub enum PdfError {
    /// It is none, or a broken one.
    #[error("it is no PDF document that can be read")]
    Malformed,
    /// It needs a password.
    #[error("it is encrypted")]
    Encrypted,
    /// It has pages, and none of them has text: it is a picture of a document.
    #[error("it has no text, only pictures")]
    NoText,
    /// It has more text than is kept.
    #[error("it has more text than is kept")]
    TooMuchText,
    /// It took longer than [`KNOWLEDGE_PDF_TIME`].
    #[error("it was not read within {} s", KNOWLEDGE_PDF_TIME.as_secs())]
    Timeout,
    /// Whoever read it broke down.
    #[error("it breaks what reads it")]
    Broke,
    /// Those who could read it are still busy with others that never end.
    #[error("nobody is free to read it")]
    Busy,
}

impl PdfError {
    pub(crate) fn is_transient(self) -> bool {
        match self {
            Self::Timeout | Self::Busy => true,
            Self::Malformed | Self::Encrypted | Self::NoText | Self::TooMuchText | Self::Broke => {
                false
            }
        }
    }
}

/// What a process does that reads one document and nothing else: takes it from `input`, and says what became of it to `output`.
///
/// # Errors
///
/// One of the two does not work.
pub fn serve_pdf(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let most = u64::try_from(KNOWLEDGE_DOCUMENT_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    input.take(most).read_to_end(&mut bytes)?;
    serde_json::to_writer(&mut output, &read_pdf(&bytes))?;
    output.flush()
}

/// What such a process said. One that broke down said nothing, or half of it.
///
/// # Errors
///
/// What it said was an error, or is none of its answers.
pub fn pdf_answer(said: &[u8]) -> Result<PdfText, PdfError> {
    serde_json::from_slice(said).unwrap_or(Err(PdfError::Broke))
}

/// Reads PDF documents on threads of this process.
#[derive(Debug, Clone)]
pub struct OnThread {
    free: Arc<Semaphore>,
    work: fn(&[u8]) -> Result<PdfText, PdfError>,
}

impl Default for OnThread {
    fn default() -> Self {
        Self::doing(read_pdf)
    }
}

impl OnThread {
    fn doing(work: fn(&[u8]) -> Result<PdfText, PdfError>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(KNOWLEDGE_PDF_THREADS)),
            work,
        }
    }

    async fn on_thread(&self, bytes: Vec<u8>) -> Result<PdfText, PdfError> {
        let waiting = timeout(KNOWLEDGE_PDF_TIME, Arc::clone(&self.free).acquire_owned());
        let Ok(Ok(permit)) = waiting.await else {
            return Err(PdfError::Busy);
        };
        let (tell, told) = oneshot::channel();
        let work = self.work;
        let thread = std::thread::Builder::new()
            .name("pdf".to_owned())
            .stack_size(KNOWLEDGE_PDF_STACK_BYTES)
            .spawn(move || {
                let read = work(&bytes);
                drop(permit);
                // Nobody may wait any more.
                let _ = tell.send(read);
            });
        thread.map_err(|_| PdfError::Busy)?;
        match timeout(KNOWLEDGE_PDF_TIME, told).await {
            Ok(Ok(read)) => read,
            // It panicked, and dropped what it would have told.
            Ok(Err(_)) => Err(PdfError::Broke),
            Err(_) => Err(PdfError::Timeout),
        }
    }
}

impl ReadPdf for OnThread {
    fn read(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>> {
        Box::pin(self.on_thread(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_what_became_of_a_document() {
        let mut said = Vec::new();
        serve_pdf(&b"no document"[..], &mut said).unwrap();
        assert_eq!(pdf_answer(&said), Err(PdfError::Malformed));
        let text = PdfText {
            title: Some("T".to_owned()),
            text: "x".to_owned(),
        };
        let answer: Result<_, PdfError> = Ok(text.clone());
        let said = serde_json::to_vec(&answer).unwrap();
        assert_eq!(pdf_answer(&said), Ok(text));
        for broken in [&said[..5], b"", b"killed"] {
            assert_eq!(pdf_answer(broken), Err(PdfError::Broke));
        }
    }

    #[tokio::test]
    async fn a_panic_fails_that_document_alone() {
        let pdf = OnThread::doing(|bytes| {
            assert!(bytes.is_empty(), "a hostile document");
            Ok(PdfText::default())
        });
        for _ in 0..KNOWLEDGE_PDF_THREADS + 1 {
            assert_eq!(pdf.read(vec![1]).await, Err(PdfError::Broke));
        }
        assert_eq!(pdf.read(Vec::new()).await, Ok(PdfText::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_given_up_and_the_threads_are_counted() {
        let pdf = OnThread::doing(|_| {
            loop {
                std::thread::park();
            }
        });
        for _ in 0..KNOWLEDGE_PDF_THREADS {
            assert_eq!(pdf.read(Vec::new()).await, Err(PdfError::Timeout));
        }
        assert_eq!(pdf.read(Vec::new()).await, Err(PdfError::Busy));
    }
}
