//! What is read, what is refused, and what the refusal says.

use bailiwick_policy::{CidrRule, HostPattern, Pin, Pins, normalise_host, parse_destination};

fn pattern(text: &str) -> String {
    match text.parse::<HostPattern>() {
        Ok(pattern) => {
            let warning = pattern
                .warning()
                .map(|warning| format!("  warning: {warning}"))
                .unwrap_or_default();
            format!("ok {pattern}{warning}")
        }
        Err(error) => error.to_string(),
    }
}

fn each(texts: &[&str], read: impl Fn(&str) -> String) -> String {
    texts
        .iter()
        .map(|text| format!("{text:<32} {}\n", read(text)))
        .collect()
}

#[test]
fn host_rules_are_brought_into_one_form() {
    let texts = [
        "example.com",
        "EXAMPLE.com.",
        "*.Example.com:443",
        "a.b:8000-8100",
        "bücher.example",
        "*.bücher.example",
        "_dmarc.example.com",
        "a.b:1-65535",
        "localhost",
        "*.github.io",
        "*.internal",
        "*.s3.amazonaws.com",
    ];
    insta::assert_snapshot!(each(&texts, pattern), @r"
    example.com                      ok example.com
    EXAMPLE.com.                     ok example.com
    *.Example.com:443                ok *.example.com:443
    a.b:8000-8100                    ok a.b:8000-8100
    bücher.example                   ok xn--bcher-kva.example
    *.bücher.example                 ok *.xn--bcher-kva.example
    _dmarc.example.com               ok _dmarc.example.com
    a.b:1-65535                      ok a.b
    localhost                        ok localhost
    *.github.io                      ok *.github.io  warning: the names below `github.io` belong to different owners, anyone may get one; name those that are needed
    *.internal                       ok *.internal
    *.s3.amazonaws.com               ok *.s3.amazonaws.com  warning: the names below `s3.amazonaws.com` belong to different owners, anyone may get one; name those that are needed
    ");
}

#[test]
fn a_refused_wildcard_says_why_and_what_to_write() {
    let texts = [
        "*",
        "*.",
        "*.com",
        "*.co.uk",
        "*.ck",
        "**.example.com",
        "*example.com",
        "a.*.example.com",
        "*.*.example.com",
        "*.a*b",
        ".example.com",
        "*.:443",
    ];
    insta::assert_snapshot!(each(&texts, pattern), @r"
    *                                `*` would allow every host; that is the mode `unrestricted`, not a host rule
    *.                               a host name cannot be empty
    *.com                            `*.com` would cover every site under the public suffix `com`; name the domains that are needed
    *.co.uk                          `*.co.uk` would cover every site under the public suffix `co.uk`; name the domains that are needed
    *.ck                             `*.ck` would cover every site under the public suffix `ck`; name the domains that are needed
    **.example.com                   `*` may only stand alone in front, as in `*.example.com`; write `*.example.com`
    *example.com                     `*` may only stand alone in front, as in `*.example.com`; write `*.example.com`
    a.*.example.com                  `*` may only stand alone in front, as in `*.example.com`
    *.*.example.com                  `*` may only stand alone in front, as in `*.example.com`; write `*.example.com`
    *.a*b                            `*` may only stand alone in front, as in `*.example.com`
    .example.com                     a rule does not start with a dot; write `*.example.com`
    *.:443                           a host name cannot be empty
    ");
}

#[test]
fn a_url_or_an_address_is_no_host_rule_and_the_refusal_says_what_to_write() {
    let texts = [
        "https://example.com",
        "https://user@example.com:8443/x",
        "example.com/path",
        "10.0.0.1",
        "10.0.0.1:22",
        "10.0.0.1/8",
        "[::1]:443",
        "::1",
        "127.1",
        "0x7f000001",
        "user@example.com",
    ];
    insta::assert_snapshot!(each(&texts, pattern), @r"
    https://example.com              a host rule has no scheme; write `example.com`
    https://user@example.com:8443/x  a host rule has no scheme; write `example.com:8443`
    example.com/path                 a host rule has no path: access is per host; write `example.com`
    10.0.0.1                         10.0.0.1 is an address; put `10.0.0.1/32` under `allowed_cidrs`
    10.0.0.1:22                      addresses are not host rules; put `10.0.0.1/32:22` under `allowed_cidrs`
    10.0.0.1/8                       addresses are not host rules; put `10.0.0.0/8` under `allowed_cidrs`
    [::1]:443                        addresses are not host rules; put `[::1/128]:443` under `allowed_cidrs`
    ::1                              ::1 is an address; put `::1/128` under `allowed_cidrs`
    127.1                            127.0.0.1 is an address; put `127.0.0.1/32` under `allowed_cidrs`
    0x7f000001                       127.0.0.1 is an address; put `127.0.0.1/32` under `allowed_cidrs`
    user@example.com                 a host name has no user part; write only what follows `@`
    ");
}

#[test]
fn a_refused_name_or_port_says_why_and_what_to_write() {
    let texts = [
        "",
        ".",
        "example.com:0",
        "example.com:+443",
        "example.com:70000",
        "example.com:9-1",
        "example.com:",
        "a b.example",
        "a%2eb",
        "a..b",
        "xn--a.example",
        "example.123",
    ];
    insta::assert_snapshot!(each(&texts, pattern), @r#"
                                     a host name cannot be empty
    .                                a host name cannot be empty
    example.com:0                    port 0 does not exist; ports are 1 to 65535
    example.com:+443                 "+443" is not a port; write `443` or a range such as `8000-8100`
    example.com:70000                port 70000 does not exist; ports are 1 to 65535
    example.com:9-1                  the range 9-1 is empty; write `1-9`
    example.com:                     "" is not a port; write `443` or a range such as `8000-8100`
    a b.example                      a host name has no white space
    a%2eb                            percent-encoding is not read in a host name; write the characters themselves
    a..b                             a label between two dots is empty
    xn--a.example                    this has no ASCII form (UTS-46): a character, a label or its punycode is not valid
    example.123                      a name whose last label is a number is read as an IPv4 address by some programs
    "#);
}

#[test]
fn a_host_name_has_at_most_253_bytes() {
    let long = |length: usize| "a.".repeat(length / 2) + &"a".repeat(length % 2);
    assert!(normalise_host(&long(253)).is_ok());
    assert!(normalise_host(&(long(253) + ".")).is_ok());
    assert!(normalise_host(&(long(254) + "a")).is_err());
    assert!(format!("*.{}", long(253)).parse::<HostPattern>().is_ok());
    assert!(normalise_host(&"a".repeat(64)).is_err());
    assert!(normalise_host(&"ü".repeat(60)).is_err());
}

#[test]
fn cidr_rules_are_canonical_or_refused_with_the_canonical_form() {
    let texts = [
        "10.20.0.0/16",
        "10.20.0.0/16:5432",
        "[fd12::/32]:5432",
        "[fd12::/32]",
        "fd12::/32",
        "10.0.0.1",
        "10.0.0.1:22",
        "::1",
        "[::1]:22-23",
        "0.0.0.0/0",
        "10.20.0.1/16",
        "10.20.0.1/16:80",
        "fd12::1/32",
        "fd12::/32:5432",
        "::ffff:10.0.0.0/104",
        "[::ffff:10.0.0.1]:80",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0/8",
        "010.0.0.0/8",
        "example.com",
        "",
        "[fd12::/32",
        "[fd12::/32]x",
        "fe80::1%eth0/64",
        "10.0.0.0/8:0",
    ];
    insta::assert_snapshot!(each(&texts, |text| text.parse::<CidrRule>().map_or_else(|error| error.to_string(), |rule| format!("ok {rule}"))), @r#"
    10.20.0.0/16                     ok 10.20.0.0/16
    10.20.0.0/16:5432                ok 10.20.0.0/16:5432
    [fd12::/32]:5432                 ok [fd12::/32]:5432
    [fd12::/32]                      ok fd12::/32
    fd12::/32                        ok fd12::/32
    10.0.0.1                         ok 10.0.0.1/32
    10.0.0.1:22                      ok 10.0.0.1/32:22
    ::1                              ok ::1/128
    [::1]:22-23                      ok [::1/128]:22-23
    0.0.0.0/0                        ok 0.0.0.0/0
    10.20.0.1/16                     bits after the prefix are set; write `10.20.0.0/16`
    10.20.0.1/16:80                  bits after the prefix are set; write `10.20.0.0/16:80`
    fd12::1/32                       bits after the prefix are set; write `fd12::/32`
    fd12::/32:5432                   an IPv6 block with a port needs brackets; write `[fd12::/32]:5432`
    ::ffff:10.0.0.0/104              this is an IPv4 block in IPv6 form; write `10.0.0.0/8`
    [::ffff:10.0.0.1]:80             this is an IPv4 block in IPv6 form; write `10.0.0.1/32:80`
    10.0.0.0/33                      the prefix length "33" is not a number up to 32
    10.0.0.0/                        the prefix length "" is not a number up to 32
    10.0.0.0/+8                      the prefix length "+8" is not a number up to 32
    10.0.0/8                         "10.0.0/8" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
    010.0.0.0/8                      "010.0.0.0/8" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
    example.com                      "example.com" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
                                     "" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
    [fd12::/32                       "[fd12::/32" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
    [fd12::/32]x                     "[fd12::/32]x" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
    fe80::1%eth0/64                  "fe80::1%eth0/64" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`
    10.0.0.0/8:0                     port 0 does not exist; ports are 1 to 65535
    "#);
}

fn destination(text: &str) -> String {
    match parse_destination(text) {
        Ok(to) => format!("ok {} {to}", to.protocol),
        Err(error) => error.to_string(),
    }
}

#[test]
fn destinations_are_read_as_people_type_them() {
    let texts = [
        "example.com",
        "Example.COM.:443",
        "https://example.com",
        "HTTP://user:pw@Example.com/a?b#c",
        "https://example.com:8443/",
        "postgres://db.example.com/app",
        "ssh://git@example.com/x.git",
        "192.0.2.1",
        "192.0.2.1:22",
        "::1",
        "[::1]",
        "[2001:db8::7]:443",
        "https://[2001:db8::7]/",
        "::ffff:10.0.0.1",
        "bücher.example:1",
        "gopher://example.com:70",
    ];
    insta::assert_snapshot!(each(&texts, destination), @r"
    example.com                      ok dns example.com
    Example.COM.:443                 ok tcp example.com:443
    https://example.com              ok tcp example.com:443
    HTTP://user:pw@Example.com/a?b#c ok tcp example.com:80
    https://example.com:8443/        ok tcp example.com:8443
    postgres://db.example.com/app    ok tcp db.example.com:5432
    ssh://git@example.com/x.git      ok tcp example.com:22
    192.0.2.1                        ok dns 192.0.2.1
    192.0.2.1:22                     ok tcp 192.0.2.1:22
    ::1                              ok dns ::1
    [::1]                            ok dns ::1
    [2001:db8::7]:443                ok tcp [2001:db8::7]:443
    https://[2001:db8::7]/           ok tcp [2001:db8::7]:443
    ::ffff:10.0.0.1                  ok dns 10.0.0.1
    bücher.example:1                 ok tcp xn--bcher-kva.example:1
    gopher://example.com:70          ok tcp example.com:70
    ");
}

#[test]
fn destinations_that_are_unclear_are_refused() {
    let texts = [
        "gopher://example.com",
        "https://a\\@b/",
        "fe80::1%eth0",
        "[fe80::1%25eth0]:80",
        "[::1",
        "[::1]x",
        "127.1:80",
        "http://2130706433/",
        "127.0.0.1.",
        "example.com:0",
        "example.com:http",
        "a b",
        "",
        "https://",
        "*.example.com",
    ];
    insta::assert_snapshot!(each(&texts, destination), @r#"
    gopher://example.com             the port of `gopher:` is not known; add it, as in `gopher://example.com:443/`
    https://a\@b/                    programs differ in how they read `\` in a URL; write `/`
    fe80::1%eth0                     an address with a zone is of one link of one machine; leave out `%` and what follows
    [fe80::1%25eth0]:80              an address with a zone is of one link of one machine; leave out `%` and what follows
    [::1                             in brackets there is an IPv6 address, and after them nothing or `:PORT`
    [::1]x                           in brackets there is an IPv6 address, and after them nothing or `:PORT`
    127.1:80                         some programs read this as an address; write 127.0.0.1
    http://2130706433/               some programs read this as an address; write 127.0.0.1
    127.0.0.1.                       some programs read this as an address; write 127.0.0.1
    example.com:0                    port 0 does not exist; ports are 1 to 65535
    example.com:http                 "http" is not a port; write `443` or a range such as `8000-8100`
    a b                              a host name has no white space
                                     a host name cannot be empty
    https://                         a host name cannot be empty
    *.example.com                    `*` is not part of a host name
    "#);
}

#[test]
fn a_pin_names_an_address_and_may_name_a_port() {
    let texts = [
        "db.example.com=10.0.0.5",
        "DB.example.com=10.0.0.5:5432",
        "a.example=[::1]:443",
        "a.example=2001:db8::1",
        "a.example=127.0.0.1",
        "a.example=::1",
        "a.example",
        "10.0.0.1=10.0.0.2",
        "a.example=b.example",
        "a.example=10.0.0.5:0",
        "a.example=::ffff:127.0.0.1",
    ];
    let read = |text: &str| match text.parse::<Pin>() {
        Ok(Pin {
            name,
            address,
            port,
        }) => format!("ok {name} {address} {port:?}"),
        Err(error) => error.to_string(),
    };
    insta::assert_snapshot!(each(&texts, read), @r#"
    db.example.com=10.0.0.5          ok db.example.com 10.0.0.5 None
    DB.example.com=10.0.0.5:5432     ok db.example.com 10.0.0.5 Some(5432)
    a.example=[::1]:443              ok a.example ::1 Some(443)
    a.example=2001:db8::1            ok a.example 2001:db8::1 None
    a.example=127.0.0.1              a name pinned to loopback needs the port: a.example=127.0.0.1:PORT
    a.example=::1                    a name pinned to loopback needs the port: a.example=[::1]:PORT
    a.example                        write NAME=ADDR or NAME=ADDR:PORT
    10.0.0.1=10.0.0.2                the name: this is the address 10.0.0.1, not a name
    a.example=b.example              "b.example" is not an address; write for example 192.0.2.7, 192.0.2.7:443 or [2001:db8::7]:443
    a.example=10.0.0.5:0             port 0 does not exist; ports are 1 to 65535
    a.example=::ffff:127.0.0.1       a name pinned to loopback needs the port: a.example=127.0.0.1:PORT
    "#);
}

#[test]
fn pins_answer_for_their_name_and_port() {
    let pins: Pins = [
        "a.example=10.0.0.1",
        "a.example=10.0.0.2:443",
        "b.example=10.0.0.3",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    let addresses = |name: &str, port| {
        pins.addresses(&normalise_host(name).unwrap(), port)
            .map(|address| address.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(addresses("a.example", 443), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(addresses("a.example", 80), ["10.0.0.1"]);
    assert!(addresses("c.example", 80).is_empty());
    assert!(Pins::none().is_empty());
}
