//! Syncs of knowledge connectors on this server, and the processes that read PDF documents.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use bailiwick_control::{Checkouts, Control, GitCheckouts, KnowledgeReaders, KnowledgeSyncs};
use bailiwick_knowledge::{BoxFuture, PdfError, PdfText, ReadPdf, pdf_answer, serve_pdf};
use bailiwick_model::limits::{
    KNOWLEDGE_PDF_ANSWER_BYTES, KNOWLEDGE_PDF_MEMORY_BYTES, KNOWLEDGE_PDF_PROCESSES,
    KNOWLEDGE_PDF_STACK_BYTES, KNOWLEDGE_PDF_TIME,
};
use bailiwick_sandbox::role::{PipedLimits, PipedRole, taken_piped};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What a process is called that reads one PDF document.
const ROLE: &str = "bailiwick-pdf";

/// Syncs that run here.
pub(super) struct Syncs {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Syncs {
    /// Begins to sync what is due.
    pub(super) fn begin(control: &Arc<Control>, checkouts: Option<GitCheckouts>) -> Self {
        let checkouts = checkouts.map(|checkouts| Arc::new(checkouts) as Arc<dyn Checkouts>);
        let readers = KnowledgeReaders {
            pdf: Arc::new(InProcess::default()),
            checkouts,
        };
        let syncs = KnowledgeSyncs::new(Arc::clone(control), readers);
        let stop = CancellationToken::new();
        Self {
            running: tokio::spawn(syncs.run(stop.clone())),
            stop,
        }
    }

    /// Gives back what is being synced.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // It bounds its own end.
        let _ = self.running.await;
    }
}

/// Reads PDF documents in a process each, which has no more than its memory and its time, and no descriptor but two pipes.
struct InProcess {
    free: Semaphore,
}

impl Default for InProcess {
    fn default() -> Self {
        Self {
            free: Semaphore::new(KNOWLEDGE_PDF_PROCESSES),
        }
    }
}

impl InProcess {
    async fn in_process(&self, bytes: Vec<u8>) -> Result<PdfText, PdfError> {
        let Ok(Ok(_place)) = timeout(KNOWLEDGE_PDF_TIME, self.free.acquire()).await else {
            return Err(PdfError::Busy);
        };
        // Dropped, at the latest with this future, it ends; with it end its pipes, and who waits for them.
        let mut process = PipedRole::start(ROLE).map_err(|error| {
            tracing::warn!(%error, "no process can be had that reads a PDF document");
            PdfError::Busy
        })?;
        let (mut input, output) = process.pipes().ok_or(PdfError::Broke)?;
        let given = tokio::task::spawn_blocking(move || input.write_all(&bytes));
        let said = tokio::task::spawn_blocking(move || {
            let most = u64::try_from(KNOWLEDGE_PDF_ANSWER_BYTES).unwrap_or(u64::MAX);
            let mut said = Vec::new();
            output.take(most).read_to_end(&mut said).map(|_| said)
        });
        let both = async { tokio::join!(given, said) };
        match timeout(KNOWLEDGE_PDF_TIME, both).await {
            // It may have said what is wrong before it has read all.
            Ok((_, Ok(Ok(said)))) => pdf_answer(&said),
            Ok((_, Ok(Err(_)) | Err(_))) => Err(PdfError::Broke),
            Err(_) => Err(PdfError::Timeout),
        }
    }
}

impl ReadPdf for InProcess {
    fn read(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>> {
        Box::pin(self.in_process(bytes))
    }
}

/// Reads one PDF document, if this process was started to; `None` if not.
pub(crate) fn serve_if_pdf() -> Option<ExitCode> {
    let limits = PipedLimits {
        memory_bytes: KNOWLEDGE_PDF_MEMORY_BYTES,
        processor_seconds: KNOWLEDGE_PDF_TIME.as_secs(),
    };
    match taken_piped(ROLE, limits) {
        Ok(false) => None,
        Ok(true) => Some(match read_one() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// With the stack that a document may need.
fn read_one() -> io::Result<()> {
    let thread = std::thread::Builder::new()
        .stack_size(KNOWLEDGE_PDF_STACK_BYTES)
        .spawn(|| serve_pdf(io::stdin().lock(), io::stdout().lock()))?;
    thread
        .join()
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
