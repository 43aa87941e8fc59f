use bailiwick_model::{Host, Protocol, SecretText};

use super::*;
use crate::normalise_host;

fn at(host: &str, port: u16) -> Destination {
    let host = match host.parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(normalise_host(host).unwrap()),
    };
    Destination {
        host,
        port,
        protocol: Protocol::Tcp,
    }
}

fn projected(hosts: CredentialHosts) -> Projections {
    let placeholder = PlaceholderProjection {
        placeholder: Placeholder::of([7; 16]),
        secret: SecretText::new("the-canary".to_owned()),
        hosts,
        headers: HeaderFields::All,
        body: false,
    };
    Projections::new(vec![placeholder], Vec::new())
}

fn limited(hosts: &[&str]) -> CredentialHosts {
    CredentialHosts::Limited(hosts.iter().map(|host| host.parse().unwrap()).collect())
}

#[test]
fn a_secret_goes_to_the_hosts_of_its_credential_alone() {
    let check = |hosts: &[&str], host: &str, expected: bool| {
        let projections = projected(limited(hosts));
        assert_eq!(
            projections.concern(&at(host, 443)),
            expected,
            "{hosts:?} {host}"
        );
    };
    check(&["api.example.com"], "api.example.com", true);
    check(&["api.example.com"], "API.example.com.", true);
    check(&["api.example.com"], "example.com", false);
    check(&["api.example.com"], "x.api.example.com", false);
    check(&["api.example.com"], "api.example.com.evil.test", false);
    check(&["*.example.com"], "a.b.example.com", true);
    check(&["*.example.com"], "example.com", false);
    check(&["*.example.com"], "notexample.com", false);
    check(&["192.0.2.1"], "192.0.2.1", true);
    check(&["192.0.2.1"], "::ffff:192.0.2.1", true);
    check(&["192.0.2.1"], "192.0.2.2", false);
    check(&[], "api.example.com", false);
}

#[test]
fn a_credential_without_hosts_of_its_own_goes_to_every_host() {
    assert!(projected(CredentialHosts::Unrestricted).concern(&at("api.example.com", 8443)));
    assert!(!Projections::none().concern(&at("api.example.com", 443)));
}

#[test]
fn a_port_of_a_host_counts() {
    let projections = projected(limited(&["api.example.com:8443"]));
    assert!(projections.concern(&at("api.example.com", 8443)));
    assert!(!projections.concern(&at("api.example.com", 443)));
}

#[test]
fn nothing_prints_a_secret() {
    let projections = projected(CredentialHosts::Unrestricted);
    assert!(!format!("{projections:?}").contains("canary"));
}

#[test]
fn hosts_of_credentials_are_no_urls_blocks_or_ipv6_addresses() {
    for bad in [
        "https://a.example",
        "10.0.0.0/8",
        "::1",
        "*",
        "*.com",
        "a.example/x",
        "",
    ] {
        assert!(bad.parse::<CredentialHost>().is_err(), "{bad}");
    }
}

#[test]
fn a_prefix_covers_its_path_and_what_is_below_in_one_spelling_only() {
    let prefix: PathPrefix = "/owner/name".parse().unwrap();
    for path in [
        "/owner/name",
        "/owner/name/",
        "/owner/name.git/info/refs?service=git-upload-pack",
        "/owner/name/info/refs",
    ] {
        assert!(prefix.covers(path), "{path}");
    }
    for path in [
        "/owner/name2",
        "/owner/name.gitx",
        "/owner/name/../other",
        "/owner/name/%2e%2e/other",
        "/owner/name//x",
        "/owner/name/..;/other",
        "/owner/name\\..\\other",
        "/Owner/name",
        "/owner",
        "owner/name",
        "*",
        "",
    ] {
        assert!(!prefix.covers(path), "{path}");
    }
    assert!("/".parse::<PathPrefix>().unwrap().covers("/a/../b"));
    for bad in ["", "a", "//", "/a//b", "/a/../b", "/a?b", "/%61"] {
        assert!(bad.parse::<PathPrefix>().is_err(), "{bad}");
    }
}

#[test]
fn no_secret_goes_into_a_field_that_leads_or_frames_a_request() {
    for bad in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "",
        "a b",
        "a:",
    ] {
        assert!(bad.parse::<FieldName>().is_err(), "{bad}");
    }
    let name: FieldName = "X-Api-Key".parse().unwrap();
    let fields = HeaderFields::Named(vec![name]);
    assert!(fields.contain("x-api-key") && !fields.contain("authorization"));
}

#[test]
fn placeholders_are_parsed_as_they_are_printed() {
    let placeholder = Placeholder::of([0xab; 16]);
    assert_eq!(placeholder.to_string().parse(), Ok(placeholder));
    for bad in [
        "",
        "short",
        "has space in it, which no text of it has",
        "a\r\nb-a-long-enough-text",
    ] {
        assert!(bad.parse::<Placeholder>().is_err(), "{bad}");
    }
}
