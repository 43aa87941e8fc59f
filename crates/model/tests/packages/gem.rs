//! Gems.

use super::Gem;

#[test]
fn gems_are_names_with_a_version_or_a_requirement() {
    taken!(Gem, "
        rails
        rails:7.1.0
        rails:~>7.1
        rails:>=7
        rails:!=7.1.1
        rails:<8
        rails:<=7.2.2
        rails:=7.1.0
        rails:>6.1
        bundler:2.5.23
        nokogiri:1.16.7-aarch64-linux
        nokogiri:1.16.7-java
        google-protobuf:4.28.3
        activesupport:7.1.0.rc1
        puma:6.4.3
        rubocop-rails_config
        ruby_parser
        net-http
        mini_racer:0.16.0
        aws-sdk-s3:1.170.0
        RedCloth:4.3.4
        RubyInline
        jekyll:4.3.4
        fluent-plugin-s3
        i18n:1.14.6
        2fa
        zeitwerk:2.7.1
        ruby.rb
    ", @r"
    rails: rails
    rails:7.1.0: rails | 7.1.0
    rails:~>7.1: rails | ~>7.1
    rails:>=7: rails | >=7
    rails:!=7.1.1: rails | !=7.1.1
    rails:<8: rails | <8
    rails:<=7.2.2: rails | <=7.2.2
    rails:=7.1.0: rails | =7.1.0
    rails:>6.1: rails | >6.1
    bundler:2.5.23: bundler | 2.5.23
    nokogiri:1.16.7-aarch64-linux: nokogiri | 1.16.7-aarch64-linux
    nokogiri:1.16.7-java: nokogiri | 1.16.7-java
    google-protobuf:4.28.3: google-protobuf | 4.28.3
    activesupport:7.1.0.rc1: activesupport | 7.1.0.rc1
    puma:6.4.3: puma | 6.4.3
    rubocop-rails_config: rubocop-rails_config
    ruby_parser: ruby_parser
    net-http: net-http
    mini_racer:0.16.0: mini_racer | 0.16.0
    aws-sdk-s3:1.170.0: aws-sdk-s3 | 1.170.0
    RedCloth:4.3.4: RedCloth | 4.3.4
    RubyInline: RubyInline
    jekyll:4.3.4: jekyll | 4.3.4
    fluent-plugin-s3: fluent-plugin-s3
    i18n:1.14.6: i18n | 1.14.6
    2fa: 2fa
    zeitwerk:2.7.1: zeitwerk | 2.7.1
    ruby.rb: ruby.rb
    ");
}

#[test]
fn gems_are_no_options_or_files() {
    refused!(Gem, "
        --source=https://evil.example
        -P
        -irails
        -- --with-cflags=x
        rails:--source=x
        ./rails.gem
        /tmp/rails.gem
        rails.gem
        rails-7.1.0.GEM
        rails:1.gem
        https://evil.example/rails.gem
        owner/rails
        rails 7.1.0
        rails;id
        rails&
        ${IFS}
        \"rails\"
        .rails
    ", @r#"
    --source=https://evil.example: begins with `-`, so that gem would read an option; options are not set here
    -P: begins with `-`, so that gem would read an option; options are not set here
    -irails: begins with `-`, so that gem would read an option; options are not set here
    -- --with-cflags=x: begins with `-`, so that gem would read an option; options are not set here
    rails:--source=x: has the version "--source=x"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    ./rails.gem: is a path; a package is named, and comes from the registries
    /tmp/rails.gem: is a path; a package is named, and comes from the registries
    rails.gem: ends in ".gem", so that gem would read the name of a file
    rails-7.1.0.GEM: ends in ".gem", so that gem would read the name of a file
    rails:1.gem: ends in ".gem", so that gem would read the name of a file
    https://evil.example/rails.gem: holds a URL; gem packages come from its registries, where they have names and versions
    owner/rails: holds `/`, so that gem would read a path or a repository
    rails 7.1.0: holds white space; write one package an entry, and its version without spaces
    rails;id: holds ';', one of a shell's characters, of which a spec has none
    rails&: holds '&', one of a shell's characters, of which a spec has none
    ${IFS}: holds '$', one of a shell's characters, of which a spec has none
    "rails": holds '"', one of a shell's characters, of which a spec has none
    .rails: is a path; a package is named, and comes from the registries
    "#);
}

#[test]
fn gems_have_no_lists_of_requirements() {
    refused!(Gem, "
        _rails
        123
        rails+x
        rails@7.1.0
        rails==7.1.0
        rails:
        rails:latest
        rails:v7.1.0
        rails:7.
        rails:7..1
        rails:~> 7.1
        rails:~>
        rails:^7.1
        rails:>=7,<8
        rails:7.1.0-
        nokogiri:1.16.7-x86_64-linux
        rails:7.1.0:7.2.0
        rails:~7
        rails:*
    ", @r#"
    _rails: has the name "_rails"; a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least
    123: has the name "123"; a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least
    rails+x: has the name "rails+x"; a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least
    rails@7.1.0: has the name "rails@7.1.0"; a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least
    rails==7.1.0: has the name "rails==7.1.0"; a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least
    rails:: ends in ':'; write the version behind it, or leave it out
    rails:latest: has the version "latest"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:v7.1.0: has the version "v7.1.0"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:7.: has the version "7."; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:7..1: holds `..`, which is no part of a name or a version
    rails:~> 7.1: holds white space; write one package an entry, and its version without spaces
    rails:~>: has the version "~>"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:^7.1: has the version "^7.1"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:>=7,<8: has the version ">=7,<8"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:7.1.0-: has the version "7.1.0-"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    nokogiri:1.16.7-x86_64-linux: has the version "1.16.7-x86_64-linux"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:7.1.0:7.2.0: has the version "7.1.0:7.2.0"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:~7: has the version "~7"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    rails:*: has the version "*"; a gem's version is `7.1.0`, a requirement one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `~>` with a version
    "#);
}
