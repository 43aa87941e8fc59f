use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bailiwick_dial::DialOptions;
use bailiwick_policy::HostFacts;
use tokio::sync::watch;

use super::*;

/// What a file comes to.
fn read(text: &str) -> Result<(Vec<IpNet>, IdentityProviders), String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    fs::write(&path, text).unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (_, facts) = watch::channel(Arc::new(HostFacts::unknown()));
    let dialer = Arc::new(Dialer::new(DialOptions::new(facts)));
    let told = |error: BadInput| format!("{:#}", anyhow::Error::from(error));
    let config = Config::read(Some(&path)).map_err(told)?;
    let proxies = config.trusted_proxies(&[]).map_err(told)?;
    let providers = config.identity_providers(&dialer).map_err(told)?;
    Ok((proxies, providers))
}

const COMPANY: &str = "
public_url: https://bailiwick.example.com/
identity_providers:
- name: company
  issuer: https://login.example.com
  client_id: bailiwick
";

#[tokio::test]
async fn a_file_says_who_is_believed_and_who_is_let_in() {
    let text = format!(
        "trusted_proxies: [10.0.0.0/8, 192.0.2.1, \"fd00::/8\"]{COMPANY}  client_secret_file: secret\n  email_domains: [example.com]\n  claim: {{name: groups, value: staff}}\n  new_members: member\n"
    );
    let (proxies, providers) = read(&text).unwrap();
    let proxies: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]);
    assert_eq!(providers.public_url, "https://bailiwick.example.com");
    let [company] = &providers.all[..] else {
        panic!("{providers:?}")
    };
    assert_eq!(
        (company.name.as_str(), company.title.as_str()),
        ("company", "company")
    );
    assert_eq!(company.rules.new_members.as_deref(), Some("member"));
    assert!(!format!("{providers:?}").contains("s3cret"));
    // Nothing is a file too.
    for nothing in ["", "{}", "# nothing\n"] {
        assert!(read(nothing).unwrap().1.all.is_empty());
    }
}

#[tokio::test]
async fn what_would_not_hold_is_refused_with_the_way_out() {
    for (text, told) in [
        ("public_uri: https://x".to_owned(), "public_uri"),
        ("trusted_proxies: 10.0.0.0/8".to_owned(), "config.yaml"),
        (
            "trusted_proxies: [10.0.0.1/8]".to_owned(),
            "write 10.0.0.0/8",
        ),
        ("trusted_proxies: [0.0.0.0/0]".to_owned(), "everybody"),
        ("trusted_proxies: [\"::/0\"]".to_owned(), "everybody"),
        (
            "trusted_proxies: [proxy.example.com]".to_owned(),
            "neither an address",
        ),
        (COMPANY.replace("public_url", "#"), "need public_url"),
        (
            COMPANY.replace("https://bailiwick", "http://bailiwick"),
            "public_url is https",
        ),
        (
            COMPANY.replace("example.com/\n", "example.com/path\n"),
            "public_url is https",
        ),
        (
            COMPANY.replace("name: company", "name: Com/pany"),
            "no name",
        ),
        (
            COMPANY.replace("https://login", "http://login"),
            "plain HTTP",
        ),
        (
            format!("{COMPANY}  new_members: member\n"),
            "lets in everybody",
        ),
        (
            format!("{COMPANY}  client_secret: s3cret\n"),
            "client_secret",
        ),
        (
            format!("{COMPANY}  client_secret_file: missing\n"),
            "cannot read",
        ),
        (
            format!("{COMPANY}- name: company\n  issuer: https://a.example.com\n  client_id: a\n"),
            "two identity providers",
        ),
    ] {
        let refused = read(&text).unwrap_err();
        assert!(refused.contains(told), "{text}\n{refused}");
    }
}
