//! Attempts to make a package manager do something else than install a package of its registry.

use bailiwick_model::{PackageManager, PackageSpec};

/// Text that means something to some manager's command line, to a shell, to a terminal or to a file of requirements.
///
/// What only one manager reads so is in its own table: to apt, `npm:a` is npm of the architecture `a`.
const ATTACKS: &[&str] = &[
    "",
    " ",
    "-",
    "--",
    "-e",
    "--index-url=https://evil.example",
    "--index-url https://evil.example",
    "-e git+https://evil.example/x",
    "-o Dpkg::Pre-Invoke::=id",
    "-oDpkg::Pre-Invoke::=id",
    "-cevil.conf",
    "--git=https://evil.example/x",
    "--source=https://evil.example",
    "-toolexec=id",
    "--registry=https://evil.example",
    "--script-shell=/work/sh",
    "\u{2010}e",
    "\u{feff}-e",
    "a -e b",
    "a\n-e b",
    "a\r--pre",
    "a\t--pre",
    "a\u{a0}--pre",
    "a\u{2028}--pre",
    "a\0b",
    "a\u{1b}]0;title\u{7}",
    "a\u{202e}b",
    "pytеst",
    "http://evil.example/a",
    "git+ssh://git@evil.example/a",
    "git://evil.example/a",
    "file:///etc/passwd",
    "git@evil.example:a/b",
    "/a",
    "./a",
    "../a",
    ".",
    "..",
    "~",
    "~/a",
    "~root/a",
    "C:\\a",
    "\\\\evil.example\\a",
    "a/../../b",
    "a;id",
    "a&id",
    "a|id",
    "a||b",
    "$(id)",
    "`id`",
    "${IFS}id",
    "a>b;c",
    "a<(id)",
    "{a,b}",
    "'a'",
    "\"a\"",
    "a\\",
    "a#b",
    "a%0a-e",
    "*",
    "?",
    "[a]",
    "!",
    "!!",
    "@a.txt",
    "@/a",
    "+a",
    "=1",
    ">=1",
    ":1",
    "a==1;b==2",
    "a==1 b==2",
];

#[test]
fn no_manager_takes_an_option_a_place_or_a_word_of_a_shell() {
    for manager in PackageManager::ALL {
        for attack in ATTACKS {
            let taken = PackageSpec::parse(*manager, attack);
            assert!(taken.is_err(), "{manager} takes {attack:?}");
        }
    }
}

/// What is refused above, without what it is refused for.
#[test]
fn every_manager_takes_the_plain_package() {
    for (manager, package) in [
        (PackageManager::Apt, "pytest"),
        (PackageManager::Cargo, "pytest"),
        (PackageManager::Gem, "pytest"),
        (PackageManager::Go, "evil.example/a"),
        (PackageManager::Npm, "pytest"),
        (PackageManager::Pip, "pytest"),
    ] {
        assert!(PackageSpec::parse(manager, package).is_ok(), "{manager}");
    }
}

#[test]
fn an_attack_behind_or_before_a_good_spec_spoils_it() {
    let good = |manager| match manager {
        PackageManager::Apt => "jq=1.6",
        PackageManager::Cargo => "jq@1.6.0",
        PackageManager::Gem => "jq:1.6",
        PackageManager::Go => "example.com/jq@v1.6.0",
        PackageManager::Npm => "jq@1.6.0",
        PackageManager::Pip => "jq==1.6",
    };
    let additions = [
        " ", "\n", "\0", ";id", "&", "|id", "$(id)", "`id`", "\\", "'", "\"", "#", "..", "://", "é",
    ];
    for manager in PackageManager::ALL {
        let good = good(*manager);
        assert!(PackageSpec::parse(*manager, good).is_ok(), "{good:?}");
        for addition in additions {
            for attack in [format!("{good}{addition}"), format!("{addition}{good}")] {
                let taken = PackageSpec::parse(*manager, &attack);
                assert!(taken.is_err(), "{manager} takes {attack:?}");
            }
        }
        assert!(PackageSpec::parse(*manager, &format!("-{good}")).is_err());
    }
}
