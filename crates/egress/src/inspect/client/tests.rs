use proptest::prelude::{Strategy, prop_oneof};

use super::*;

const GOOD: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const EVIL: &str = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";

fn guard() -> ClientGuard {
    ClientGuard::new(HostName::from_normalised("a.test").unwrap(), 80)
}

/// What goes on when the client's bytes come in these pieces; and whether the guard refused at the end.
fn forward(pieces: impl IntoIterator<Item = Vec<u8>>, pause_after_each: bool) -> (Vec<u8>, bool) {
    let mut guard = guard();
    let mut forwarded = Vec::new();
    for piece in pieces {
        let taken = guard.take(&piece);
        if pause_after_each && taken.is_ok() && guard.holds_text() {
            guard.release_harmless();
        }
        while !guard.ready().is_empty() {
            let count = guard.ready().len().div_ceil(2);
            forwarded.extend_from_slice(&guard.ready()[..count]);
            guard.forwarded(count);
        }
        if taken.is_err() {
            return (forwarded, true);
        }
    }
    (forwarded, false)
}

fn bytes_of(text: &str) -> Vec<Vec<u8>> {
    text.bytes().map(|byte| vec![byte]).collect()
}

#[test]
fn what_was_approved_before_a_refusal_still_goes_on() {
    let both = [GOOD, EVIL].concat();
    assert_eq!(
        forward([both.clone().into_bytes()], false),
        (GOOD.into(), true)
    );
    assert_eq!(forward(bytes_of(&both), true), (GOOD.into(), true));
}

#[test]
fn an_end_in_the_middle_of_a_request_forwards_nothing_of_it() {
    let mut guard = guard();
    guard.take(b"GET http://evil.test/").unwrap();
    assert!(
        guard.finish().is_err(),
        "a server may take the end of the stream for the end of the line"
    );
    let mut guard = self::guard();
    guard.take(b"hello").unwrap();
    guard.finish().unwrap();
    assert_eq!(guard.ready(), b"hello");
}

#[test]
fn the_memory_of_a_long_upload_stays_small() {
    let mut guard = guard();
    guard
        .take(b"PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999\r\n\r\n")
        .unwrap();
    for _ in 0..1000 {
        guard.take(&[b'x'; 10_000]).unwrap();
        let count = guard.ready().len();
        guard.forwarded(count);
        assert_eq!(guard.held(), 0);
    }
}

fn requests() -> impl Strategy<Value = Vec<String>> {
    let request = prop_oneof![
        proptest::strategy::Just(GOOD.to_owned()),
        proptest::strategy::Just("\r\nHEAD / HTTP/1.0\r\nhost:a.test:80\r\n\r\n".to_owned()),
        "[a-z]{0,20}".prop_map(|body| format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
        "[a-z]{1,20}".prop_map(|body| format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )),
    ];
    proptest::collection::vec(request, 1..5)
}

proptest::proptest! {
    #[test]
    fn requests_for_the_name_pass_however_they_are_cut(good in requests(), cut in 1usize..50, pause: bool) {
        let stream = good.concat().into_bytes();
        let pieces = stream.chunks(cut).map(<[u8]>::to_vec);
        proptest::prop_assert_eq!(forward(pieces, pause), (stream.clone(), false));
    }

    #[test]
    fn nothing_of_a_request_for_another_name_passes(good in requests(), cut in 1usize..50, pause: bool) {
        let stream = [good.concat(), EVIL.to_owned(), GOOD.to_owned()].concat().into_bytes();
        let pieces = stream.chunks(cut).map(<[u8]>::to_vec);
        proptest::prop_assert_eq!(forward(pieces, pause), (good.concat().into_bytes(), true));
    }

    #[test]
    fn nothing_panics_and_nothing_is_invented(stream: Vec<u8>, cut in 1usize..20, pause: bool) {
        let pieces = stream.chunks(cut).map(<[u8]>::to_vec);
        let (forwarded, _) = forward(pieces, pause);
        proptest::prop_assert!(stream.starts_with(&forwarded));
    }
}
