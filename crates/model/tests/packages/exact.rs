//! One version of one package, from two texts of a stranger.

use bailiwick_model::PackageSpec;

use crate::PackageManager::{self, Apt, Cargo, Gem, Go, Npm, Pip};

#[test]
fn a_name_and_one_version_are_a_spec() {
    for (manager, name, version, expected) in [
        (
            Apt,
            "graphviz",
            "2.42.2-7+deb12u1",
            "graphviz=2.42.2-7+deb12u1",
        ),
        (Apt, "libc6:i386", "2.36-9", "libc6:i386=2.36-9"),
        (Apt, "git", "1:2.39.5-0+deb12u2", "git=1:2.39.5-0+deb12u2"),
        (Cargo, "hyperfine", "1.18.0", "hyperfine@1.18.0"),
        (Gem, "rails", "7.1.0.rc1", "rails:7.1.0.rc1"),
        (
            Go,
            "golang.org/x/tools",
            "v0.30.0",
            "golang.org/x/tools@v0.30.0",
        ),
        (
            Go,
            "example.com/a",
            "v2.0.0+incompatible",
            "example.com/a@v2.0.0+incompatible",
        ),
        (
            Go,
            "example.com/a",
            "v0.0.0-20240102030405-0123456789ab",
            "example.com/a@v0.0.0-20240102030405-0123456789ab",
        ),
        (Npm, "@types/node", "20.1.0-rc.1", "@types/node@20.1.0-rc.1"),
        (Pip, "Flask", "3.0.0", "Flask==3.0.0"),
        (Pip, "torch", "2.1.0+cu118", "torch==2.1.0+cu118"),
    ] {
        let spec = PackageSpec::exact(manager, name, version);
        assert_eq!(spec.unwrap().as_str(), expected);
    }
}

#[test]
fn everything_that_is_more_or_less_than_one_version_of_a_name_is_refused() {
    let cases: &[(PackageManager, &str, &str)] = &[
        (Apt, "graphviz", "2.42/bookworm"),
        (Apt, "--allow-unauthenticated", "1"),
        (Apt, "-oDpkg::Pre-Invoke::=id", "1"),
        (Apt, "graphviz-", "1"),
        (Apt, "graphviz=1", "2"),
        (Apt, "graph*", "1"),
        (Apt, "graphviz", ""),
        (Apt, "graphviz", "1 2"),
        (Cargo, "hyperfine", "^1.18"),
        (Cargo, "hyperfine", "1.18"),
        (Cargo, "hyperfine@1.0.0", "1.0.0"),
        (Gem, "rails", "~>7.1"),
        (Gem, "rails", ">=1"),
        (Gem, "rails:7", "7"),
        (Go, "golang.org/x/tools", "latest"),
        (Go, "golang.org/x/tools", "master"),
        (Go, "golang.org/x/tools", "v0"),
        (Go, "./cmd", "v1.0.0"),
        (Npm, "tsx", "latest"),
        (Npm, "tsx", "4.x"),
        (Npm, "tsx", "^4.0.0"),
        (Npm, "tsx", "npm:other@1.0.0"),
        (Npm, "tsx@file:..", "1.0.0"),
        (Npm, "../tsx", "1.0.0"),
        (Pip, "pytest", "8.*"),
        (Pip, "pytest", "8.0,>=1"),
        (Pip, "pytest[extra]", "8.0"),
        (Pip, "pytest==8.0\n--index-url", "8.0"),
        (Pip, "--index-url", "8.0"),
        (Pip, "pytest==1", "=8"),
        (Pip, "pytest", "8.0 --hash=sha256:00"),
        (Pip, "", "1.0"),
    ];
    for (manager, name, version) in cases {
        let spec = PackageSpec::exact(*manager, name, version);
        assert!(spec.is_err(), "{manager} {name:?} {version:?}: {spec:?}");
    }
}
