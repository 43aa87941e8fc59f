//! Node packages.

use super::Npm;

#[test]
fn npm_packages_are_names_with_a_version_a_range_or_a_tag() {
    taken!(Npm, "
        tsx
        typescript
        express@4.18.0
        express@^4.18.0
        express@~4
        express@>=4.18.0
        express@<5
        express@<=4.21.1
        express@=4.18.0
        express@~>4.1
        express@4.x
        express@4.18.*
        express@*
        express@v4.18.0
        @types/node
        @types/node@^20
        @types/node@20.17.6
        @babel/core@^8.0.0-alpha.12
        @angular/cli@next
        @-xun/symbiote
        @foo/_bar
        npm@latest-10
        react@18.3.0-canary-a870b2d54-20240314
        JSONStream@1.3.5
        lodash.merge
        socket.io@4
        underscore
        is-odd@3.0.1
        eslint@9.15.0+build.1
        vue@v3-latest
        7zip-bin
        node-gyp
    ", @"");
}

#[test]
fn npm_packages_are_no_options_aliases_repositories_folders_or_archives() {
    refused!(Npm, "
        --registry=https://evil.example
        -g
        --ignore-scripts=false
        npm:evil@1.0.0
        express@npm:evil@1.0.0
        express@npm:@evil/express@1
        github:evil/express
        express@github:evil/express
        evil/express
        evil/express@1.0.0
        evil/express#main
        express@evil/express
        git+ssh://git@evil.example/x.git
        git@evil.example:x.git
        express@git+https://evil.example/x
        https://evil.example/x.tgz
        express@https://evil.example/x.tgz
        file:../x
        express@file:x
        workspace:*
        express@workspace:^
        express.tgz
        express.TAR
        express@1.0.tgz
        express-1.0.0.tar.gz
        @scope/x.tgz
        ./express
        ../express
        /express
        ~/express
        .
        express 4
        express@>=4 <5
        express@^4||^5
        express@1.0.0 - 2.0.0
        express;id
        express`id`
        express@$TAG
        'express'
        _express
        .express
        node_modules
        favicon.ico
        exp!ress
        exp~ress
        @scope
        @scope/
        @/name
        @scope/.name
        @.scope/name
        @scope/a/b
        @@scope/name
        @
        express@
        express@@4
        express@4@5
        express@^
        express@^^4
        express@^latest
        express@-1
        express@>=4<5
        express@1.*.3
        express@>
        express==4.18.0
        express[dev]
    ", @"");
}

#[test]
fn a_name_of_npm_has_at_most_214_characters() {
    assert!(bailiwick_model::PackageSpec::parse(Npm, &"a".repeat(214)).is_ok());
    assert!(bailiwick_model::PackageSpec::parse(Npm, &"a".repeat(215)).is_err());
}
