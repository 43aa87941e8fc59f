//! Credentials as requests carry them.

use bailiwick_wire::{CredentialAuth, CredentialBody, FieldProblem, SecretName};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn body(auth: Value) -> Map<String, Value> {
    [("auth".to_owned(), auth)].into_iter().collect()
}

fn create(auth: Value) -> Result<CredentialBody, Vec<FieldProblem>> {
    CredentialBody::create(&body(auth), now())
}

fn update(stored: Value, auth: Value) -> Result<CredentialBody, Vec<FieldProblem>> {
    let stored = create(stored).unwrap().values;
    CredentialBody::update(&stored, &body(auth), now())
}

#[track_caller]
fn refused(result: Result<CredentialBody, Vec<FieldProblem>>) -> Vec<(String, &'static str)> {
    let problems = result.expect_err("refused");
    let told = problems.into_iter();
    told.map(|problem| (problem.field, problem.code)).collect()
}

fn oauth() -> Value {
    json!({"type": "mcp_oauth", "mcp_server_url": "https://mcp.example.com", "access_token": "a", "expires_at": "2026-01-01T00:00:01Z",
        "refresh": {"client_id": "c", "refresh_token": "r", "token_endpoint": "https://id.example.com/token",
            "token_endpoint_auth": {"type": "client_secret_post", "client_secret": "s"}, "resource": "https://mcp.example.com", "scope": "x"}})
}

fn bearer() -> Value {
    json!({"type": "static_bearer", "mcp_server_url": "https://mcp.example.com", "token": "t"})
}

fn variable() -> Value {
    json!({"type": "environment_variable", "secret_name": "API_KEY", "secret_value": "v", "networking": {"type": "limited", "allowed_hosts": ["a.example.com"]}})
}

/// Another value in one place of `auth`.
fn with(mut auth: Value, path: &str, value: Value) -> Value {
    *auth
        .pointer_mut(path)
        .unwrap_or_else(|| panic!("no {path}")) = value;
    auth
}

#[test]
fn every_text_has_its_limits() {
    let url = |length: usize| {
        let start = "https://mcp.example.com/";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let text = |length: usize| "x".repeat(length);
    for (auth, path, most, make) in [
        (
            oauth(),
            "/mcp_server_url",
            2047,
            &url as &dyn Fn(usize) -> String,
        ),
        (oauth(), "/access_token", 8192, &text),
        (oauth(), "/refresh/client_id", 1024, &text),
        (oauth(), "/refresh/refresh_token", 4096, &text),
        (oauth(), "/refresh/token_endpoint", 2047, &url),
        (
            oauth(),
            "/refresh/token_endpoint_auth/client_secret",
            512,
            &text,
        ),
        (oauth(), "/refresh/resource", 2047, &text),
        (oauth(), "/refresh/scope", 8192, &text),
        (bearer(), "/mcp_server_url", 2047, &url),
        (bearer(), "/token", 8192, &text),
        (variable(), "/secret_name", 255, &text),
        (variable(), "/secret_value", 4096, &text),
    ] {
        create(with(auth.clone(), path, make(most).into())).unwrap();
        let field = format!("auth{}", path.replace('/', "."));
        let more = create(with(auth.clone(), path, make(most + 1).into()));
        assert_eq!(refused(more), [(field.clone(), "invalid_length")]);
        let number = create(with(auth.clone(), path, 1.into()));
        assert_eq!(refused(number), [(field.clone(), "wrong_type")]);
        if !["/refresh/resource", "/refresh/scope"].contains(&path) {
            let empty = create(with(auth.clone(), path, "".into()));
            assert_eq!(refused(empty), [(field.clone(), "invalid_length")]);
            let missing = create(with(auth, path, Value::Null));
            assert_eq!(refused(missing), [(field, "missing_field")]);
        }
    }
    // Characters, not bytes.
    create(with(variable(), "/secret_value", "ü".repeat(4096).into())).unwrap();
}

#[test]
fn urls_are_taken_that_can_be_dialled_and_hold_no_secret() {
    for (url, taken) in [
        ("https://mcp.example.com/a?b=c", true),
        ("http://mcp.example.com", true),
        ("HTTPS://MCP.example.com:8443/", true),
        ("https://[2001:db8::1]/mcp", true),
        ("mcp.example.com", false),
        ("/mcp", false),
        ("https://", false),
        ("ftp://mcp.example.com", false),
        ("file:///etc/passwd", false),
        ("javascript:alert(1)", false),
        ("https://me:pass@mcp.example.com", false),
        ("https://me@mcp.example.com", false),
        ("https://mcp.example.com/#x", false),
        (" https://mcp.example.com", false),
        ("https://mcp.exa\nmple.com", false),
        ("https://mcp.example.com/\r\nx: y", false),
    ] {
        let made = create(with(bearer(), "/mcp_server_url", url.into()));
        assert_eq!(made.is_ok(), taken, "{url}: {made:?}");
    }
    // Secrets are sent to a token endpoint.
    for (url, taken) in [
        ("https://id.example.com/token", true),
        ("http://127.0.0.1:8080/token", true),
        ("http://[::1]/token", true),
        ("http://localhost/token", true),
        ("http://id.example.com/token", false),
        ("http://localhost.example.com/token", false),
        ("http://127.0.0.1.example.com/token", false),
    ] {
        let made = create(with(oauth(), "/refresh/token_endpoint", url.into()));
        assert_eq!(made.is_ok(), taken, "{url}: {made:?}");
    }
}

#[test]
fn what_goes_into_a_header_holds_nothing_that_ends_one() {
    for bad in ["t\n", "t\r\nx: y", "t\0", "tö", "\u{7f}"] {
        for (auth, path) in [
            (bearer(), "/token"),
            (oauth(), "/access_token"),
            (oauth(), "/refresh/refresh_token"),
            (oauth(), "/refresh/client_id"),
            (oauth(), "/refresh/scope"),
            (oauth(), "/refresh/token_endpoint_auth/client_secret"),
        ] {
            let made = create(with(auth, path, bad.into()));
            assert_eq!(refused(made)[0].1, "invalid_characters", "{path}: {bad:?}");
        }
    }
}

#[test]
fn hosts_are_names_wildcards_and_single_ipv4_addresses() {
    let hosts = |hosts: Value| with(variable(), "/networking/allowed_hosts", hosts);
    let made = create(hosts(json!([
        "API.example.com.",
        "*.Example.com",
        "192.0.2.1"
    ])))
    .unwrap();
    let shown = json!(made.values.auth);
    assert_eq!(
        shown["networking"]["allowed_hosts"],
        json!(["api.example.com", "*.example.com", "192.0.2.1"])
    );
    for bad in [
        "*",
        "*.com",
        "a.example.com:443",
        "192.0.2.1:80",
        "192.0.2.0/24",
        "2001:db8::1",
        "[2001:db8::1]",
        "127.1",
        "https://a.example.com",
        "a.example.com/x",
        "a b",
        "",
        "*.*.example.com",
    ] {
        let refused = refused(create(hosts(json!(["ok.example.com", bad]))));
        assert_eq!(refused[0].0, "auth.networking.allowed_hosts[1]", "{bad}");
    }
    let many = |count: usize| {
        json!(
            (0..count)
                .map(|n| format!("h{n}.example.com"))
                .collect::<Vec<_>>()
        )
    };
    create(hosts(many(16))).unwrap();
    create(hosts(json!([]))).unwrap();
    assert_eq!(refused(create(hosts(many(17))))[0].1, "too_much");
    let twice = hosts(json!(["a.example.com", "A.example.com"]));
    assert_eq!(refused(create(twice))[0].1, "duplicate");
    for networking in [
        json!({"type": "limited"}),
        json!({"allowed_hosts": []}),
        json!({"type": "open"}),
        json!({"type": "unrestricted", "allowed_hosts": ["a.example.com"]}),
        json!({"type": "limited", "allowed_hosts": "a.example.com"}),
        json!({"type": "limited", "allowed_hosts": [], "allowed_cidrs": []}),
        Value::Null,
    ] {
        let made = create(with(variable(), "/networking", networking.clone()));
        assert!(made.is_err(), "{networking}");
    }
}

#[test]
fn a_secret_goes_somewhere() {
    let located = |location: Option<Value>| {
        let mut auth = variable();
        if let Some(location) = location {
            auth["injection_location"] = location;
        }
        create(auth).map(|made| json!(made.values.auth)["injection_location"].clone())
    };
    let both = json!({"header": true, "body": true});
    assert_eq!(located(None).unwrap(), both);
    assert_eq!(
        located(Some(json!({"body": true}))).unwrap(),
        json!({"header": false, "body": true})
    );
    for nowhere in [json!({}), json!({"header": false}), Value::Null] {
        let problems = located(Some(nowhere)).unwrap_err();
        let told = (problems[0].field.as_str(), problems[0].code);
        assert_eq!(told, ("auth.injection_location", "no_injection_location"));
    }
    assert!(located(Some(json!({"header": "yes"}))).is_err());
    assert!(located(Some(json!({"cookie": true, "header": true}))).is_err());
}

#[test]
fn headers_that_a_secret_goes_into_can_be_named() {
    let located = |location: Value| {
        let mut auth = variable();
        auth["injection_location"] = location;
        create(auth).map(|made| json!(made.values.auth)["injection_location"].clone())
    };
    assert_eq!(
        located(
            json!({"header": true, "header_names": ["Authorization", "X-Key", "authorization"]})
        )
        .unwrap(),
        json!({"header": true, "body": false, "header_names": ["authorization", "x-key"]})
    );
    assert_eq!(
        located(json!({"header": true, "header_names": []})).unwrap(),
        json!({"header": true, "body": false})
    );
    let many: Vec<_> = (0..17).map(|number| format!("x-{number}")).collect();
    for refused in [
        json!({"body": true, "header_names": ["authorization"]}),
        json!({"header": true, "header_names": ["host"]}),
        json!({"header": true, "header_names": ["a b"]}),
        json!({"header": true, "header_names": ["a\r\nb"]}),
        json!({"header": true, "header_names": "authorization"}),
        json!({"header": true, "header_names": many}),
    ] {
        assert!(located(refused.clone()).is_err(), "{refused}");
    }
}

#[test]
fn a_change_of_the_location_keeps_what_it_does_not_name() {
    let mut stored = variable();
    stored["injection_location"] = json!({"header": true, "header_names": ["authorization"]});
    let changed = |location: Value| {
        let change = json!({"type": "environment_variable", "injection_location": location});
        let after = update(stored.clone(), change).unwrap();
        json!(after.values.auth)["injection_location"].clone()
    };
    assert_eq!(
        changed(json!({"body": true})),
        json!({"header": true, "body": true, "header_names": ["authorization"]})
    );
    assert_eq!(
        changed(json!({"header": false, "body": true})),
        json!({"header": false, "body": true})
    );
    for all in [json!({"header_names": []}), json!({"header_names": null})] {
        assert_eq!(changed(all), json!({"header": true, "body": false}));
    }
}

#[test]
fn a_variable_has_a_name_that_programs_can_read() {
    for (name, taken) in [
        ("API_KEY", true),
        ("_a1", true),
        ("1A", false),
        ("A-B", false),
        ("A=B", false),
        ("A B", false),
        ("Ä", false),
        ("A\0", false),
    ] {
        let made = create(with(variable(), "/secret_name", name.into()));
        assert_eq!(made.is_ok(), taken, "{name:?}");
    }
}

#[test]
fn fields_of_another_type_and_unknown_ones_are_refused() {
    for (auth, field) in [
        (
            json!({"type": "static_bearer", "mcp_server_url": "https://a.example.com", "token": "t", "access_token": "a"}),
            "auth.access_token",
        ),
        (json!({"type": "password"}), "auth.type"),
        (
            json!({"mcp_server_url": "https://a.example.com", "token": "t"}),
            "auth.type",
        ),
        (json!({"type": 1}), "auth.type"),
        (json!([]), "auth"),
        (Value::Null, "auth"),
    ] {
        let told = refused(create(auth.clone()));
        assert_eq!(told.len(), 1, "{auth}: {told:?}");
        assert_eq!(told[0].0, field, "{auth}");
    }
    let mut none = oauth();
    none["refresh"]["token_endpoint_auth"] = json!({"type": "none", "client_secret": "s"});
    assert_eq!(
        refused(create(none))[0].0,
        "auth.refresh.token_endpoint_auth.client_secret"
    );
    let mut past = oauth();
    past["expires_at"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        refused(create(past)),
        [("auth.expires_at".to_owned(), "in_the_past")]
    );
    let never = with(oauth(), "/expires_at", "tomorrow".into());
    assert_eq!(refused(create(never))[0].1, "invalid_time");
}

#[test]
fn a_change_replaces_the_secrets_that_it_carries() {
    let names = |result: Result<CredentialBody, Vec<FieldProblem>>| {
        let secrets = result.unwrap().secrets;
        let told = secrets
            .iter()
            .map(|(name, secret)| (*name, secret.reveal().to_owned()));
        told.collect::<Vec<_>>()
    };
    let client = json!({"type": "client_secret_basic", "client_secret": "s2"});
    let change = json!({"type": "mcp_oauth", "refresh": {"token_endpoint_auth": client, "refresh_token": "r2"}});
    let changed = update(oauth(), change.clone()).unwrap();
    // Which way the secret goes stays.
    let CredentialAuth::McpOauth(auth) = &changed.values.auth else {
        panic!("another type")
    };
    let kind = auth.refresh.as_ref().unwrap().token_endpoint_auth.r#type;
    assert_eq!(
        kind,
        bailiwick_wire::TokenEndpointAuthKind::ClientSecretPost
    );
    let replaced = [
        (SecretName::RefreshToken, "r2".to_owned()),
        (SecretName::ClientSecret, "s2".to_owned()),
    ];
    assert_eq!(names(Ok(changed)), replaced);
    assert_eq!(
        names(update(bearer(), json!({"type": "static_bearer"}))),
        []
    );
    let value = json!({"type": "environment_variable", "secret_value": "v2"});
    assert_eq!(
        names(update(variable(), value)),
        [(SecretName::SecretValue, "v2".to_owned())]
    );
    let mut public = oauth();
    public["refresh"]["token_endpoint_auth"] = json!({"type": "none"});
    let told = refused(update(public, change));
    assert_eq!(
        told,
        [(
            "auth.refresh.token_endpoint_auth".to_owned(),
            "no_client_secret"
        )]
    );
    let mut without = oauth();
    without["refresh"] = Value::Null;
    let change = json!({"type": "mcp_oauth", "refresh": {"scope": "x"}});
    assert_eq!(
        refused(update(without, change)),
        [("auth.refresh".to_owned(), "no_refresh")]
    );
}

#[test]
fn the_same_server_is_the_same_target_however_it_is_written() {
    let target = |url: &str| {
        create(with(bearer(), "/mcp_server_url", url.into()))
            .unwrap()
            .values
            .auth
            .target()
    };
    for url in [
        "https://Mcp.Example.com/a",
        "HTTPS://mcp.example.com:443/a/",
        "https://mcp.example.com/a/",
    ] {
        assert_eq!(target(url), target("https://mcp.example.com/a"), "{url}");
    }
    assert_eq!(
        target("https://mcp.example.com"),
        target("https://mcp.example.com/")
    );
    for other in [
        "https://mcp.example.com/A",
        "https://mcp.example.com:8443/a",
        "http://mcp.example.com/a",
        "https://x.mcp.example.com/a",
        "https://mcp.example.com/a?b",
    ] {
        assert_ne!(
            target(other),
            target("https://mcp.example.com/a"),
            "{other}"
        );
    }
}

#[test]
fn secrets_do_not_print() {
    let made = create(with(bearer(), "/token", "SECRET".into())).unwrap();
    assert!(!format!("{made:?} {made:#?}").contains("SECRET"));
    // The control.
    assert_eq!(made.secrets[0].1.reveal(), "SECRET");
}
