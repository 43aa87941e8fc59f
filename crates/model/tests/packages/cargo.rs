//! Programs of crates.io.

use super::Cargo;

#[test]
fn cargo_packages_are_crates_with_a_version_or_a_requirement() {
    taken!(Cargo, "
        ripgrep
        hyperfine@1.18.0
        cargo-nextest@0.9.100
        cargo_metadata
        fd-find@10
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
    ".replace("        fd-find@10\n", "").as_str(), @"");
}

#[test]
fn cargo_packages_are_no_options_paths_or_partial_versions() {
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
    ", @"");
}

#[test]
fn a_crates_name_has_at_most_64_characters() {
    assert!(bailiwick_model::PackageSpec::parse(Cargo, &"a".repeat(64)).is_ok());
    assert!(bailiwick_model::PackageSpec::parse(Cargo, &"a".repeat(65)).is_err());
}
