use super::*;

const PLACE: &[&str] = &["credential", "org_1", "vlt_1", "vcrd_1", "token"];
const SECRET: &[u8] = b"the secret that nobody sees";

fn text(byte: u8) -> String {
    (0..32)
        .map(|index| format!("{:02x}", byte.wrapping_add(index)))
        .collect()
}

fn keys(bytes: &[u8]) -> SealingKeys {
    let lines: Vec<_> = bytes.iter().map(|byte| text(*byte)).collect();
    lines.join("\n").parse().unwrap()
}

#[test]
fn what_was_sealed_opens_again_and_shows_nothing() {
    let keys = keys(&[1]);
    let sealed = keys.seal(PLACE, SECRET);
    assert_eq!(*keys.unseal(PLACE, &sealed).unwrap(), SECRET);
    assert!(!sealed.bytes.windows(8).any(|part| SECRET.starts_with(part)));
    assert_eq!(sealed.bytes.len(), 1 + 12 + SECRET.len() + 16);
    assert_eq!(*keys.unseal(PLACE, &keys.seal(PLACE, b"")).unwrap(), b"");
}

#[test]
fn every_sealing_has_a_nonce_of_its_own() {
    let keys = keys(&[1]);
    let nonces: std::collections::HashSet<_> = (0..1000)
        .map(|_| keys.seal(PLACE, SECRET).bytes[1..13].to_vec())
        .collect();
    assert_eq!(nonces.len(), 1000);
}

#[test]
fn every_changed_bit_shows() {
    let keys = keys(&[1]);
    let sealed = keys.seal(PLACE, SECRET);
    for index in 0..sealed.bytes.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed.bytes[index] ^= 1 << bit;
            let opened = keys.unseal(PLACE, &changed);
            assert_eq!(
                opened.unwrap_err(),
                UnsealError::NotAuthentic,
                "{index}.{bit}"
            );
        }
    }
    for length in 0..sealed.bytes.len() {
        let cut = Sealed {
            bytes: sealed.bytes[..length].to_vec(),
            ..sealed.clone()
        };
        assert_eq!(
            keys.unseal(PLACE, &cut).unwrap_err(),
            UnsealError::NotAuthentic
        );
    }
}

#[test]
fn what_was_sealed_for_one_place_opens_in_no_other() {
    let keys = keys(&[1]);
    let sealed = keys.seal(PLACE, SECRET);
    for place in [
        &["credential", "org_2", "vlt_1", "vcrd_1", "token"][..],
        &["credential", "org_1", "vlt_2", "vcrd_1", "token"],
        &["credential", "org_1", "vlt_1", "vcrd_2", "token"],
        &["credential", "org_1", "vlt_1", "vcrd_1", "access_token"],
        // The same letters, cut elsewhere.
        &["credential", "org_1", "vlt_1", "vcrd_1t", "oken"],
        &["credential", "org_1", "vlt_1", "vcrd_1token"],
        &[],
    ] {
        assert_eq!(
            keys.unseal(place, &sealed).unwrap_err(),
            UnsealError::NotAuthentic
        );
    }
}

#[test]
fn a_new_current_key_opens_what_an_older_one_sealed_and_not_without_it() {
    let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
    let sealed = old.seal(PLACE, SECRET);
    assert_eq!(*both.unseal(PLACE, &sealed).unwrap(), SECRET);
    let unknown = new.unseal(PLACE, &sealed).unwrap_err();
    let key = old.current().to_owned();
    assert_eq!(unknown, UnsealError::UnknownKey { key });
    let anew = both.seal(PLACE, SECRET);
    assert_eq!(anew.key, new.current());
    assert_eq!(*new.unseal(PLACE, &anew).unwrap(), SECRET);
    assert!(old.unseal(PLACE, &anew).is_err());
    // Nor does another key that claims to be it.
    let forged = Sealed {
        key: new.current().to_owned(),
        ..sealed
    };
    assert_eq!(
        both.unseal(PLACE, &forged).unwrap_err(),
        UnsealError::NotAuthentic
    );
}

#[test]
fn keys_are_read_in_hexadecimal_and_base64() {
    let raw: Vec<u8> = (0..32).map(|index| 250u8.wrapping_add(index)).collect();
    let hex: String = raw.iter().map(|byte| format!("{byte:02X}")).collect();
    let id = hex.parse::<SealingKeys>().unwrap().current().to_owned();
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        let text = format!("# of the year\n\n  {}\r\n", engine.encode(&raw));
        assert_eq!(text.parse::<SealingKeys>().unwrap().current(), id);
    }
    let three = format!("{},{}\n# older\n{}", text(1), text(2), text(3));
    let three: SealingKeys = three.parse().unwrap();
    assert_eq!(
        (three.current(), three.older.len()),
        (keys(&[1]).current(), 2)
    );
    let (made, text) = SealingKeys::generate();
    assert_eq!(
        text.parse::<SealingKeys>().unwrap().current(),
        made.current()
    );
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let short = &text(1)[..62];
    for (bad, error) in [
        ("", SealingKeysError::Empty),
        ("# nothing\n", SealingKeysError::Empty),
        (short, SealingKeysError::NotAKey { line: 1 }),
        (
            "not hexadecimal, not base64 of 32 bytes",
            SealingKeysError::NotAKey { line: 1 },
        ),
        (
            &format!("{}\n{}", text(1), short),
            SealingKeysError::NotAKey { line: 2 },
        ),
        (
            &format!("{0}\n\n{0}", text(1)),
            SealingKeysError::Twice { line: 3 },
        ),
        (&"é".repeat(32), SealingKeysError::NotAKey { line: 1 }),
    ] {
        let refused = bad.parse::<SealingKeys>().unwrap_err();
        assert_eq!(refused, error);
        assert!(!format!("{refused} {refused:?}").contains(short));
    }
    let many: Vec<_> = (0..=64).map(text).collect();
    let refused = many.join("\n").parse::<SealingKeys>().unwrap_err();
    assert_eq!(refused, SealingKeysError::TooMany);
}

#[test]
fn keys_do_not_print() {
    let keys = keys(&[1, 2]);
    let shown = format!("{keys:?} {keys:#?}");
    assert!(shown.contains(keys.current()));
    for byte in [1, 2] {
        let bytes: Vec<u8> = (0..32).map(|index| byte + index).collect();
        for secret in [text(byte), STANDARD.encode(&bytes), format!("{bytes:?}")] {
            assert!(!shown.contains(&secret));
        }
    }
}
