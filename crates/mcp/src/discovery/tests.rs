use super::*;

fn server() -> Url {
    "https://mcp.example.com/a/mcp".parse().unwrap()
}

fn read(changed: &Value) -> Result<AuthorizationServer, DiscoveryError> {
    let mut document = json!({
        "issuer": "https://login.example.com",
        "authorization_endpoint": "https://login.example.com/authorize",
        "token_endpoint": "https://login.example.com/token",
        "code_challenge_methods_supported": ["S256"],
    });
    for (name, value) in changed.as_object().unwrap() {
        document[name] = value.clone();
    }
    let metadata: Metadata = serde_json::from_value(document).unwrap();
    metadata.checked("https://login.example.com", &server())
}

#[test]
fn an_authorization_server_speaks_for_itself_alone() {
    assert!(read(&json!({})).is_ok());
    assert!(read(&json!({"issuer": "https://login.example.com/"})).is_ok());
    for other in [
        "https://login.example.com.evil.example",
        "https://evil.example",
        "http://login.example.com",
        "https://login.example.com/tenant",
    ] {
        let refused = read(&json!({"issuer": other}));
        assert!(matches!(refused, Err(DiscoveryError::OtherIssuer { .. })));
    }
}

#[test]
fn an_endpoint_is_one_of_tls() {
    for (bad, name) in [
        ("http://login.example.com/token", "token_endpoint"),
        ("http://127.0.0.1/token", "token_endpoint"),
        ("javascript:alert(1)", "authorization_endpoint"),
        ("https://u:p@login.example.com/a", "authorization_endpoint"),
        ("/register", "registration_endpoint"),
    ] {
        let refused = read(&json!({name: bad}));
        assert!(matches!(refused, Err(DiscoveryError::Endpoint(_))), "{bad}");
    }
}

#[test]
fn without_pkce_there_is_no_way() {
    for methods in [json!([]), json!(["plain"])] {
        let refused = read(&json!({"code_challenge_methods_supported": methods}));
        assert!(matches!(refused, Err(DiscoveryError::NoPkce)));
    }
}

#[test]
fn a_challenge_is_read_with_what_stands_around_it() {
    let both = r#"Bearer error="invalid_token", resource_metadata="https://a/b", scope="x y""#;
    assert_eq!(parameter(both, "resource_metadata").unwrap(), "https://a/b");
    assert_eq!(parameter(both, "scope").unwrap(), "x y");
    assert_eq!(parameter("Bearer scope=x, a=b", "scope").unwrap(), "x");
    assert_eq!(parameter("Bearer my_scope=x", "scope"), None);
    assert_eq!(parameter("Bearer", "scope"), None);
    assert_eq!(parameter("Bearer scope=\"", "scope"), None);
}

#[test]
fn a_document_is_looked_for_before_the_path_and_at_the_host() {
    let places = known_places(&server(), "oauth-protected-resource");
    let places: Vec<_> = places.iter().map(Url::as_str).collect();
    assert_eq!(
        places,
        [
            "https://mcp.example.com/.well-known/oauth-protected-resource/a/mcp",
            "https://mcp.example.com/.well-known/oauth-protected-resource",
        ]
    );
}
