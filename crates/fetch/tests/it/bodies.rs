//! Bodies that are larger than they look, never end, or are not what they say.

use std::io::Write as _;

use bailiwick_fetch::FetchError;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::server::{Manner, Server};
use crate::{Fetched, World, answer};

/// `hello ` a hundred times.
const BROTLI_TEXT: &[u8] = &[
    0x1b, 0x57, 0x02, 0xf8, 0x8d, 0x94, 0x6e, 0xde, 0x44, 0x55, 0x86, 0x96, 0x6c, 0x20, 0x6f, 0x51,
    0x5b, 0x1c, 0x80, 0x41, 0x1c,
];

/// 64 MiB of zeros.
const BROTLI_BOMB: &[u8] = &[
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff,
    0x7f, 0xf0, 0x4f, 0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x9f,
    0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd, 0xfb, 0x3f, 0xfe, 0xff, 0xff, 0xc1, 0x3f, 0x01, 0x10, 0x87,
    0x05, 0x00, 0xba, 0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83, 0x7f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74,
    0xef, 0xff, 0xf8, 0xff, 0xff, 0x07, 0xff, 0x04, 0x40, 0x1c, 0x16, 0x00, 0xe8, 0xde, 0xff, 0xf1,
    0xff, 0xff, 0x0f, 0xfe, 0x09, 0x80, 0x38, 0x2c, 0x00, 0xd0, 0xbd, 0xff, 0xe3, 0xff, 0xff, 0x1f,
    0xfc, 0x13, 0x00, 0x71, 0x58, 0x00, 0xa0, 0x7b, 0xff, 0x37,
];

/// The beginning of a stream that asks for a window of 1 GiB (the extension of large windows), and an empty last block.
const BROTLI_LARGE_WINDOW: &[u8] = &[0x11, 0x1e, 0x03];

async fn get(page: Vec<u8>, most: usize) -> Fetched {
    let server = Server::answering(page).await;
    let world = World::limited(&["docs.test"]).with("docs.test", &server);
    let url = format!("http://docs.test:{}/", server.port());
    world.get_at_most(&url, most).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    answer("200 OK", &[("Content-Encoding", encoding)], body)
}

#[tokio::test]
async fn an_encoding_that_was_offered_is_taken_off() {
    let text = b"hello ".repeat(100);
    for (encoding, body) in [
        ("gzip", gzip(&text)),
        ("X-Gzip", gzip(&text)),
        ("deflate", deflate(&text)),
        ("identity", text.clone()),
        ("gzip", [gzip(&text[..60]), gzip(&text[60..])].concat()),
        ("br", BROTLI_TEXT.to_vec()),
        ("BR", BROTLI_TEXT.to_vec()),
    ] {
        let got = get(encoded(encoding, &body), text.len()).await;
        assert_eq!(got.body(), text, "{encoding}");
    }
}

#[tokio::test]
async fn a_bomb_is_never_held() {
    let zeros = vec![0; 8 << 20];
    for (encoding, body) in [
        ("gzip", gzip(&zeros)),
        ("deflate", deflate(&zeros)),
        ("br", BROTLI_BOMB.to_vec()),
    ] {
        assert!(body.len() < 1 << 20, "it comes small");
        let got = get(encoded(encoding, &body), 1 << 20).await;
        assert!(
            matches!(got.error(), FetchError::TooLarge(_)),
            "{:?}",
            got.page
        );
    }
}

#[tokio::test]
async fn an_encoding_that_was_not_offered_or_is_a_lie_is_none() {
    let twice = gzip(&gzip(b"hello"));
    for page in [
        encoded("br", b"hello"),
        encoded("br", &BROTLI_TEXT[..BROTLI_TEXT.len() - 1]),
        encoded("br", &[BROTLI_TEXT, b"x"].concat()),
        encoded("br", &BROTLI_TEXT.repeat(2)),
        encoded("br", BROTLI_LARGE_WINDOW),
        encoded("br", b""),
        encoded("zstd", b"hello"),
        encoded("gzip, gzip", &twice),
        answer(
            "200 OK",
            &[("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")],
            &twice,
        ),
        encoded("gzip", b"hello"),
        encoded("gzip", &gzip(b"hello")[..12]),
    ] {
        let got = get(page, 1 << 20).await;
        assert!(
            matches!(got.error(), FetchError::Encoding),
            "{:?}",
            got.page
        );
    }
}

#[tokio::test]
async fn a_large_body_is_refused_announced_or_not() {
    let announced = answer("200 OK", &[], &[b'x'; 2000]);
    assert!(matches!(
        get(announced, 1999).await.error(),
        FetchError::TooLarge(1999)
    ));
    let announced = answer("200 OK", &[], &[b'x'; 2000]);
    assert_eq!(get(announced, 2000).await.body().len(), 2000);
    let until_the_end = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 2000]].concat();
    assert!(matches!(
        get(until_the_end, 1999).await.error(),
        FetchError::TooLarge(1999)
    ));
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n";
    let chunked = [&chunks[..], &[b'x'; 2000], b"\r\n0\r\n\r\n"].concat();
    assert!(matches!(
        get(chunked, 1999).await.error(),
        FetchError::TooLarge(1999)
    ));
    let lie = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx".to_vec();
    assert!(matches!(
        get(lie, 1999).await.error(),
        FetchError::TooLarge(1999)
    ));
}

#[tokio::test]
async fn what_is_cut_off_or_no_http_is_no_page() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec();
    assert!(matches!(get(cut, 100).await.error(), FetchError::Http(_)));
    let ssh = b"SSH-2.0-OpenSSH_9.9\r\n".to_vec();
    assert!(matches!(get(ssh, 100).await.error(), FetchError::Http(_)));
    let endless_head = [&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'x'; 1 << 20]].concat();
    assert!(matches!(
        get(endless_head, 100).await.error(),
        FetchError::Http(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn one_byte_after_the_other_does_not_go_on_for_ever() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    for manner in [
        Manner::Drips(head),
        Manner::Drips(b"HTTP/1.1 200 OK\r\nA: ".to_vec()),
        Manner::Silent,
    ] {
        let server = Server::start(manner, None).await;
        let world = World::limited(&["docs.test"]).with("docs.test", &server);
        let url = format!("http://docs.test:{}/", server.port());
        let began = tokio::time::Instant::now();
        let got = world.get(&url).await;
        assert!(matches!(got.error(), FetchError::Timeout), "{:?}", got.page);
        assert!(began.elapsed() <= bailiwick_model::limits::WEB_FETCH_TIME * 2);
    }
}
