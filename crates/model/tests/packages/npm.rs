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
    ", @r"
    tsx: tsx
    typescript: typescript
    express@4.18.0: express | 4.18.0
    express@^4.18.0: express | ^4.18.0
    express@~4: express | ~4
    express@>=4.18.0: express | >=4.18.0
    express@<5: express | <5
    express@<=4.21.1: express | <=4.21.1
    express@=4.18.0: express | =4.18.0
    express@~>4.1: express | ~>4.1
    express@4.x: express | 4.x
    express@4.18.*: express | 4.18.*
    express@*: express | *
    express@v4.18.0: express | v4.18.0
    @types/node: @types/node
    @types/node@^20: @types/node | ^20
    @types/node@20.17.6: @types/node | 20.17.6
    @babel/core@^8.0.0-alpha.12: @babel/core | ^8.0.0-alpha.12
    @angular/cli@next: @angular/cli | next
    @-xun/symbiote: @-xun/symbiote
    @foo/_bar: @foo/_bar
    npm@latest-10: npm | latest-10
    react@18.3.0-canary-a870b2d54-20240314: react | 18.3.0-canary-a870b2d54-20240314
    JSONStream@1.3.5: JSONStream | 1.3.5
    lodash.merge: lodash.merge
    socket.io@4: socket.io | 4
    underscore: underscore
    is-odd@3.0.1: is-odd | 3.0.1
    eslint@9.15.0+build.1: eslint | 9.15.0+build.1
    vue@v3-latest: vue | v3-latest
    7zip-bin: 7zip-bin
    node-gyp: node-gyp
    ");
}

#[test]
fn npm_packages_are_no_options_or_aliases() {
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
    ", @r#"
    --registry=https://evil.example: begins with `-`, so that npm would read an option; options are not set here
    -g: begins with `-`, so that npm would read an option; options are not set here
    --ignore-scripts=false: begins with `-`, so that npm would read an option; options are not set here
    npm:evil@1.0.0: names a source with "npm:"; npm packages come from its registries, where they have names and versions
    express@npm:evil@1.0.0: names a source with "npm:"; npm packages come from its registries, where they have names and versions
    express@npm:@evil/express@1: names a source with "npm:"; npm packages come from its registries, where they have names and versions
    github:evil/express: names a source with "github:"; npm packages come from its registries, where they have names and versions
    express@github:evil/express: names a source with "github:"; npm packages come from its registries, where they have names and versions
    evil/express: holds `/`, so that npm would read a path or a repository
    evil/express@1.0.0: holds `/`, so that npm would read a path or a repository
    evil/express#main: holds '#', one of a shell's characters, of which a spec has none
    express@evil/express: holds `/`, so that npm would read a path or a repository
    git+ssh://git@evil.example/x.git: holds a URL; npm packages come from its registries, where they have names and versions
    git@evil.example:x.git: names a source with "evil.example:"; npm packages come from its registries, where they have names and versions
    express@git+https://evil.example/x: holds a URL; npm packages come from its registries, where they have names and versions
    https://evil.example/x.tgz: holds a URL; npm packages come from its registries, where they have names and versions
    express@https://evil.example/x.tgz: holds a URL; npm packages come from its registries, where they have names and versions
    file:../x: holds `..`, which is no part of a name or a version
    express@file:x: names a source with "file:"; npm packages come from its registries, where they have names and versions
    workspace:*: names a source with "workspace:"; npm packages come from its registries, where they have names and versions
    express@workspace:^: names a source with "workspace:"; npm packages come from its registries, where they have names and versions
    "#);
}

#[test]
fn npm_packages_are_no_repositories_or_folders() {
    refused!(Npm, "
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
    ", @r#"
    express.tgz: ends in ".tgz", so that npm would read the name of a file
    express.TAR: ends in ".tar", so that npm would read the name of a file
    express@1.0.tgz: ends in ".tgz", so that npm would read the name of a file
    express-1.0.0.tar.gz: ends in ".tar.gz", so that npm would read the name of a file
    @scope/x.tgz: ends in ".tgz", so that npm would read the name of a file
    ./express: is a path; a package is named, and comes from the registries
    ../express: is a path; a package is named, and comes from the registries
    /express: is a path; a package is named, and comes from the registries
    ~/express: is a path; a package is named, and comes from the registries
    .: is a path; a package is named, and comes from the registries
    express 4: holds white space; write one package an entry, and its version without spaces
    express@>=4 <5: holds white space; write one package an entry, and its version without spaces
    express@^4||^5: holds '|', one of a shell's characters, of which a spec has none
    express@1.0.0 - 2.0.0: holds white space; write one package an entry, and its version without spaces
    express;id: holds ';', one of a shell's characters, of which a spec has none
    express`id`: holds '`', one of a shell's characters, of which a spec has none
    express@$TAG: holds '$', one of a shell's characters, of which a spec has none
    'express': holds '\'', one of a shell's characters, of which a spec has none
    _express: has the name "_express"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    .express: is a path; a package is named, and comes from the registries
    node_modules: has the name "node_modules"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    favicon.ico: has the name "favicon.ico"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    "#);
}

#[test]
fn npm_packages_are_no_archives_and_have_proper_names() {
    refused!(Npm, "
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
    ", @r#"
    exp!ress: has the name "exp!ress"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    exp~ress: has the name "exp~ress"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    @scope: has the name "@scope"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    @scope/: has the name "@scope/"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    @/name: has the name "@/name"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    @scope/.name: has the name "@scope/.name"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    @.scope/name: has the name "@.scope/name"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    @scope/a/b: holds `/`, so that npm would read a path or a repository
    @@scope/name: holds `/`, so that npm would read a path or a repository
    @: has the name "@"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    express@: ends in '@'; write the version behind it, or leave it out
    express@@4: has the version "@4"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@4@5: has the version "4@5"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@^: has the version "^"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@^^4: has the version "^^4"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@^latest: has the version "^latest"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@-1: has the version "-1"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@>=4<5: has the version ">=4<5"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@1.*.3: has the version "1.*.3"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express@>: has the version ">"; a Node version is `1.2.3`, a range `^1.2.0`, `~1`, `>=1.2.3` or `1.x`, or a tag such as `latest`
    express==4.18.0: has the name "express==4.18.0"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    express[dev]: has the name "express[dev]"; a Node package has at most 214 letters, digits, `-`, `_` and `.`, the first a letter or digit, and may have a scope: `@scope/name`
    "#);
}

#[test]
fn a_name_of_npm_has_at_most_214_characters() {
    assert!(bailiwick_model::PackageSpec::parse(Npm, &"a".repeat(214)).is_ok());
    assert!(bailiwick_model::PackageSpec::parse(Npm, &"a".repeat(215)).is_err());
}
