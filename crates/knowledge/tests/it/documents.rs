//! PDF documents, and what is made of them.

use std::io::Write as _;
use std::time::{Duration, Instant};

use bailiwick_knowledge::{
    ExtractError, Kind, Material, OnThread, PdfError, chunks, extract, read_pdf,
};
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A document of these objects, the first of which is its catalog, with a table of where each is.
fn pdf(objects: &[Vec<u8>], info: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut table = String::from("0000000000 65535 f \n");
    for (at, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", bytes.len()));
        bytes.extend(format!("{} 0 obj\n", at + 1).bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let (start, size) = (bytes.len(), objects.len() + 1);
    let end = format!(
        "xref\n0 {size}\n{table}trailer\n<</Size {size}/Root 1 0 R/Info {info}>>\nstartxref\n{start}\n%%EOF\n"
    );
    bytes.extend(end.bytes());
    bytes
}

pub(crate) fn stream(dictionary: &str, contents: &[u8]) -> Vec<u8> {
    let head = format!("<</Length {}{dictionary}>>\nstream\n", contents.len());
    [head.as_bytes(), contents, b"\nendstream"].concat()
}

/// Two pages, each drawn by one of these.
pub(crate) fn pages(contents: [Vec<u8>; 2], info: &str) -> Vec<u8> {
    let page = |contents: u8| {
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {contents} 0 R/Resources<</Font<</F 5 0 R>>>>>>"
        )
        .into_bytes()
    };
    let [first, second] = contents;
    pdf(
        &[
            b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
            b"<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>".to_vec(),
            page(6),
            page(7),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
            first,
            second,
        ],
        info,
    )
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn said() -> Vec<u8> {
    let first = b"BT /F 12 Tf 72 700 Td (Quarterly) Tj ( report) Tj 0 -14 Td [(of) -400 (two) -400 (w) 20 (ords)] TJ 0 -60 Td (Caf\xe9) Tj ET";
    let second = b"BT /F 12 Tf 72 700 Td (Second page) Tj 2 Tr 0 -14 Td (Outlined) Tj ET";
    let first = stream("/Filter/FlateDecode", &packed(first));
    pages([first, stream("", second)], "<</Title(The report)>>")
}

async fn read(bytes: Vec<u8>) -> Result<bailiwick_knowledge::Extracted, ExtractError> {
    let material = Material {
        bytes,
        media_type: Some("application/pdf".to_owned()),
        name: "a.pdf".to_owned(),
    };
    extract(material, &OnThread::default()).await
}

#[tokio::test]
async fn the_text_of_a_pdf_document_is_read_page_by_page() {
    let extracted = read(said()).await.unwrap();
    assert_eq!(extracted.kind, Kind::Pdf);
    assert_eq!(extracted.title.as_deref(), Some("The report"));
    let expected = "Quarterly report\nof two words\n\nCafé\n\nSecond page\nOutlined";
    assert_eq!(extracted.text, expected);
    assert_eq!(chunks(extracted.kind, &extracted.text).len(), 1);
}

#[test]
fn a_broken_document_is_read_as_far_as_it_goes_or_refused() {
    let whole = said();
    let began = Instant::now();
    // Whatever is cut off, and whatever byte is another one.
    for at in (0..whole.len()).step_by(37) {
        let _ = read_pdf(&whole[..at]);
        let mut other = whole.clone();
        other[at] ^= 0x15;
        let _ = read_pdf(&other);
    }
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(read_pdf(b"%PDF-1.7\n"), Err(PdfError::Malformed));
}

#[test]
fn a_document_without_text_is_told_from_a_broken_one() {
    let empty = || stream("", b"0 0 10 10 re f");
    assert_eq!(
        read_pdf(&pages([empty(), empty()], "null")),
        Err(PdfError::NoText)
    );
}

#[tokio::test]
async fn a_document_that_goes_in_circles_ends() {
    let began = Instant::now();
    let catalog = b"<</Type/Catalog/Pages 2 0 R>>".to_vec();
    let own_child = b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 99999999>>".to_vec();
    let read_own_child = read(pdf(&[catalog.clone(), own_child], "null")).await;
    assert!(read_own_child.is_err());
    // A form that draws itself, twice.
    let form = stream(
        "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 4 0 R>>>>",
        b"/X Do /X Do",
    );
    let objects = [
        catalog,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 4 0 R>>>>>>".to_vec(),
        form,
    ];
    let read_own_form = read(pdf(&objects, "null")).await;
    assert!(read_own_form.is_err());
    assert!(began.elapsed() < Duration::from_secs(130));
}

#[tokio::test]
async fn a_page_that_unpacks_to_many_times_its_size_is_read_in_its_time() {
    let words =
        b"BT /F 12 Tf 72 700 Td (0123456789012345678901234567890123456789) Tj ET\n".repeat(5000);
    let bomb = packed(&words);
    assert!(bomb.len() < words.len() / 50);
    let bomb = || stream("/Filter/FlateDecode", &bomb);
    let began = Instant::now();
    let read = read(pages([bomb(), bomb()], "null")).await.unwrap();
    assert_eq!(read.text.matches("0123456789").count(), 40_000);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn what_is_larger_than_a_document_may_be_is_not_looked_at() {
    let huge = [b"%PDF-1.7\n".to_vec(), vec![b' '; 33 << 20]].concat();
    assert!(matches!(read(huge).await, Err(ExtractError::TooLarge)));
}
