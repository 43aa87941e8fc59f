use super::*;

/// The extension `server_name` with these entries, each of type 0.
fn server_names(names: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = names
        .iter()
        .flat_map(|name| [&[0][..], &be16(name.len()), name].concat())
        .collect();
    [&[0, 0][..], &be16(list.len() + 2), &be16(list.len()), &list].concat()
}

fn be16(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_be_bytes()
}

fn message(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    if let Some(extensions) = extensions {
        body.extend(be16(extensions.len()));
        body.extend(extensions);
    }
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, length[1], length[2], length[3]][..], &body].concat()
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &be16(payload.len()), payload].concat()
}

fn named(name: &[u8]) -> Vec<u8> {
    record(&message(Some(&server_names(&[name]))))
}

fn check(bytes: &[u8], expected: Result<Option<&[u8]>, MalformedHello>) {
    let expected = expected.map(|name| ClientHello::Complete {
        server_name: name.map(<[u8]>::to_vec),
        length: bytes.len(),
    });
    assert_eq!(parse(bytes), expected);
}

#[test]
fn the_server_name_is_found() {
    check(&named(b"example.com"), Ok(Some(b"example.com")));
    let other_first = [&[0, 10, 0, 1, 9][..], &server_names(&[b"a.example"])].concat();
    check(
        &record(&message(Some(&other_first))),
        Ok(Some(b"a.example")),
    );
}

#[test]
fn a_hello_without_a_server_name_is_complete() {
    check(&record(&message(None)), Ok(None));
    check(&record(&message(Some(&[]))), Ok(None));
    check(&record(&message(Some(&[0, 10, 0, 0]))), Ok(None));
}

#[test]
fn every_prefix_is_partial() {
    let hello = named(b"example.com");
    for end in 0..hello.len() {
        assert_eq!(
            parse(&hello[..end]),
            Ok(ClientHello::Partial),
            "prefix of {end} bytes"
        );
    }
}

#[test]
fn one_byte_records_are_reassembled() {
    let bytes: Vec<u8> = message(Some(&server_names(&[b"example.com"])))
        .iter()
        .flat_map(|&b| record(&[b]))
        .collect();
    check(&bytes, Ok(Some(b"example.com")));
    for end in 0..bytes.len() {
        assert_eq!(
            parse(&bytes[..end]),
            Ok(ClientHello::Partial),
            "prefix of {end} bytes"
        );
    }
}

#[test]
fn what_follows_the_hello_is_left_alone() {
    let hello = named(b"example.com");
    let with_early_data = [&hello[..], &[23, 3, 3, 0, 1, 0]].concat();
    let Ok(ClientHello::Complete { length, .. }) = parse(&with_early_data) else {
        panic!("not complete")
    };
    assert_eq!(length, hello.len());
}

#[test]
fn two_server_names_are_malformed() {
    check(
        &record(&message(Some(&server_names(&[b"a.example", b"b.example"])))),
        Err(MalformedHello::ServerName),
    );
    let twice = [server_names(&[b"a.example"]), server_names(&[b"b.example"])].concat();
    check(
        &record(&message(Some(&twice))),
        Err(MalformedHello::ServerName),
    );
    check(
        &record(&message(Some(&server_names(&[b""])))),
        Err(MalformedHello::ServerName),
    );
}

#[test]
fn a_second_message_in_the_record_is_malformed() {
    let mut two = message(Some(&server_names(&[b"a.example"])));
    two.extend(message(Some(&server_names(&[b"b.example"]))));
    check(&record(&two), Err(MalformedHello::Message));
    let partial = record(&two);
    assert_eq!(
        parse(&partial[..60]),
        Err(MalformedHello::Message),
        "the announced length already says so"
    );
}

#[test]
fn lengths_that_lie_are_malformed() {
    check(&[22, 3, 1, 0, 0], Err(MalformedHello::Record));
    check(&[22, 3, 1, 0x40, 1], Err(MalformedHello::Record));
    check(&[23, 3, 1, 0, 5], Err(MalformedHello::Record));
    check(&[22, 2], Err(MalformedHello::Record));
    check(&record(&[2, 0, 0, 1, 0]), Err(MalformedHello::Message));
    check(&record(&[1, 1, 0, 1]), Err(MalformedHello::TooLarge));
    let mut thirty_four = record(&[&[1, 0, 0, 25][..], &[0; 25]].concat());
    assert_eq!(thirty_four.len(), 34);
    check(&thirty_four, Err(MalformedHello::Length));
    thirty_four[8] = 26;
    assert_eq!(
        parse(&thirty_four),
        Ok(ClientHello::Partial),
        "the rest may come in another record"
    );
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = parse(&bytes);
        let _ = parse(&record(&bytes[..bytes.len().min(1 << 14)]));
    }

    #[test]
    fn a_verdict_never_changes_with_more_bytes(flips in proptest::collection::vec((0usize..90, 0u8..=255), 0..3)) {
        let mut hello = named(b"example.com");
        for (at, value) in flips {
            let at = at % hello.len();
            hello[at] = value;
        }
        let whole = parse(&hello);
        for end in 0..hello.len() {
            match parse(&hello[..end]) {
                Ok(ClientHello::Partial) => {}
                early => proptest::prop_assert_eq!(&early, &whole),
            }
        }
    }
}
