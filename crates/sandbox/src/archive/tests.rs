use std::fs::File;
use std::io::{Read, Seek, Write};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::protocol::ArchiveLimits;

const LIMITS: ArchiveLimits = ArchiveLimits {
    bytes: 64 << 20,
    free_bytes: 0,
};

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
    let file = tempfile::tempfile().unwrap();
    let copy = file.try_clone().unwrap();
    let mut output = Output::new(copy.into(), LIMITS).unwrap();
    output.place(b"/tmp", &meta()).unwrap();
    output.directory(b"d\n", &meta()).unwrap();
    output.file(b"f", &meta(), true, 10).unwrap();
    output.piece(7, 3).unwrap();
    output.bytes(b"abc").unwrap();
    output.piece(0, 0).unwrap();
    output.link(b"l", &meta(), b"../../x").unwrap();
    output.up().unwrap();
    output.hard_link(b"h", 0).unwrap();
    output.fifo(b"i", &meta()).unwrap();
    output.nothing(b"w").unwrap();
    output.up().unwrap();
    output.end().unwrap();
    contents(file)
}

fn contents(mut file: File) -> Vec<u8> {
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
                is_shared: true,
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
                number: 0
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
    let limits = ArchiveLimits {
        bytes: 100,
        ..LIMITS
    };
    let file = tempfile::tempfile().unwrap();
    let mut output = Output::new(file.into(), limits).unwrap();
    assert_eq!(output.bytes(&[0; 100]), Err(Errno::FBIG));
}

#[test]
fn nothing_is_written_where_too_little_would_stay_free() {
    let begun = |free_bytes| {
        let file = tempfile::tempfile().unwrap();
        let limits = ArchiveLimits {
            free_bytes,
            ..LIMITS
        };
        Output::new(file.into(), limits).map(drop)
    };
    assert_eq!(begun(u64::MAX), Err(Errno::NOSPC));
    assert_eq!(begun(0), Ok(()), "control");
}

/// An archive of nothing but these records, or why it cannot be written.
fn archive_of(records: &[Record]) -> Result<Vec<u8>, Errno> {
    let file = tempfile::tempfile().unwrap();
    let copy = file.try_clone().unwrap();
    let mut output = Output::new(copy.into(), LIMITS)?;
    for record in records {
        match record {
            Record::Place { path, meta } => output.place(path, meta)?,
            Record::Directory { name, meta } => output.directory(name, meta)?,
            Record::File {
                name,
                meta,
                is_shared,
                bytes,
            } => {
                output.file(name, meta, *is_shared, *bytes)?;
                output.piece(0, 0)?;
            }
            Record::Link { name, meta, target } => output.link(name, meta, target)?,
            Record::HardLink { name, number } => output.hard_link(name, *number)?,
            Record::Fifo { name, meta } => output.fifo(name, meta)?,
            Record::Nothing { name } => output.nothing(name)?,
            Record::Up => output.up()?,
            Record::End => {}
        }
    }
    output.end()?;
    Ok(contents(file))
}

fn with_attributes(count: usize, value: &[u8]) -> Record {
    let attribute = |number| (format!("user.{number}").into_bytes(), value.to_vec());
    let meta = Meta {
        attributes: (0..count).map(attribute).collect(),
        ..meta()
    };
    Record::Directory {
        name: b"d".to_vec(),
        meta,
    }
}

#[test]
fn more_attributes_than_are_read_are_not_written() {
    let most = [with_attributes(ATTRIBUTES, b"x"), Record::End];
    assert_eq!(read(&archive_of(&most).unwrap()).unwrap(), most, "control");
    let one_more = [with_attributes(ATTRIBUTES + 1, b"x")];
    assert_eq!(archive_of(&one_more), Err(Errno::TOOBIG));
    let too_long = [with_attributes(1, &[0; ATTRIBUTE_BYTES + 1])];
    assert_eq!(archive_of(&too_long), Err(Errno::NAMETOOLONG));
}

/// Mostly such as there are.
fn some_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(1_u8..=255, 1..20),
        1 => vec(any::<u8>(), 0..4),
        1 => vec(b'a'..=b'z', 253..258),
    ]
}

fn some_meta() -> impl Strategy<Value = Meta> {
    let attribute = || (some_name(), vec(any::<u8>(), 0..8));
    let attributes = prop_oneof![
        4 => vec(attribute(), 0..4),
        1 => vec(attribute(), 254..259),
    ];
    let mode = prop_oneof![8 => 0..=0o1777_u32, 1 => any::<u32>()];
    let nanoseconds = prop_oneof![8 => 0..1_000_000_000_u32, 1 => any::<u32>()];
    let changed = (any::<i64>(), nanoseconds);
    let rest = (any::<u32>(), any::<u32>(), any::<bool>());
    (mode, changed, rest, attributes).prop_map(|(mode, changed, (uid, gid, opaque), attributes)| {
        Meta {
            mode,
            uid,
            gid,
            changed,
            opaque,
            attributes,
        }
    })
}

fn some_record() -> impl Strategy<Value = Record> {
    let named = || (some_name(), some_meta());
    prop_oneof![
        named().prop_map(|(path, meta)| Record::Place { path, meta }),
        named().prop_map(|(name, meta)| Record::Directory { name, meta }),
        (named(), any::<bool>(), any::<u64>()).prop_map(|((name, meta), is_shared, bytes)| {
            Record::File {
                name,
                meta,
                is_shared,
                bytes,
            }
        }),
        (named(), some_name()).prop_map(|((name, meta), target)| Record::Link {
            name,
            meta,
            target
        }),
        (some_name(), any::<u64>()).prop_map(|(name, number)| Record::HardLink { name, number }),
        named().prop_map(|(name, meta)| Record::Fifo { name, meta }),
        some_name().prop_map(|name| Record::Nothing { name }),
        Just(()).prop_map(|()| Record::Up),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_can_be_written_is_read(record in some_record()) {
        let records = [record, Record::End];
        if let Ok(bytes) = archive_of(&records) {
            prop_assert_eq!(read(&bytes).unwrap(), records);
        }
    }
}
