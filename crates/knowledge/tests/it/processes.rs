//! PDF documents that are read by a process for each: what a server does.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bailiwick_knowledge::{
    BoxFuture, ExtractError, Material, PdfError, PdfText, ReadPdf, extract, pdf_answer, serve_pdf,
};
use flate2::{Compress, Compression, FlushCompress};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::documents::{pages, said, stream};

/// Set for the process that reads.
const READS: &str = "BAILIWICK_TEST_READS_PDF";
/// Memory of such a process.
const MEMORY_BYTES: u64 = 256 << 20;

/// This very program, as the test below.
struct Processes;

impl ReadPdf for Processes {
    fn read(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>> {
        Box::pin(async move {
            let reading = tokio::task::spawn_blocking(move || by_a_process(&bytes));
            reading.await.unwrap_or(Err(PdfError::Broke))
        })
    }
}

fn by_a_process(bytes: &[u8]) -> Result<PdfText, PdfError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests start programs beside the product"
    )]
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command
        .args([
            "processes::one_document_is_read_if_this_is_the_process_for_it",
            "--exact",
            "--nocapture",
        ])
        .env(READS, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // One that broke down takes nothing any more.
    let _ = input.write_all(bytes);
    drop(input);
    let output = child.wait_with_output().unwrap();
    pdf_answer(&output.stderr)
}

/// No test of its own: the others run it. What the harness prints goes to another place than the answer.
#[test]
fn one_document_is_read_if_this_is_the_process_for_it() {
    #[expect(clippy::disallowed_methods, reason = "it is how the process knows")]
    let reads = std::env::var_os(READS).is_some();
    if reads {
        let limit = Rlimit {
            current: Some(MEMORY_BYTES),
            maximum: Some(MEMORY_BYTES),
        };
        setrlimit(Resource::As, limit).unwrap();
        serve_pdf(std::io::stdin().lock(), std::io::stderr().lock()).unwrap();
    }
}

async fn read(bytes: Vec<u8>) -> Result<String, ExtractError> {
    let material = Material {
        bytes,
        media_type: None,
        name: "a.pdf".to_owned(),
    };
    Ok(extract(material, &Processes).await?.text)
}

/// As many times a mebibyte of spaces, in a kilobyte each.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut piece = Vec::with_capacity(1 << 20);
    let spaces = vec![b' '; 1 << 20];
    deflate
        .compress_vec(&spaces, &mut piece, FlushCompress::Full)
        .unwrap();
    let head = [0x78, 0x9c];
    [&head[..], &piece.repeat(mebibytes), &[3, 0]].concat()
}

#[tokio::test]
async fn a_document_that_takes_all_memory_breaks_its_own_process_alone() {
    let packed = bomb(4096);
    assert!(packed.len() < 8 << 20);
    let contents = || stream("/Filter/FlateDecode", &packed);
    let broke = read(pages([contents(), contents()], "null")).await;
    assert!(
        matches!(broke, Err(ExtractError::Pdf(PdfError::Broke))),
        "{broke:?}"
    );
    assert!(read(said()).await.unwrap().starts_with("Quarterly report"));
}
