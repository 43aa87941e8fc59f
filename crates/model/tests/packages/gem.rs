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
        nokogiri:1.16.7-x86_64-linux
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
    ", @"");
}

#[test]
fn gems_are_no_options_files_or_lists_of_requirements() {
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
        rails:7.1.0:7.2.0
        rails:~7
        rails:*
    ", @"");
}
