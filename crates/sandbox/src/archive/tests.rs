use std::fs::File;
use std::io::{Read, Seek, Write};

use super::*;

fn meta() -> Meta {
    Meta {
        mode: 0o1755,
        uid: 1000,
        gid: 7,
        changed: (-1, 999_999_999),
        opaque: true,
        attributes: vec![(b"user.a".to_vec(), b"\0b".to_vec())],
    }
}

/// One of each.
fn written() -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let copy = file.try_clone().unwrap();
    let mut output = Output::new(copy.into(), 1 << 20).unwrap();
    output.place(b"/tmp", &meta()).unwrap();
    output.directory(b"d\n", &meta()).unwrap();
    output.file(b"f", &meta(), 10).unwrap();
    output.piece(7, 3).unwrap();
    output.bytes(b"abc").unwrap();
    output.piece(0, 0).unwrap();
    output.link(b"l", &meta(), b"../../x").unwrap();
    output.up().unwrap();
    output.hard_link(b"h", b"d\n/f").unwrap();
    output.fifo(b"i", &meta()).unwrap();
    output.nothing(b"w").unwrap();
    output.up().unwrap();
    output.end().unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Every record, as long as it is in order.
fn read(bytes: &[u8]) -> Result<Vec<Record>, Errno> {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let mut input = Input::new(file.into())?;
    let mut records = Vec::new();
    loop {
        let record = input.next()?;
        if let Record::File { bytes, .. } = record {
            let mut end = 0;
            while let Some(piece) = input.piece(end, bytes)? {
                end = piece.offset + piece.length;
                input.fill(&mut vec![0; usize::try_from(piece.length).unwrap()])?;
            }
        }
        let is_over = record == Record::End;
        records.push(record);
        if is_over {
            return Ok(records);
        }
    }
}

#[test]
fn what_was_written_is_read() {
    let records = read(&written()).unwrap();
    let name = |name: &[u8]| name.to_vec();
    assert_eq!(
        records,
        [
            Record::Place {
                path: name(b"/tmp"),
                meta: meta()
            },
            Record::Directory {
                name: name(b"d\n"),
                meta: meta()
            },
            Record::File {
                name: name(b"f"),
                meta: meta(),
                bytes: 10
            },
            Record::Link {
                name: name(b"l"),
                meta: meta(),
                target: name(b"../../x")
            },
            Record::Up,
            Record::HardLink {
                name: name(b"h"),
                path: name(b"d\n/f")
            },
            Record::Fifo {
                name: name(b"i"),
                meta: meta()
            },
            Record::Nothing { name: name(b"w") },
            Record::Up,
            Record::End,
        ]
    );
}

#[test]
fn an_archive_that_was_cut_or_changed_anywhere_is_damaged() {
    let whole = written();
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "cut at {length}");
    }
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 0x10;
        assert!(read(&changed).is_err(), "changed at {position}");
    }
    assert!(read(&[&whole[..], b"x"].concat()).is_err(), "longer");
}

#[test]
fn no_name_leads_anywhere_else() {
    for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &[b'x'; 256]] {
        assert!(!is_name(bad), "{bad:?}");
    }
    assert!(is_name(b"a\n..b") && is_name(&[0xff; 255]));
}

#[test]
fn what_is_above_the_limit_is_refused() {
    let file = tempfile::tempfile().unwrap();
    let mut output = Output::new(file.into(), 100).unwrap();
    assert_eq!(output.bytes(&[0; 100]), Err(Errno::FBIG));
}
