use std::io::{Cursor, Read as _, Write as _};

use bailiwick_model::limits::{SKILL_BYTES, SKILL_FILES};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::{SkillBundle, SkillFile, SkillProblem};

const MANIFEST: &str = "---\nname: pdf\ndescription: Reads PDFs.\n---\n# PDF\n";

fn file(path: &str, bytes: impl AsRef<[u8]>) -> SkillFile {
    SkillFile {
        path: path.to_owned(),
        bytes: bytes.as_ref().to_vec(),
    }
}

fn zipped(files: &[(&str, &[u8], u32)]) -> Vec<SkillFile> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes, mode) in files {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        writer.start_file(*path, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    vec![file("skill.zip", writer.finish().unwrap().into_inner())]
}

/// Path, whether it may be executed, and bytes.
fn unpacked(bundle: &SkillBundle) -> Vec<(String, bool, String)> {
    let mut archive = ZipArchive::new(Cursor::new(bundle.archive())).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let name = file.name().unwrap().into_owned();
            let executable = file.unix_mode().unwrap() & 0o111 != 0;
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (name, executable, text)
        })
        .collect()
}

fn refused(files: Vec<SkillFile>) -> &'static str {
    SkillBundle::of(files).expect_err("refused").code()
}

#[test]
fn loose_files_and_a_zip_of_them_make_the_same_skill() {
    let script = b"#!/bin/sh\n";
    let loose = SkillBundle::of(vec![
        file("some-dir/scripts/run.sh", script),
        file("some-dir/SKILL.md", MANIFEST),
    ])
    .unwrap();
    let packed = SkillBundle::of(zipped(&[
        ("other/SKILL.md", MANIFEST.as_bytes(), 0o644),
        ("__MACOSX/other/._SKILL.md", b"x", 0o644),
        ("other/scripts/run.sh", script, 0o4755),
    ]))
    .unwrap();
    assert_eq!(loose, packed);
    assert_eq!((loose.name(), loose.description()), ("pdf", "Reads PDFs."));
    let is = unpacked(&loose);
    assert_eq!(
        is[0],
        ("pdf/SKILL.md".to_owned(), false, MANIFEST.to_owned())
    );
    assert_eq!((is[1].0.as_str(), is[1].1), ("pdf/scripts/run.sh", true));
    // What was kept can be sent again.
    let again = SkillBundle::of(vec![file("x", loose.archive())]).unwrap();
    assert_eq!(again, loose);
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in [
        "pdf/../../etc/cron.d/x",
        "../pdf/x",
        "/pdf/x",
        "pdf//x",
        "pdf/./x",
        "pdf\\x",
        "pdf/..\\..\\x",
        "C:/pdf/x",
        "pdf/a\0b",
        "pdf/\n",
        "pdf/",
        "x",
        "",
    ] {
        let loose = vec![file("pdf/SKILL.md", MANIFEST), file(path, "x")];
        assert_eq!(refused(loose), "invalid_path", "loose {path:?}");
    }
    for path in ["pdf/../../x", "/etc/x", "pdf/a/../../../x", "pdf\\..\\x"] {
        let packed = zipped(&[
            ("pdf/SKILL.md", MANIFEST.as_bytes(), 0o644),
            (path, b"x", 0o644),
        ]);
        assert_eq!(refused(packed), "invalid_path", "packed {path:?}");
    }
    // The control.
    let good = vec![file("pdf/SKILL.md", MANIFEST), file("pdf/..x/y", "x")];
    assert!(SkillBundle::of(good).is_ok());
}

#[test]
fn links_in_an_archive_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.start_file("pdf/SKILL.md", options).unwrap();
    writer.write_all(MANIFEST.as_bytes()).unwrap();
    writer
        .add_symlink("pdf/passwd", "/etc/passwd", options)
        .unwrap();
    let packed = vec![file("a.zip", writer.finish().unwrap().into_inner())];
    let problem = SkillBundle::of(packed).unwrap_err();
    assert_eq!(problem, SkillProblem::Special("pdf/passwd".to_owned()));
}

#[test]
fn an_archive_that_unpacks_to_too_much_is_refused() {
    let zeros = vec![0; SKILL_BYTES as usize / 2];
    let manifest = ("pdf/SKILL.md", MANIFEST.as_bytes(), 0o644);
    let half = ("pdf/a", zeros.as_slice(), 0o644);
    let packed = zipped(&[manifest, half, ("pdf/b", zeros.as_slice(), 0o644)]);
    assert!(packed[0].bytes.len() < 100_000);
    assert_eq!(refused(packed), "too_much");
    assert!(SkillBundle::of(zipped(&[manifest, half])).is_ok());
}

#[test]
fn a_thousand_files_are_taken_and_no_more() {
    let files = |number: usize| {
        let others = (1..number).map(|index| file(&format!("pdf/{index}"), "x"));
        others
            .chain([file("pdf/SKILL.md", MANIFEST)])
            .collect::<Vec<_>>()
    };
    assert!(SkillBundle::of(files(SKILL_FILES)).is_ok());
    assert_eq!(refused(files(SKILL_FILES + 1)), "too_much");
}

#[test]
fn what_is_no_whole_archive_is_refused() {
    let mut cut = zipped(&[("pdf/SKILL.md", MANIFEST.as_bytes(), 0o644)]);
    let length = cut[0].bytes.len();
    cut[0].bytes.truncate(length - 10);
    assert_eq!(refused(cut), "invalid_archive");
    assert_eq!(
        refused(vec![file("a.zip", b"PK\x03\x04 and nothing")]),
        "invalid_archive"
    );
    let many = [b"PK\x03\x04".as_slice(), &b"PK\x01\x02".repeat(30_000)].concat();
    assert_eq!(refused(vec![file("a.zip", many)]), "too_much");
}

#[test]
fn files_are_in_one_directory_once() {
    let with = |path: &str| vec![file("pdf/SKILL.md", MANIFEST), file(path, "x")];
    assert_eq!(refused(with("other/x")), "several_directories");
    assert_eq!(refused(with("pdf/SKILL.md")), "duplicate");
    assert_eq!(refused(with("pdf/SKILL.md/x")), "duplicate");
    assert_eq!(refused(Vec::new()), "missing_field");
    assert_eq!(refused(vec![file("pdf/skill.md", MANIFEST)]), "no_skill_md");
    assert_eq!(
        refused(vec![file("pdf/sub/SKILL.md", MANIFEST)]),
        "no_skill_md"
    );
}

#[test]
fn front_matter_says_what_a_skill_is() {
    let of = |text: &str| SkillBundle::of(vec![file("my-skill/SKILL.md", text)]);
    let taken = of("\u{feff}---\r\nname: a-1\r\ndescription: >\r\n  One\r\n  two\r\nlicense: MIT\r\nmetadata: {a: [1]}\r\n---\r\n").unwrap();
    assert_eq!((taken.name(), taken.description()), ("a-1", "One two"));
    let unnamed = of("---\ndescription: d\n---").unwrap();
    assert_eq!(unnamed.name(), "my-skill");
    for (text, code) in [
        ("", "invalid_skill_md"),
        ("# PDF", "invalid_skill_md"),
        ("---\nname: a\ndescription: d\n", "invalid_skill_md"),
        ("---\n- a\n---\n", "invalid_skill_md"),
        ("---\nname: *a\ndescription: d\n---\n", "invalid_skill_md"),
        (
            "---\nname: a\nname: b\ndescription: d\n---\n",
            "invalid_skill_md",
        ),
        ("---\nname: a\n---\n", "invalid_description"),
        (
            "---\nname: a\ndescription: ' '\n---\n",
            "invalid_description",
        ),
        ("---\nname: A b\ndescription: d\n---\n", "invalid_name"),
        ("---\nname: ../x\ndescription: d\n---\n", "invalid_name"),
        ("---\nname: a--b\ndescription: d\n---\n", "invalid_name"),
        ("---\nname: [a]\ndescription: d\n---\n", "invalid_name"),
    ] {
        assert_eq!(of(text).expect_err(text).code(), code, "{text:?}");
    }
    let described =
        |length: usize| format!("---\nname: a\ndescription: {}\n---\n", "é".repeat(length));
    assert!(of(&described(1024)).is_ok());
    assert!(of(&described(1025)).is_err());
    let named = |length: usize| format!("---\nname: {}\ndescription: d\n---\n", "a".repeat(length));
    assert!(of(&named(64)).is_ok());
    assert!(of(&named(65)).is_err());
}

proptest! {
    #[test]
    fn a_damaged_archive_is_refused_or_safe(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let long = "some text, ".repeat(50);
        let mut packed = zipped(&[
            ("pdf/SKILL.md", MANIFEST.as_bytes(), 0o644),
            ("pdf/a/b.txt", long.as_bytes(), 0o755),
        ]);
        let bytes = &mut packed[0].bytes;
        for (index, byte) in edits {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()).max(4));
        }
        if let Ok(bundle) = SkillBundle::of(packed) {
            let again = SkillBundle::of(vec![file("again", bundle.archive())]);
            prop_assert_eq!(again.as_ref(), Ok(&bundle));
            for (path, _, _) in unpacked(&bundle) {
                let below = format!("{}/", bundle.name());
                prop_assert!(path.starts_with(&below) && !path.contains(".."));
            }
        }
    }

    #[test]
    fn anything_that_claims_to_be_an_archive_is_refused_or_safe(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [b"PK\x03\x04".as_slice(), &bytes, b"PK\x05\x06", &bytes].concat();
        let _ = SkillBundle::of(vec![file("x", bytes)]);
    }

    #[test]
    fn any_front_matter_is_refused_or_has_a_name(text in ".{0,200}") {
        let manifest = format!("---\n{text}\n---\n");
        if let Ok(bundle) = SkillBundle::of(vec![file("d/SKILL.md", manifest)]) {
            prop_assert!(super::is_name(bundle.name()));
        }
    }
}
