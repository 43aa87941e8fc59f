//! Signing in at identity providers: one that is certified, and one that lies.

mod certified;
mod liar;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bailiwick_control::{
    ClientSecret, Control, IdentityProvider, IdentityProviders, Provider, ProviderSettings,
    SignInRules,
};
use bailiwick_server::Service;
use bailiwick_testkit::dialer;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, answer, on_both, sealing_keys};
use liar::{Liar, Lie, SECRET};

on_both!(
    only_members_sign_in_unless_others_may_join,
    a_member_who_was_removed_does_not_come_back_by_signing_in,
    a_lie_in_a_token_is_no_identity,
    a_sign_in_is_finished_once_and_in_the_browser_that_began_it,
    another_subject_does_not_get_an_account_by_its_address,
);

/// Where providers send browsers back to: the tests go there by another way.
const PUBLIC_URL: &str = "https://bailiwick.example.com";

/// A server beside the one of the test, on the same database, whose people sign in elsewhere.
struct Beside {
    address: SocketAddr,
    client: Client,
}

/// A browser on its way.
struct Begun {
    location: String,
    cookie: String,
    state: String,
}

fn provider(name: &str, issuer: &str, rules: SignInRules) -> IdentityProvider {
    let settings = ProviderSettings {
        issuer: issuer.to_owned(),
        client_id: "bailiwick".to_owned(),
        client_secret: Some(ClientSecret::new(SECRET.to_owned().into())),
        claims: IdentityProvider::claims(&rules),
    };
    IdentityProvider {
        name: name.to_owned(),
        title: "Example".to_owned(),
        provider: Provider::new(settings, dialer()).expect("a provider"),
        rules,
    }
}

fn joining() -> SignInRules {
    SignInRules {
        email_domains: vec!["example.com".to_owned()],
        new_members: Some("member".to_owned()),
        ..SignInRules::default()
    }
}

impl Beside {
    async fn start(server: &Server, all: Vec<IdentityProvider>) -> Self {
        let control = Control::new(server.store.clone(), sealing_keys(&[1]));
        let control = control.with_identity_providers(IdentityProviders {
            public_url: PUBLIC_URL.to_owned(),
            all,
        });
        let service = Service::listen((Ipv4Addr::LOCALHOST, 0).into(), Arc::new(control));
        let service = service.await.expect("a port");
        let address = service.address().expect("an address");
        tokio::spawn(service.run(std::future::pending()));
        let client = Client::builder().redirect(Policy::none()).build();
        Self {
            address,
            client: client.expect("a client"),
        }
    }

    async fn of(server: &Server, liar: &Liar, rules: SignInRules) -> Self {
        Self::start(server, vec![provider("company", &liar.issuer, rules)]).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        answer(self.client.get(url).header("cookie", cookie)).await
    }

    async fn begin_at(&self, name: &str) -> Begun {
        let path = format!("/api/identity-providers/{name}/sign-in?return_to=/console%3Fa=1");
        let begun = self.get(&path, "").await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{begun:?}");
        let set = begun.header("set-cookie");
        for attribute in [
            "HttpOnly",
            "Secure",
            "SameSite=Lax",
            "Path=/",
            "Max-Age=600",
        ] {
            assert!(set.contains(attribute), "{set}");
        }
        let location = begun.header("location").to_owned();
        let url = reqwest::Url::parse(&location).expect("a URL");
        let state = url.query_pairs().find(|(name, _)| name == "state");
        Begun {
            state: state.expect("a state").1.into_owned(),
            cookie: set.split(';').next().unwrap().to_owned(),
            location,
        }
    }

    async fn begin(&self) -> Begun {
        self.begin_at("company").await
    }

    async fn finish(&self, begun: &Begun, code: &str) -> Answer {
        let path = callback("company", code, &begun.state);
        self.get(&path, &begun.cookie).await
    }

    /// What becomes of a sign-in in which the provider lies.
    async fn lied_to(&self, liar: &Liar, instead: Value, lie: Lie) -> Answer {
        let begun = self.begin().await;
        let code = liar.code(&begun.location, &instead, lie);
        self.finish(&begun, &code).await
    }

    /// Who asks with the cookies of an answer.
    async fn whoami(&self, signed_in: &Answer) -> Answer {
        self.get("/api/whoami", &cookies(signed_in)).await
    }
}

fn callback(name: &str, code: &str, state: &str) -> String {
    format!("/api/identity-providers/{name}/callback?code={code}&state={state}")
}

/// The cookies that an answer sets, as a browser sends them.
fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").into_iter();
    let pairs = set.filter_map(|value| value.to_str().unwrap().split(';').next());
    let kept = pairs.filter(|pair| !pair.ends_with('='));
    kept.collect::<Vec<_>>().join("; ")
}

async fn role(server: &Server, name: &str) -> Value {
    let roles = server.get("/api/roles").await.ok();
    let mut roles = roles["data"].as_array().unwrap().iter();
    roles.find(|role| role["name"] == name).unwrap()["id"].clone()
}

async fn member(server: &Server, email: &str) -> Value {
    let body = json!({"email": email, "name": "Ann", "role_id": role(server, "editor").await});
    server.post("/api/members", body).await.ok()
}

async fn only_members_sign_in_unless_others_may_join(server: Server) {
    let liar = Liar::start().await;
    let closed = Beside::of(&server, &liar, SignInRules::default()).await;
    let refused = closed.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::FORBIDDEN, "sign_in_not_allowed")
    );
    let ann = member(&server, "Ann@Example.com").await;
    let unverified = json!({"email_verified": false});
    let refused = closed.lied_to(&liar, unverified, Lie::Nothing).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let done = closed.lied_to(&liar, json!({}), Lie::Nothing).await;
    let me = closed.whoami(&done).await.ok();
    assert_eq!(me["actor"]["id"], ann["user_id"]);
    // From then on it is the subject that counts, whatever their address has become.
    let moved = json!({"email": "new@example.org", "email_verified": false});
    let done = closed.lied_to(&liar, moved, Lie::Nothing).await;
    assert_eq!(closed.whoami(&done).await.ok()["actor"], me["actor"]);
    // Where others may join, it is those of the domain, with the role.
    let open = Beside::of(&server, &liar, joining()).await;
    let evil = json!({"sub": "eve", "email": "eve@evil.com"});
    let refused = open.lied_to(&liar, evil, Lie::Nothing).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let bob = json!({"sub": "bob", "email": "bob@example.com"});
    let done = open.lied_to(&liar, bob, Lie::Nothing).await;
    let may = open.whoami(&done).await.ok()["permissions"].clone();
    assert!(!may.to_string().contains("member:admin"), "{may}");
    // What the token lacks is asked for, and only of the same person.
    let lacking = json!({"sub": "cid", "email": null, "email_verified": null});
    liar.user_info(json!({"sub": "eve", "email": "cid@example.com", "email_verified": true}));
    let refused = open.lied_to(&liar, lacking.clone(), Lie::Nothing).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    liar.user_info(json!({"sub": "cid", "email": "cid@example.com", "email_verified": true}));
    let done = open.lied_to(&liar, lacking, Lie::Nothing).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
}

async fn a_member_who_was_removed_does_not_come_back_by_signing_in(server: Server) {
    let liar = Liar::start().await;
    let beside = Beside::of(&server, &liar, joining()).await;
    let done = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    let me = beside.whoami(&done).await.ok();
    let path = format!("/api/members/{}", me["actor"]["id"].as_str().unwrap());
    let removed = server.send(Method::DELETE, &path, None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(beside.whoami(&done).await.status, StatusCode::UNAUTHORIZED);
    let refused = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text("detail").contains("removed"), "{refused:?}");
    // Unless an administrator adds them again.
    let again = member(&server, "ann@example.com").await;
    let done = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(
        beside.whoami(&done).await.ok()["actor"]["id"],
        again["user_id"]
    );
}

async fn another_subject_does_not_get_an_account_by_its_address(server: Server) {
    let liar = Liar::start().await;
    let beside = Beside::of(&server, &liar, joining()).await;
    let ann = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(ann.status, StatusCode::OK);
    let successor = json!({"sub": "another ann"});
    let refused = beside.lied_to(&liar, successor, Lie::Nothing).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.text("detail").contains("somebody else"),
        "{refused:?}"
    );
}

async fn a_lie_in_a_token_is_no_identity(server: Server) {
    let liar = Liar::start().await;
    let beside = Beside::of(&server, &liar, joining()).await;
    for (instead, lie) in [
        (json!({"nonce": "of another attempt"}), Lie::Nothing),
        (json!({"nonce": null}), Lie::Nothing),
        (json!({"aud": "somebody else"}), Lie::Nothing),
        (json!({"aud": ["bailiwick", "somebody else"]}), Lie::Nothing),
        (json!({"azp": "somebody else"}), Lie::Nothing),
        (json!({"iss": "https://evil.example.com"}), Lie::Nothing),
        (json!({"exp": -3600}), Lie::Nothing),
        (json!({"iat": 3600}), Lie::Nothing),
        (json!({"iat": -7200}), Lie::Nothing),
        (json!({"sub": ""}), Lie::Nothing),
        (json!({}), Lie::Unsigned),
        (json!({}), Lie::PublicKeyAsSecret),
        (json!({}), Lie::OtherKey),
    ] {
        let refused = beside.lied_to(&liar, instead.clone(), lie).await;
        let code = refused.text("code");
        assert_eq!(
            (refused.status, code),
            (StatusCode::UNAUTHORIZED, "sign_in_not_proven"),
            "{instead} {lie:?}"
        );
        assert!(refused.headers.get("set-cookie").is_none());
    }
    for lie in [Lie::Redirection, Lie::Endless] {
        let failed = beside.lied_to(&liar, json!({}), lie).await;
        assert_eq!(failed.status, StatusCode::BAD_GATEWAY, "{lie:?}");
    }
    assert_eq!(liar.asked("elsewhere"), 0);
    // The control.
    let done = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
}

async fn a_sign_in_is_finished_once_and_in_the_browser_that_began_it(server: Server) {
    let liar = Liar::start().await;
    let both = ["company", "other"].map(|name| provider(name, &liar.issuer, joining()));
    let beside = Beside::start(&server, both.into()).await;
    let (mine, theirs) = (beside.begin().await, beside.begin().await);
    let code = liar.code(&mine.location, &json!({}), Lie::Nothing);
    let of = |name: &str, state: &str| callback(name, &code, state);
    for (path, cookie) in [
        // A page of the attacker's, in the browser of somebody who began nothing, or something else.
        (of("company", &mine.state), ""),
        (of("company", &mine.state), theirs.cookie.as_str()),
        (of("company", &theirs.state), mine.cookie.as_str()),
        (of("company", ""), mine.cookie.as_str()),
        // Another provider than the one that was asked.
        (of("other", &mine.state), mine.cookie.as_str()),
        (
            of("company", &mine.state),
            "__Host-bailiwick-sign-in=x.AAAA",
        ),
        (
            of("company", &mine.state),
            &mine.cookie[..mine.cookie.len() - 2],
        ),
        (
            format!("/api/identity-providers/company/callback?code={code}"),
            mine.cookie.as_str(),
        ),
    ] {
        let refused = beside.get(&path, cookie).await;
        assert_eq!(
            (refused.status, refused.text("code")),
            (StatusCode::UNAUTHORIZED, "sign_in_not_begun"),
            "{path}"
        );
    }
    assert_eq!(liar.asked("token"), 0);
    // What the provider says instead of a code, and who else says so.
    for rest in [
        "error=access_denied",
        "code=code0&iss=https://evil.example.com",
        "x=1",
    ] {
        let path = format!(
            "/api/identity-providers/company/callback?state={}&{rest}",
            mine.state
        );
        let refused = beside.get(&path, &mine.cookie).await;
        assert_eq!(
            (refused.status, refused.text("code")),
            (StatusCode::UNAUTHORIZED, "sign_in_not_proven"),
            "{rest}"
        );
    }
    assert_eq!(liar.asked("token"), 0);
    // A code of another attempt has another challenge.
    let refused = beside.finish(&theirs, &code).await;
    assert_eq!(refused.text("code"), "sign_in_not_proven");
    // The control; and then it is spent, though this provider takes codes again.
    let named = format!("{}&iss={}", of("company", &mine.state), liar.issuer);
    assert_eq!(
        beside.get(&named, &mine.cookie).await.status,
        StatusCode::OK
    );
    let again = beside.finish(&mine, &code).await;
    assert_eq!(
        (again.status, again.text("code")),
        (StatusCode::UNAUTHORIZED, "sign_in_spent")
    );
}

#[tokio::test]
async fn new_keys_are_asked_for_when_they_are_needed_and_not_for_every_lie() {
    let server = Server::sqlite().await;
    let liar = Liar::start().await;
    let beside = Beside::of(&server, &liar, joining()).await;
    let sign_in = async || beside.lied_to(&liar, json!({}), Lie::Nothing).await.status;
    for _ in 0..3 {
        assert_eq!(sign_in().await, StatusCode::OK);
    }
    assert_eq!((liar.asked("document"), liar.asked("keys")), (1, 1));
    liar.rotate("two");
    for _ in 0..20 {
        assert_eq!(sign_in().await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(liar.asked("keys"), 1);
    tokio::time::sleep(bailiwick_model::limits::IDENTITY_PROVIDER_NEW_KEYS).await;
    assert_eq!(sign_in().await, StatusCode::OK);
    assert_eq!((liar.asked("document"), liar.asked("keys")), (1, 2));
}

#[tokio::test]
async fn a_provider_that_says_something_else_of_itself_is_not_used() {
    let server = Server::sqlite().await;
    for (field, value) in [
        ("issuer", json!("https://evil.example.com")),
        ("token_endpoint", json!("http://192.0.2.1/token")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        (
            "userinfo_endpoint",
            json!("https://user:password@example.com"),
        ),
        ("jwks_uri", json!(null)),
    ] {
        let liar = Liar::start().await;
        liar.says(field, value.clone());
        let beside = Beside::of(&server, &liar, joining()).await;
        for _ in 0..5 {
            let failed = beside
                .get("/api/identity-providers/company/sign-in", "")
                .await;
            let code = failed.text("code");
            assert_eq!(
                (failed.status, code),
                (StatusCode::BAD_GATEWAY, "identity_provider_unavailable"),
                "{field} {value}"
            );
        }
        assert_eq!(liar.asked("document"), 1);
    }
    // An answer that does not name its issuer, of one that says that it always does; and a secret in the form, of one that wants it there.
    let liar = Liar::start().await;
    liar.says(
        "authorization_response_iss_parameter_supported",
        json!(true),
    );
    liar.says(
        "token_endpoint_auth_methods_supported",
        json!(["client_secret_post"]),
    );
    let beside = Beside::of(&server, &liar, joining()).await;
    let unnamed = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(unnamed.text("code"), "sign_in_not_proven");
    let begun = beside.begin().await;
    let code = liar.code(&begun.location, &json!({}), Lie::Nothing);
    let named = format!(
        "{}&iss={}",
        callback("company", &code, &begun.state),
        liar.issuer
    );
    assert_eq!(
        beside.get(&named, &begun.cookie).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_browser_is_sent_back_to_this_server_alone() {
    let server = Server::sqlite().await;
    let liar = Liar::start().await;
    let beside = Beside::of(&server, &liar, joining()).await;
    for path in [
        "//evil.com",
        "https://evil.com",
        "/%5Cevil.com",
        "/%09/evil.com",
        "evil.com",
        "javascript:alert(1)",
    ] {
        let path = format!("/api/identity-providers/company/sign-in?return_to={path}");
        let refused = beside.get(&path, "").await;
        assert_eq!(
            (refused.status, refused.text("code")),
            (StatusCode::BAD_REQUEST, "invalid_return_to"),
            "{path}"
        );
    }
    let unknown = beside
        .get("/api/identity-providers/nobody/sign-in", "")
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let unknown = beside
        .get("/api/identity-providers/nobody/callback?code=1&state=1", "")
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sign_ins_that_prove_nothing_are_limited_by_address() {
    let server = Server::sqlite().await;
    let liar = Liar::start().await;
    let beside = Beside::of(&server, &liar, joining()).await;
    let mut limited = 0;
    for _ in 0..100 {
        let refused = beside.get(&callback("company", "x", "y"), "").await;
        limited += usize::from(refused.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(limited > 20, "{limited}");
    let done = beside.lied_to(&liar, json!({}), Lie::Nothing).await;
    assert_eq!(done.status, StatusCode::OK);
}
