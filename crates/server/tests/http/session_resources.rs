//! What sessions have.

use bailiwick_control::{ContentLimits, Control, ControlError, Credentials};
use bailiwick_model::SessionResourceId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::form::file;
use crate::sessions::{body, code, id_of, with};
use crate::{Server, on_both, sealing_keys};

on_both!(
    files_are_copied_to_their_places,
    a_copy_is_the_sessions_own,
    repositories_are_shown_without_their_tokens,
    a_token_is_kept_sealed_and_is_sealed_anew,
    resources_that_are_none_are_refused_with_their_fields,
    repositories_that_are_none_are_refused_with_their_fields,
    what_another_organizations_session_has_does_not_exist,
    a_file_comes_later_and_nothing_else,
    no_two_are_in_one_place,
    a_session_has_a_bounded_number_of_files,
    files_of_a_session_are_bounded_together_and_each_content_counts_once,
    pages_follow_each_other_to_the_end,
    a_session_that_has_ended_has_what_it_had,
);

const TOKEN: &str = "ghp_0123456789abcdef";

async fn upload(server: &Server, name: &str) -> String {
    let parts = [file("file", name, name.as_bytes())];
    let made = server.send_form("/v1/files", &parts).await;
    made.text("id").to_owned()
}

async fn session(server: &Server, resources: Value) -> Value {
    let body = with(body(server).await, json!({"resources": resources}));
    server.post("/v1/sessions", body).await.ok()
}

fn path_of(session: &Value) -> String {
    format!("/v1/sessions/{}/resources", session["id"].as_str().unwrap())
}

async fn files_are_copied_to_their_places(server: Server) {
    let (one, two) = (
        upload(&server, "a.csv").await,
        upload(&server, "b.csv").await,
    );
    let resources = json!([
        {"type": "file", "file_id": one, "mount_path": "/data/a.csv"},
        {"type": "file", "file_id": one},
        {"type": "file", "file_id": two, "mount_path": "/mnt/session/uploads/b.csv"},
    ]);
    let session = session(&server, resources).await;
    let shown = session["resources"].as_array().unwrap();
    let paths: Vec<_> = shown
        .iter()
        .map(|one| one["mount_path"].as_str().unwrap())
        .collect();
    let plain = format!("/mnt/session/uploads/{one}");
    assert_eq!(
        paths,
        [
            "/mnt/session/uploads/data/a.csv",
            &plain,
            "/mnt/session/uploads/b.csv"
        ]
    );
    let copy = shown[0]["file_id"].as_str().unwrap();
    assert_eq!(
        shown[0],
        json!({"id": shown[0]["id"], "type": "file", "file_id": copy, "mount_path": paths[0],
        "created_at": session["created_at"], "updated_at": session["created_at"]})
    );
    assert_ne!(copy, one);
    let copy = format!("/v1/files/{copy}");
    let read = server.get(&copy).await.ok();
    assert_eq!(
        (&read["filename"], &read["scope"]),
        (
            &json!("a.csv"),
            &json!({"type": "session", "id": session["id"]})
        )
    );
    let list = format!("/v1/files?scope_id={}", session["id"].as_str().unwrap());
    assert_eq!(
        server.get(&list).await.ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

async fn a_copy_is_the_sessions_own(server: Server) {
    let one = upload(&server, "a.csv").await;
    let resources = json!([
        {"type": "file", "file_id": one, "mount_path": "a"},
        {"type": "file", "file_id": one, "mount_path": "b"},
    ]);
    let session = session(&server, resources).await;
    let shown = session["resources"].as_array().unwrap();
    let copy = format!("/v1/files/{}", shown[0]["file_id"].as_str().unwrap());
    let list = format!("/v1/files?scope_id={}", session["id"].as_str().unwrap());
    // What a session has cannot be taken from it by its back door, and it needs no original.
    let refused = server.send(Method::DELETE, &copy, None).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::CONFLICT, "referred")
    );
    server
        .send(Method::DELETE, &format!("/v1/files/{one}"), None)
        .await
        .ok();
    assert_eq!(server.bytes(&format!("{copy}/content")).await.1, b"a.csv");
    let resource = format!("{}/{}", path_of(&session), shown[0]["id"].as_str().unwrap());
    assert_eq!(server.get(&resource).await.ok(), shown[0]);
    let deleted = server.send(Method::DELETE, &resource, None).await.ok();
    assert_eq!(
        deleted,
        json!({"id": shown[0]["id"], "type": "session_resource_deleted"})
    );
    assert_eq!(server.get(&copy).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get(&resource).await.status, StatusCode::NOT_FOUND);
    let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.ok()["resources"], json!(shown[1..]));
    server.send(Method::DELETE, &path, None).await.ok();
    assert_eq!(server.get(&list).await.ok()["data"], json!([]));
    assert_eq!(server.get("/v1/files").await.ok()["data"], json!([]));
}

async fn repositories_are_shown_without_their_tokens(server: Server) {
    let resources = json!([
        {"type": "github_repository", "url": "https://github.com/acme/tool.rs", "authorization_token": TOKEN},
        {"type": "github_repository", "url": "https://github.com/acme/Site", "mount_path": "/workspace/www/site",
            "checkout": {"type": "branch", "name": "release/1.0"}},
        {"type": "github_repository", "url": "https://github.com/acme/lib", "checkout": {"type": "commit", "sha": "0123abc"}},
    ]);
    let session = session(&server, resources).await;
    let shown = session["resources"].as_array().unwrap();
    let expected = json!({"id": shown[0]["id"], "type": "github_repository", "url": "https://github.com/acme/tool.rs",
        "mount_path": "/workspace/tool.rs", "checkout": null, "created_at": session["created_at"], "updated_at": session["created_at"]});
    assert_eq!(shown[0], expected);
    assert_eq!(
        (&shown[1]["mount_path"], &shown[1]["checkout"]["name"]),
        (&json!("/workspace/www/site"), &json!("release/1.0"))
    );
    assert_eq!(
        shown[2]["checkout"],
        json!({"type": "commit", "sha": "0123abc"})
    );
    let path = format!("{}/{}", path_of(&session), shown[0]["id"].as_str().unwrap());
    let rotated = server
        .post(&path, json!({"authorization_token": "ghp_other"}))
        .await
        .ok();
    assert_ne!(rotated["updated_at"], shown[0]["updated_at"]);
    assert_eq!(rotated["created_at"], shown[0]["created_at"]);
    for (body, wrong) in [
        (json!({}), "missing_field"),
        (json!({"authorization_token": ""}), "too_short"),
        (json!({"authorization_token": "x".repeat(4097)}), "too_long"),
        (json!({"authorization_token": "a b"}), "invalid_token"),
        (
            json!({"authorization_token": "x", "url": "y"}),
            "unknown_field",
        ),
    ] {
        let refused = server.post(&path, body).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, wrong)
        );
        assert!(!refused.raw.contains("a b"));
    }
    server
        .post(&path, json!({"authorization_token": "x".repeat(4096)}))
        .await
        .ok();
    for answer in [server.get(&path).await, server.get("/v1/sessions").await] {
        assert!(
            !answer.raw.contains(TOKEN) && !answer.raw.contains("authorization"),
            "{answer:?}"
        );
    }
}

async fn a_token_is_kept_sealed_and_is_sealed_anew(server: Server) {
    let resources = json!([{"type": "github_repository", "url": "https://github.com/acme/tool", "authorization_token": TOKEN}]);
    let session = session(&server, resources).await;
    let id: SessionResourceId = session["resources"][0]["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let whoami = server.get("/api/whoami").await;
    let organization = whoami.text("organization_id").parse().unwrap();
    let scope = server.store.scope(&organization);
    let sealed = scope.session_resource_secret(&id).await.unwrap().unwrap();
    assert!(
        !sealed
            .sealed
            .windows(4)
            .any(|bytes| TOKEN.as_bytes().windows(4).any(|part| part == bytes))
    );
    let place = [
        "session_resource",
        whoami.text("organization_id"),
        session["id"].as_str().unwrap(),
        session["resources"][0]["id"].as_str().unwrap(),
        "authorization_token",
    ];
    let opened = |keys: &[u8], sealed: bailiwick_store::SealedSecret, place: &[&str]| {
        let sealed = bailiwick_control::Sealed {
            key: sealed.key,
            bytes: sealed.sealed,
        };
        let opened = sealing_keys(keys).unseal(place, &sealed);
        opened
            .ok()
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(opened(&[1], sealed.clone(), &place).as_deref(), Some(TOKEN));
    let mut elsewhere = place;
    elsewhere[2] = "sesn_1ChGqExyZXj8gBdypLbMAf";
    assert_eq!(opened(&[1], sealed.clone(), &elsewhere), None);
    // With a credential's secret beside it: both kinds are sealed anew.
    let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
    let auth =
        json!({"type": "static_bearer", "mcp_server_url": "https://m.example.com", "token": "t"});
    let path = format!("/v1/vaults/{vault}/credentials");
    server.post(&path, json!({"auth": auth})).await.ok();
    let control = Control::new(server.store.clone(), sealing_keys(&[2, 1]));
    assert_eq!(control.missing_sealing_keys().await.unwrap(), [""; 0]);
    assert_eq!(control.reseal().await.unwrap().secrets, 2);
    assert_eq!(
        server.store.sealing_keys_in_use().await.unwrap(),
        [sealing_keys(&[2]).current()]
    );
    let anew = scope.session_resource_secret(&id).await.unwrap().unwrap();
    assert_eq!(opened(&[2], anew, &place).as_deref(), Some(TOKEN));
    let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
    server.send(Method::DELETE, &path, None).await.ok();
    assert_eq!(scope.session_resource_secret(&id).await.unwrap(), None);
    let log = scope.audit_entries(0, 1000).await.unwrap();
    let log = format!("{log:?}");
    assert!(log.contains("session.create") && !log.contains(TOKEN));
}

/// Each of these is refused, as the one resource of a session, with its field and its reason.
async fn refused(server: &Server, body: Value, resources: Vec<(Value, &str, &str)>) {
    for (resource, field, wrong) in resources {
        let body = with(body.clone(), json!({"resources": [resource]}));
        let answer = server.post("/v1/sessions", body).await;
        assert_eq!(
            (answer.status, code(&answer)),
            (StatusCode::BAD_REQUEST, wrong),
            "{resource}"
        );
        let told = answer.body["error"]["message"].as_str().unwrap();
        let start = format!("resources[0].{field}: ");
        assert!(told.starts_with(&start), "{told}");
    }
    assert_eq!(server.get("/v1/sessions").await.ok()["data"], json!([]));
}

async fn resources_that_are_none_are_refused_with_their_fields(server: Server) {
    let body = body(&server).await;
    let id = upload(&server, "a").await;
    let file = |path: &str| json!({"type": "file", "file_id": id, "mount_path": path});
    let store = json!({"type": "memory_store", "memory_store_id": "m", "access": "all"});
    let mut resources = vec![
        (json!({"type": "disk"}), "type", "unknown_value"),
        (json!({"type": "file"}), "file_id", "missing_field"),
        (with(file("a"), json!({"x": "y"})), "x", "unknown_field"),
        (file(&"a/".repeat(2049)), "mount_path", "too_long"),
        (
            file(&format!("a{}", "/aaa".repeat(256))),
            "mount_path",
            "too_long",
        ),
        // Of characters there are few.
        (
            file(&format!("aa{}", "/é".repeat(341))),
            "mount_path",
            "too_long",
        ),
        (store, "access", "unknown_value"),
    ];
    for path in [
        "../etc/passwd",
        "/a/./b",
        "/a//b",
        "/a/",
        "/",
        "a\nb",
        "\u{7f}",
    ] {
        resources.push((file(path), "mount_path", "invalid_mount_path"));
    }
    refused(&server, body.clone(), resources).await;
    let longest = format!("a{}", "/é".repeat(341));
    let made = with(body.clone(), json!({"resources": [file(&longest)]}));
    let made = server.post("/v1/sessions", made).await.ok();
    let path = format!("/v1/sessions/{}", made["id"].as_str().unwrap());
    server.send(Method::DELETE, &path, None).await.ok();
    let many: Vec<_> = (0..513).map(|n| file(&format!("f{n}"))).collect();
    for count in [501, 513] {
        let body = with(body.clone(), json!({"resources": many[..count]}));
        let answer = server.post("/v1/sessions", body).await;
        assert_eq!(code(&answer), "too_much");
    }
    let files = server.get("/v1/files").await.ok();
    let files = files["data"].as_array().unwrap().len();
    assert_eq!(files, 1, "a refused session left copies");
}

async fn repositories_that_are_none_are_refused_with_their_fields(server: Server) {
    let body = body(&server).await;
    let repository = |field: &str, value: Value| {
        let plain = json!({"type": "github_repository", "url": "https://github.com/a/b"});
        with(plain, json!({field: value}))
    };
    let mut resources = Vec::new();
    for url in [
        "https://github.com/a/b.git",
        "http://github.com/a/b",
        "https://user@github.com/a/b",
        "https://github.com/a/b/c",
        "https://github.com/a/..",
        "https://github.com/a/",
        "https://github.com/a/b?x",
        "https://github.com.evil.example/a/b",
    ] {
        resources.push((repository("url", json!(url)), "url", "invalid_url"));
    }
    for path in ["/etc", "/workspace", "/workspace/../etc", "/workspaces/a"] {
        let resource = repository("mount_path", json!(path));
        resources.push((resource, "mount_path", "invalid_mount_path"));
    }
    for (kind, field, value, wrong) in [
        ("tag", "type", "x", "unknown_value"),
        ("branch", "name", "--upload-pack=x", "invalid_branch"),
        ("branch", "name", "a..b", "invalid_branch"),
        ("commit", "sha", "012345", "too_short"),
        ("commit", "sha", "0123xyz", "invalid_commit"),
    ] {
        let key = if field == "type" { "name" } else { field };
        let checkout = json!({"type": kind, key: value});
        let field = match field {
            "type" => "checkout.type",
            "name" => "checkout.name",
            _ => "checkout.sha",
        };
        resources.push((repository("checkout", checkout), field, wrong));
    }
    refused(&server, body, resources).await;
}

async fn a_file_comes_later_and_nothing_else(server: Server) {
    let session = session(&server, json!([])).await;
    let path = path_of(&session);
    let id = upload(&server, "a").await;
    let added = server
        .post(
            &path,
            json!({"type": "file", "file_id": id, "mount_path": "in/a"}),
        )
        .await
        .ok();
    assert_eq!(
        (&added["type"], &added["mount_path"]),
        (&json!("file"), &json!("/mnt/session/uploads/in/a"))
    );
    assert_eq!(
        server.get(&path).await.ok(),
        json!({"data": [added], "next_page": null})
    );
    for (body, status, wrong) in [
        (
            json!({"type": "github_repository", "url": "https://github.com/a/b"}),
            400,
            "unknown_value",
        ),
        (
            json!({"type": "file", "file_id": "file_x"}),
            404,
            "not_found",
        ),
        (
            json!({"type": "file", "file_id": id, "mount_path": "/in/a"}),
            400,
            "mount_path_taken",
        ),
        (
            json!({"type": "file", "file_id": id, "mount_path": "/in"}),
            400,
            "mount_path_taken",
        ),
        (
            json!({"type": "file", "file_id": id, "mount_path": "/in/a/b"}),
            400,
            "mount_path_taken",
        ),
        (json!({}), 400, "missing_field"),
    ] {
        let refused = server.post(&path, body).await;
        assert_eq!((refused.status.as_u16(), code(&refused)), (status, wrong));
    }
    // A file has no token.
    let resource = format!("{path}/{}", added["id"].as_str().unwrap());
    let refused = server
        .post(&resource, json!({"authorization_token": "x"}))
        .await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "no_token")
    );
}

async fn what_another_organizations_session_has_does_not_exist(server: Server) {
    let id = upload(&server, "a").await;
    let session = session(&server, json!([{"type": "file", "file_id": id}])).await;
    let path = path_of(&session);
    let resource = format!("{path}/{}", session["resources"][0]["id"].as_str().unwrap());
    let stranger = server.other_organization().await;
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::POST, path.clone()),
        (Method::GET, resource.clone()),
        (Method::POST, resource.clone()),
        (Method::DELETE, resource.clone()),
    ] {
        let body = if path == resource {
            json!({"authorization_token": "x"})
        } else {
            json!({"type": "file", "file_id": id})
        };
        let answer = server.send_as(&stranger, method, &path, Some(body)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

async fn no_two_are_in_one_place(server: Server) {
    let body = body(&server).await;
    let id = upload(&server, "a").await;
    let file = |path: &str| json!({"type": "file", "file_id": id, "mount_path": path});
    for (one, other) in [
        ("a", "/a"),
        ("a", "a/b"),
        ("a/b/c", "a"),
        ("x/a", "/mnt/session/uploads/x/a"),
    ] {
        let resources = json!([file(one), file("a-b"), file(other)]);
        let refused = server
            .post(
                "/v1/sessions",
                with(body.clone(), json!({"resources": resources})),
            )
            .await;
        assert_eq!(code(&refused), "mount_path_taken", "{one} {other}");
    }
    let apart = json!([file("a"), file("ab"), file("b/a"), file("b/c")]);
    server
        .post("/v1/sessions", with(body, json!({"resources": apart})))
        .await
        .ok();
}

async fn a_session_has_a_bounded_number_of_files(server: Server) {
    let id = upload(&server, "a").await;
    let file = |n: usize| json!({"type": "file", "file_id": id, "mount_path": format!("f{n}")});
    let most: Vec<_> = (0..500).map(file).collect();
    let session = session(&server, json!(most)).await;
    let refused = server.post(&path_of(&session), file(500)).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "full")
    );
}

/// Straight through the use cases: the real limit is more than a test should send.
async fn files_of_a_session_are_bounded_together_and_each_content_counts_once(server: Server) {
    let limits = ContentLimits {
        session_bytes: 10,
        ..ContentLimits::default()
    };
    let control = Control::new(server.store.clone(), sealing_keys(&[1]));
    let control = control.with_content_limits(limits);
    let credentials = Credentials {
        key: &server.key,
        address: None,
    };
    let caller = control.authenticate(credentials).await.unwrap();
    let (six, five) = (
        upload(&server, "a.text").await,
        upload(&server, "b.txt").await,
    );
    let file = |id: &str, path: &str| json!({"type": "file", "file_id": id, "mount_path": path});
    let plain = body(&server).await;
    let create = async |resources: Value| {
        let body = with(plain.clone(), json!({"resources": resources}));
        let made = control.create_session(&caller, body.as_object().unwrap());
        made.await.map(|made| made.session.id).map_err(refusal)
    };
    let both = json!([file(&six, "a"), file(&five, "b")]);
    assert_eq!(create(both).await.unwrap_err(), "resources too_much");
    let twice = json!([file(&six, "a"), file(&six, "b")]);
    let session = create(twice).await.unwrap();
    let add = async |resource: Value| {
        let body = resource.as_object().unwrap();
        let added = control.add_session_resource(&caller, &session, body);
        added.await.map(|added| added.id).map_err(refusal)
    };
    add(file(&six, "c")).await.unwrap();
    let refused = add(file(&five, "d")).await.unwrap_err();
    assert_eq!(refused, "file_id too_much");
    // Once the last of them is gone there is room.
    for resource in control.session_resources(&caller, &session).await.unwrap() {
        add(file(&five, "d")).await.unwrap_err();
        let deleted = control.delete_session_resource(&caller, &session, &resource.id);
        deleted.await.unwrap();
    }
    add(file(&five, "d")).await.unwrap();
}

/// The one field that was refused, and why.
fn refusal(error: ControlError) -> String {
    let ControlError::Invalid(problems) = error else {
        panic!("{error}");
    };
    format!("{} {}", problems[0].field, problems[0].code)
}

async fn pages_follow_each_other_to_the_end(server: Server) {
    let resources: Vec<_> = (0..5)
        .map(|n| json!({"type": "github_repository", "url": format!("https://github.com/a/r{n}")}))
        .collect();
    let session = session(&server, json!(resources)).await;
    let path = path_of(&session);
    let all = server.get(&path).await.ok();
    assert_eq!(
        (&all["data"], &all["next_page"]),
        (&session["resources"], &Value::Null)
    );
    let (mut seen, mut page) = (Vec::new(), format!("{path}?limit=2"));
    loop {
        let list = server.get(&page).await.ok();
        seen.extend(list["data"].as_array().unwrap().clone());
        match list["next_page"].as_str() {
            Some(next) => page = format!("{path}?limit=2&page={next}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), session["resources"]);
    for bad in ["limit=0", "limit=1001", "page=x"] {
        let refused = server.get(&format!("{path}?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn a_session_that_has_ended_has_what_it_had(server: Server) {
    let id = upload(&server, "a").await;
    let resources = json!([{"type": "file", "file_id": id}, {"type": "github_repository", "url": "https://github.com/a/b"}]);
    let session = session(&server, resources).await;
    let (path, of_session) = (
        path_of(&session),
        format!("/v1/sessions/{}", session["id"].as_str().unwrap()),
    );
    let archived = server
        .post(&format!("{of_session}/archive"), json!({}))
        .await
        .ok();
    assert_eq!(archived["resources"], session["resources"]);
    let repository = format!("{path}/{}", session["resources"][1]["id"].as_str().unwrap());
    for (method, path, body) in [
        (
            Method::POST,
            path.clone(),
            json!({"type": "file", "file_id": id, "mount_path": "b"}),
        ),
        (
            Method::POST,
            repository.clone(),
            json!({"authorization_token": "x"}),
        ),
        (Method::DELETE, repository.clone(), json!({})),
    ] {
        let refused = server.send(method, &path, Some(body)).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, "session_archived")
        );
    }
    server.get(&repository).await.ok();
}
