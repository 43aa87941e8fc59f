//! At a provider that is certified.

use std::collections::BTreeMap;

use bailiwick_control::{NeededClaim, SignInRules};
use bailiwick_testkit::IdentityProvider as Certified;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use serde_json::json;

use super::liar::SECRET;
use super::{Beside, PUBLIC_URL, cookies, joining, provider, role};
use crate::{Server, answer, on_both};

on_both!(
    somebody_signs_in_at_a_certified_provider_as_with_a_password,
    whoever_is_not_of_the_group_or_shows_a_code_twice_does_not_sign_in,
);

/// A browser that fills in the provider's own forms, and stops where it is sent back.
async fn at_the_certified_provider(location: &str, login: &str) -> String {
    let mut browser = Browser::default();
    let mut page = browser.visit(Method::GET, location, "").await;
    let forms = [
        format!("prompt=login&login={login}&password=x"),
        "prompt=consent".to_owned(),
    ];
    for form in forms {
        if page.starts_with(PUBLIC_URL) {
            break;
        }
        page = browser.visit(Method::POST, &page, &form).await;
    }
    let back = page.strip_prefix(PUBLIC_URL);
    back.expect("it is sent back").to_owned()
}

/// As much of one as the provider needs.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Follows redirections, and returns where it is in the end.
    async fn visit(&mut self, method: Method, url: &str, form: &str) -> String {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let mut url = reqwest::Url::parse(url).expect("a URL");
        let mut request = client
            .request(method, url.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        while !url.as_str().starts_with(PUBLIC_URL) {
            let cookies = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let cookies = cookies.collect::<Vec<_>>().join("; ");
            let response = request.header("cookie", cookies).send().await.unwrap();
            for set in response.headers().get_all("set-cookie") {
                let pair = set.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(next) = response.headers().get("location") else {
                assert!(response.status().is_success(), "{response:?}");
                break;
            };
            url = url.join(next.to_str().unwrap()).unwrap();
            request = client.get(url.clone());
        }
        url.into()
    }
}

/// The provider, and a server that lets in those of its group.
async fn both(server: &Server) -> (Certified, Beside) {
    let redirect_uri = format!("{PUBLIC_URL}/api/identity-providers/company/callback");
    let starting = move || Certified::start(&redirect_uri, SECRET);
    let certified = tokio::task::spawn_blocking(starting).await.unwrap();
    let rules = SignInRules {
        claim: Some(NeededClaim {
            name: "groups".to_owned(),
            value: "bailiwick".to_owned(),
        }),
        ..joining()
    };
    let company = provider("company", &certified.issuer(), rules);
    let beside = Beside::start(server, vec![company]).await;
    (certified, beside)
}

async fn somebody_signs_in_at_a_certified_provider_as_with_a_password(server: Server) {
    let (certified, beside) = both(&server).await;
    let listed = beside.get("/api/identity-providers", "").await.ok();
    assert_eq!(
        listed["data"],
        json!([{"name": "company", "title": "Example", "issuer": certified.issuer(), "sign_in_path": "/api/identity-providers/company/sign-in"}])
    );
    let begun = beside.begin().await;
    let back = at_the_certified_provider(&begun.location, "ann").await;
    let done = beside.get(&back, &begun.cookie).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    assert!(done.raw.contains("0;url=/console?a=1"), "{}", done.raw);
    assert_eq!(done.header("referrer-policy"), "no-referrer");
    // The session is one like any other: it changes something only with its token.
    let me = beside.whoami(&done).await.ok();
    assert_eq!(me["actor"]["kind"], "user");
    let session = cookies(&done);
    let token = session.split("csrf=").nth(1).unwrap();
    let make = |token: Option<&str>| {
        let url = format!("http://{}/api/keys", beside.address);
        let request = beside.client.post(url).header("cookie", &session);
        let request = match token {
            Some(token) => request.header("x-csrf-token", token),
            None => request,
        };
        answer(request.json(&json!({"name": "laptop"})))
    };
    assert_eq!(make(None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(make(Some(token)).await.status, StatusCode::CREATED);
    let members = server.get("/api/members").await.ok();
    let ann = members["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["email"] == "ann@example.com");
    let ann = ann.expect("a member").clone();
    assert_eq!(
        (ann["name"].as_str(), ann["has_password"].as_bool()),
        (Some("ann of Example"), Some(false))
    );
    assert_eq!(ann["role_id"], role(&server, "member").await);
    // Again, and it is the same person.
    let begun = beside.begin().await;
    let back = at_the_certified_provider(&begun.location, "ann").await;
    let again = beside.get(&back, &begun.cookie).await;
    let again = beside.whoami(&again).await.ok();
    assert_eq!(again["actor"], me["actor"]);
    let log = server.get("/api/audit-log").await.ok().to_string();
    assert!(log.contains("member.link") && log.contains("session.begin"));
}

async fn whoever_is_not_of_the_group_or_shows_a_code_twice_does_not_sign_in(server: Server) {
    let (_certified, beside) = both(&server).await;
    for (login, code) in [("unverified1", "verified"), ("outside1", "group")] {
        let begun = beside.begin().await;
        let back = at_the_certified_provider(&begun.location, login).await;
        let refused = beside.get(&back, &begun.cookie).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
        assert!(refused.text("detail").contains(code), "{refused:?}");
    }
    // The provider takes a code once.
    let begun = beside.begin().await;
    let back = at_the_certified_provider(&begun.location, "bob").await;
    assert_eq!(
        beside.get(&back, &begun.cookie).await.status,
        StatusCode::OK
    );
    assert_eq!(
        beside.get(&back, &begun.cookie).await.status,
        StatusCode::UNAUTHORIZED
    );
}
