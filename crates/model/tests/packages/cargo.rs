//! Programs of crates.io.

use super::Cargo;

#[test]
fn cargo_packages_are_crates_with_a_version_or_a_requirement() {
    taken!(Cargo, "
        ripgrep
        hyperfine@1.18.0
        cargo-nextest@0.9.100
        cargo_metadata
        bat@^0.24
        tokei@~12.1
        just@=1.36.0
        sd@1.*
        sd@1.0.*
        sd@*
        du-dust@>=1.0,<2
        du-dust@>=1.0.0,<2.0.0
        du-dust@>1,<=1.1.1
        du-dust@>=1,1.1
        wasm-pack@^0
        wasm-bindgen-cli@0.2.95
        trunk@0.22.0-beta.1
        sqlx-cli@0.8.0-alpha.0
        mdbook@0.5.0-beta.2+build.7
        cross@=0.2.5
        a@1.2.3
        B2@1.2.3
        cargo-edit@^0.13.0
        cargo-watch@~8
        cargo-audit@<0.22
        protobuf-codegen@3.7.1
        diesel_cli@2.2.4
    ", @r"
    ripgrep: ripgrep
    hyperfine@1.18.0: hyperfine | 1.18.0
    cargo-nextest@0.9.100: cargo-nextest | 0.9.100
    cargo_metadata: cargo_metadata
    bat@^0.24: bat | ^0.24
    tokei@~12.1: tokei | ~12.1
    just@=1.36.0: just | =1.36.0
    sd@1.*: sd | 1.*
    sd@1.0.*: sd | 1.0.*
    sd@*: sd | *
    du-dust@>=1.0,<2: du-dust | >=1.0,<2
    du-dust@>=1.0.0,<2.0.0: du-dust | >=1.0.0,<2.0.0
    du-dust@>1,<=1.1.1: du-dust | >1,<=1.1.1
    du-dust@>=1,1.1: du-dust | >=1,1.1
    wasm-pack@^0: wasm-pack | ^0
    wasm-bindgen-cli@0.2.95: wasm-bindgen-cli | 0.2.95
    trunk@0.22.0-beta.1: trunk | 0.22.0-beta.1
    sqlx-cli@0.8.0-alpha.0: sqlx-cli | 0.8.0-alpha.0
    mdbook@0.5.0-beta.2+build.7: mdbook | 0.5.0-beta.2+build.7
    cross@=0.2.5: cross | =0.2.5
    a@1.2.3: a | 1.2.3
    B2@1.2.3: B2 | 1.2.3
    cargo-edit@^0.13.0: cargo-edit | ^0.13.0
    cargo-watch@~8: cargo-watch | ~8
    cargo-audit@<0.22: cargo-audit | <0.22
    protobuf-codegen@3.7.1: protobuf-codegen | 3.7.1
    diesel_cli@2.2.4: diesel_cli | 2.2.4
    ");
}

#[test]
fn cargo_packages_are_no_options_or_paths() {
    refused!(Cargo, "
        --git=https://evil.example/x
        --index=sparse+https://evil.example/
        -Zunstable-options
        --path=.
        .
        ./tool
        ../tool
        ~/tool
        owner/repository
        github:owner/tool
        git+https://evil.example/x
        registry+https://evil.example/x#tool
        ripgrep --root=/
        ripgrep;id
        ripgrep|id
        'ripgrep'
        7zip
        _private
        rip.grep
        rip+grep
        ripgrep@
        ripgrep@14
    ", @r#"
    --git=https://evil.example/x: begins with `-`, so that cargo would read an option; options are not set here
    --index=sparse+https://evil.example/: begins with `-`, so that cargo would read an option; options are not set here
    -Zunstable-options: begins with `-`, so that cargo would read an option; options are not set here
    --path=.: begins with `-`, so that cargo would read an option; options are not set here
    .: is a path; a package is named, and comes from the registries
    ./tool: is a path; a package is named, and comes from the registries
    ../tool: is a path; a package is named, and comes from the registries
    ~/tool: is a path; a package is named, and comes from the registries
    owner/repository: holds `/`, so that cargo would read a path or a repository
    github:owner/tool: names a source with "github:"; cargo packages come from its registries, where they have names and versions
    git+https://evil.example/x: holds a URL; cargo packages come from its registries, where they have names and versions
    registry+https://evil.example/x#tool: holds a URL; cargo packages come from its registries, where they have names and versions
    ripgrep --root=/: holds white space; write one package an entry, and its version without spaces
    ripgrep;id: holds ';', one of a shell's characters, of which a spec has none
    ripgrep|id: holds '|', one of a shell's characters, of which a spec has none
    'ripgrep': holds '\'', one of a shell's characters, of which a spec has none
    7zip: has the name "7zip"; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    _private: has the name "_private"; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    rip.grep: has the name "rip.grep"; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    rip+grep: has the name "rip+grep"; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    ripgrep@: ends in '@'; write the version behind it, or leave it out
    ripgrep@14: has the version "14"; cargo wants all three numbers, or an operator: `^14`
    "#);
}

#[test]
fn cargo_packages_have_no_partial_versions() {
    refused!(Cargo, "
        ripgrep@14.1
        ripgrep@v14.1.0
        ripgrep@latest
        ripgrep@14.1.0.0
        ripgrep@014.1.0
        ripgrep@1.x
        ripgrep@x
        ripgrep@^
        ripgrep@^^1
        ripgrep@^*
        ripgrep@1.*.3
        ripgrep@>=1,
        ripgrep@>=1,*
        ripgrep@>=1 <2
        ripgrep@1.0.0-
        ripgrep@1.0.0-01
        ripgrep@1.0.0+
        ripgrep@1.0.0@2.0.0
        ripgrep==14.1.0
        ripgrep=14.1.0
        ripgrep:14.1.0
        @scope/ripgrep
    ", @r#"
    ripgrep@14.1: has the version "14.1"; cargo wants all three numbers, or an operator: `^14.1`
    ripgrep@v14.1.0: has the version "v14.1.0"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@latest: has the version "latest"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@14.1.0.0: has the version "14.1.0.0"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@014.1.0: has the version "014.1.0"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@1.x: has the version "1.x"; cargo wants all three numbers, or an operator: `^1.x`
    ripgrep@x: has the version "x"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@^: has the version "^"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@^^1: has the version "^^1"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@^*: has the version "^*"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@1.*.3: has the version "1.*.3"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@>=1,: has the version ">=1,"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@>=1,*: has the version ">=1,*"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@>=1 <2: holds white space; write one package an entry, and its version without spaces
    ripgrep@1.0.0-: has the version "1.0.0-"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@1.0.0-01: has the version "1.0.0-01"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@1.0.0+: has the version "1.0.0+"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep@1.0.0@2.0.0: has the version "1.0.0@2.0.0"; a crate's version is `1.2.3`, a requirement `^1.2`, `~1.2`, `=1.2.3`, `1.*` or `>=1.2,<2`
    ripgrep==14.1.0: has the name "ripgrep==14.1.0"; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    ripgrep=14.1.0: has the name "ripgrep=14.1.0"; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    ripgrep:14.1.0: names a source with "ripgrep:"; cargo packages come from its registries, where they have names and versions
    @scope/ripgrep: has the name ""; a crate has at most 64 letters, digits, `-` and `_`, the first a letter
    "#);
}

#[test]
fn a_crates_name_has_at_most_64_characters() {
    assert!(bailiwick_model::PackageSpec::parse(Cargo, &"a".repeat(64)).is_ok());
    assert!(bailiwick_model::PackageSpec::parse(Cargo, &"a".repeat(65)).is_err());
}
