//! The grammar of packages at its door: a text in, a spec or the reason against it out.

use bailiwick_model::limits::{PACKAGE_BYTES, PACKAGES};
use bailiwick_model::{PackageManager, PackageSpec, PackageSpecProblem, Packages, PackagesProblem};

use PackageManager::{Apt, Cargo, Gem, Go, Npm, Pip};

/// What becomes of each line: `text: name`, `text: name | version`, or `text: refused, and why`.
fn table(manager: PackageManager, lines: &str) -> String {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|text| match PackageSpec::parse(manager, text) {
            Ok(spec) => match spec.version() {
                Some(version) => format!("{text}: {} | {version}\n", spec.name()),
                None => format!("{text}: {}\n", spec.name()),
            },
            Err(problem) => format!("{text}: {problem}\n"),
        })
        .collect()
}

/// The lines of a text are taken, with these names and versions.
macro_rules! taken {
    ($manager:expr, $text:expr, @$snapshot:literal) => {
        for line in $text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let spec = bailiwick_model::PackageSpec::parse($manager, line);
            assert!(spec.is_ok(), "{line:?} {}", spec.unwrap_err());
        }
        insta::assert_snapshot!(crate::table($manager, $text), @$snapshot)
    };
}

/// The lines of a text are refused, for these reasons.
macro_rules! refused {
    ($manager:expr, $text:expr, @$snapshot:literal) => {
        for line in $text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let spec = bailiwick_model::PackageSpec::parse($manager, line);
            assert!(spec.is_err(), "{line:?} was taken");
        }
        insta::assert_snapshot!(crate::table($manager, $text), @$snapshot)
    };
}

mod apt;
mod attacks;
mod cargo;
mod exact;
mod gem;
mod go;
mod npm;
mod pip;
mod properties;

fn spec(manager: PackageManager, text: &str) -> PackageSpec {
    PackageSpec::parse(manager, text).unwrap_or_else(|problem| panic!("{text:?} {problem}"))
}

#[test]
fn managers_run_in_the_order_of_their_names() {
    assert!(PackageManager::ALL.is_sorted());
    let names: Vec<_> = PackageManager::ALL
        .iter()
        .map(|manager| manager.name())
        .collect();
    assert!(names.is_sorted());
    assert_eq!(PackageManager::ALL, [Apt, Cargo, Gem, Go, Npm, Pip]);
    for manager in PackageManager::ALL {
        assert_eq!(manager.to_string().parse(), Ok(*manager));
        let json = serde_json::to_string(manager).unwrap();
        assert_eq!(json, format!("{:?}", manager.name()));
        assert_eq!(
            serde_json::from_str::<PackageManager>(&json).unwrap(),
            *manager
        );
    }
    assert!("brew".parse::<PackageManager>().is_err());
    assert!("Pip".parse::<PackageManager>().is_err());
}

#[test]
fn every_example_of_a_managers_forms_is_a_spec() {
    for manager in PackageManager::ALL {
        let examples: Vec<_> = manager.spec_forms().split('"').skip(1).step_by(2).collect();
        assert!(!examples.is_empty(), "{manager}");
        for example in examples {
            spec(*manager, example);
        }
    }
}

#[test]
fn packages_keep_their_order_within_a_manager_and_managers_have_theirs() {
    let mut packages = Packages::default();
    assert!(packages.is_empty());
    for (manager, text) in [
        (Pip, "pytest==8.3.4"),
        (Npm, "tsx"),
        (Npm, "express"),
        (Apt, "jq"),
    ] {
        packages.add(spec(manager, text)).unwrap();
    }
    let lists: Vec<_> = packages
        .iter()
        .map(|(manager, list)| {
            (
                manager,
                list.iter().map(PackageSpec::as_str).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(
        lists,
        [
            (Apt, vec!["jq"]),
            (Npm, vec!["tsx", "express"]),
            (Pip, vec!["pytest==8.3.4"])
        ]
    );
    assert_eq!((packages.len(), packages.is_empty()), (4, false));
    assert!(packages.of(Go).is_empty());
    assert_eq!(
        serde_json::to_string(&packages).unwrap(),
        r#"{"apt":["jq"],"cargo":[],"gem":[],"go":[],"npm":["tsx","express"],"pip":["pytest==8.3.4"]}"#
    );
}

#[test]
fn a_package_is_there_once_for_each_manager() {
    let mut packages = Packages::default();
    packages.add(spec(Npm, "jq")).unwrap();
    packages.add(spec(Apt, "jq")).unwrap();
    assert_eq!(
        packages.add(spec(Npm, "jq")),
        Err(PackagesProblem::Duplicate(spec(Npm, "jq")))
    );
    assert_eq!(packages.len(), 2);
}

#[test]
fn packages_are_counted_over_all_managers() {
    let mut packages = Packages::default();
    for number in 0..PACKAGES {
        let manager = PackageManager::ALL[number % 2];
        packages
            .add(spec(manager, &format!("package{number}")))
            .unwrap();
    }
    assert_eq!(
        packages.add(spec(Pip, "pytest")),
        Err(PackagesProblem::TooMany)
    );
    assert_eq!(packages.len(), PACKAGES);
}

#[test]
fn a_spec_has_as_many_bytes_as_the_limit_says_and_no_more() {
    for manager in [Apt, Gem, Pip] {
        let longest = "a".repeat(PACKAGE_BYTES);
        assert_eq!(spec(manager, &longest).name(), longest);
        assert_eq!(
            PackageSpec::parse(manager, &format!("{longest}a")),
            Err(PackageSpecProblem::TooLong(PACKAGE_BYTES + 1))
        );
    }
    let text = |bytes: usize| format!("a@{}", "1".repeat(bytes - 2));
    assert!(PackageSpec::parse(Npm, &text(PACKAGE_BYTES)).is_ok());
    assert!(PackageSpec::parse(Npm, &text(PACKAGE_BYTES + 1)).is_err());
}
