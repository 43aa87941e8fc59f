//! Files.

use std::sync::Arc;

use bailiwick_control::{Bootstrap, ContentLimits, Control, Credentials};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::form::{self, Part, field, file};
use crate::{Answer, Server, on_both};

on_both!(
    a_file_comes_back_as_it_was_sent,
    a_file_of_many_chunks_comes_back_as_it_was_sent,
    a_name_is_cut_to_its_last_part_and_made_up_if_there_is_none,
    forms_that_are_no_upload_are_refused,
    an_upload_that_is_too_large_is_refused_and_leaves_nothing,
    a_form_whose_header_never_ends_is_refused,
    an_upload_that_is_cut_off_leaves_nothing_to_be_seen,
    an_expired_file_says_so_and_is_swept,
    pages_follow_each_other_in_both_styles,
    a_list_of_ids_has_those_that_there_are,
    deleted_is_deleted,
    who_may_not_is_refused,
    what_is_another_organizations_does_not_exist,
);

async fn upload(server: &Server, name: &str) -> String {
    let parts = [file("file", name, name.as_bytes())];
    let made = server.send_form("/v1/files", &parts).await;
    made.text("id").to_owned()
}

async fn a_file_comes_back_as_it_was_sent(server: Server) {
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let mut part = file("file", "a b.csv", &bytes);
    part.media_type = Some("text/csv");
    let made = server.send_form("/v1/files?beta=true", &[part]).await.ok();
    let id = made["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "type": "file", "filename": "a b.csv", "mime_type": "text/csv", "size_bytes": 1000, "downloadable": true,
        "created_at": made["created_at"], "expires_at": null, "scope": null, "sha256": made["sha256"],
    });
    assert_eq!(made, expected);
    let path = format!("/v1/files/{id}");
    assert_eq!(server.get(&path).await.ok(), made);
    let (headers, content) = server.bytes(&format!("{path}/content")).await;
    assert_eq!(content, bytes);
    assert_eq!(headers["content-type"], "text/csv");
    assert_eq!(headers["content-length"], "1000");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(
        headers["content-disposition"],
        "attachment; filename*=UTF-8''a%20b.csv"
    );
    let hash = made["sha256"].as_str().unwrap();
    assert_eq!(headers["etag"], format!("\"{hash}\""));
    // Nothing at all is a file too.
    let empty = server
        .send_form("/v1/files", &[file("file", "empty", b"")])
        .await;
    assert_eq!(empty.body["size_bytes"], 0);
    assert_eq!(
        empty.text("sha256"),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let path = format!("/v1/files/{}/content", empty.text("id"));
    assert_eq!(server.bytes(&path).await.1, b"");
}

async fn a_file_of_many_chunks_comes_back_as_it_was_sent(server: Server) {
    // Not a multiple of a chunk, and nothing that repeats with one.
    let bytes: Vec<u8> = (0..5_300_001_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let made = server
        .send_form("/v1/files", &[file("file", "large", &bytes)])
        .await;
    assert_eq!(made.body["size_bytes"], 5_300_001, "{made:?}");
    let path = format!("/v1/files/{}/content", made.text("id"));
    let (_, content) = server.bytes(&path).await;
    assert!(content == bytes, "the bytes differ");
}

async fn a_name_is_cut_to_its_last_part_and_made_up_if_there_is_none(server: Server) {
    for (disposition, media_type, filename) in [
        (
            "name=\"file\"; filename=\"../../etc/passwd\"",
            None,
            "passwd",
        ),
        ("name=\"file\"", Some("text/plain"), "unnamed.txt"),
        ("name=\"file\"; filename=\"\"", None, "unnamed"),
    ] {
        let part = Part {
            disposition: disposition.to_owned(),
            media_type,
            bytes: b"x",
        };
        let made = server.send_form("/v1/files", &[part]).await;
        assert_eq!(made.text("filename"), filename, "{disposition}");
        let expected = media_type.unwrap_or("application/octet-stream");
        assert_eq!(made.text("mime_type"), expected);
    }
}

async fn forms_that_are_no_upload_are_refused(server: Server) {
    let a = || file("file", "a", b"a");
    for (parts, code) in [
        (vec![], "missing_field"),
        (vec![field("expires_in_seconds", "3600")], "missing_field"),
        (vec![a(), a()], "duplicate"),
        (vec![a(), field("colour", "red")], "unknown_field"),
        (
            vec![a(), field("expires_in_seconds", "3599")],
            "out_of_range",
        ),
        (
            vec![field("expires_in_seconds", "7776001"), a()],
            "out_of_range",
        ),
        (vec![a(), field("expires_in_seconds", "soon")], "wrong_type"),
        (vec![a(), field("expires_in_seconds", "")], "wrong_type"),
    ] {
        let refused = server.send_form("/v1/files", &parts).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{code}");
        let details = &refused.body["error"]["details"];
        assert_eq!(details["error_code"], code, "{refused:?}");
    }
    let long = "é".repeat(501);
    let parts = [file("file", &long, b"a")];
    let refused = server.send_form("/v1/files", &parts).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for (content_type, body) in [
        ("application/json", "{}"),
        ("multipart/form-data", "--x--"),
        ("multipart/form-data; boundary=x", "nothing of it"),
        ("multipart/form-data; boundary=x", "--x\r\n\r\n"),
        ("multipart/form-data; boundary=x", ""),
    ] {
        let request = server.request(Method::POST, "/v1/files");
        let request = request
            .header("x-api-key", &server.key)
            .header("content-type", content_type);
        let refused = crate::answer(request.body(body)).await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{content_type} {body}"
        );
    }
    let none = server.get("/v1/files").await.ok();
    assert_eq!(none["data"], json!([]));
    assert_eq!(none["has_more"], false);
    assert_eq!(
        (&none["first_id"], &none["last_id"]),
        (&Value::Null, &Value::Null)
    );
}

/// Straight through the use cases: the real limit is more than a test should send.
async fn an_upload_that_is_too_large_is_refused_and_leaves_nothing(server: Server) {
    let limits = ContentLimits {
        file_bytes: 3_000_000,
        organization_bytes: 4_000_000,
        ..ContentLimits::default()
    };
    let control =
        Control::new(server.store.clone(), crate::sealing_keys(&[1])).with_content_limits(limits);
    let credentials = Credentials {
        key: &server.key,
        address: None,
    };
    let caller = control.authenticate(credentials).await.unwrap();
    let send = async |bytes: usize| {
        let mut upload = control
            .begin_file(&caller)
            .await
            .map_err(|e| e.to_string())?;
        let taken = match upload.write(&vec![1; bytes]).await {
            Ok(()) => upload.finish(Default::default()).await,
            Err(error) => Err(error),
        };
        if taken.is_err() {
            upload.abandon().await;
        }
        taken.map(|file| file.id).map_err(|error| error.to_string())
    };
    assert!(send(3_000_001).await.unwrap_err().contains("3000000 bytes"));
    let kept = send(3_000_000).await.unwrap();
    // What was refused still takes room until it is swept.
    control.sweep_files().await.unwrap();
    assert!(send(1_000_001).await.unwrap_err().contains("4000000 bytes"));
    control.sweep_files().await.unwrap();
    send(1_000_000).await.unwrap();
    assert!(send(1).await.unwrap_err().contains("4000000 bytes"));
    control.delete_file(&caller, &kept).await.unwrap();
    assert_eq!(control.sweep_files().await.unwrap().contents, 1);
    send(3_000_000).await.unwrap();
    // Over HTTP: what says that it is too long is refused before it is sent.
    let head = format!("content-length: {}\r\n", 502_u64 << 20);
    let answered = raw(&server, &head, &[]).await;
    assert!(answered.starts_with("HTTP/1.1 413 "), "{answered}");
    assert!(answered.contains("request_too_large"), "{answered}");
}

async fn a_form_whose_header_never_ends_is_refused(server: Server) {
    let before_the_first = vec![b'x'; 3 << 20];
    let mut in_a_header = b"--a-boundary-that-is-in-no-file\r\ncontent-disposition: ".to_vec();
    in_a_header.extend_from_slice(&before_the_first);
    for body in [before_the_first, in_a_header] {
        let request = server.request(Method::POST, "/v1/files");
        let request = request
            .header("x-api-key", &server.key)
            .header("content-type", form::content_type());
        let refused = crate::answer(request.body(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(refused.body["error"]["details"]["error_code"], "not_a_form");
    }
}

/// Sends a request by hand, all of it or not, and reads what comes back until the connection ends.
async fn raw(server: &Server, head: &str, body: &[u8]) -> String {
    let socket = connect(server, head, body).await;
    let mut answered = String::new();
    let (mut read, write) = socket.into_split();
    read.read_to_string(&mut answered).await.unwrap();
    drop(write);
    answered
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client that sends half a request, to the server of the test"
)]
async fn connect(server: &Server, head: &str, body: &[u8]) -> tokio::net::TcpStream {
    let mut socket = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {}\r\ncontent-type: {}\r\n{head}\r\n",
        server.key,
        form::content_type()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    socket
}

async fn an_upload_that_is_cut_off_leaves_nothing_to_be_seen(server: Server) {
    let bytes = vec![1; 3 << 20];
    let mut body = form::body(&[file("file", "cut", &bytes)]);
    let head = format!("content-length: {}\r\n", body.len());
    body.truncate(5 << 19);
    let socket = connect(&server, &head, &body).await;
    let control = Control::new(server.store.clone(), crate::sealing_keys(&[1]));
    let caller = caller(&control, &server.key).await;
    let used = async || {
        let organization = caller.organization();
        let scope = server.store.scope(organization);
        scope.content_bytes().await.unwrap()
    };
    // Two chunks of it have arrived.
    wait(async || used().await == 2 << 20).await;
    drop(socket);
    wait(async || {
        control.sweep_files().await.unwrap();
        used().await == 0
    })
    .await;
    assert_eq!(server.get("/v1/files").await.ok()["data"], json!([]));
}

async fn caller(control: &Control, key: &str) -> bailiwick_control::Caller {
    let credentials = Credentials { key, address: None };
    control.authenticate(credentials).await.unwrap()
}

async fn wait(is_so: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it never came to be");
}

async fn an_expired_file_says_so_and_is_swept(server: Server) {
    let parts = [field("expires_in_seconds", "3600"), file("file", "a", b"a")];
    let made = server.send_form("/v1/files", &parts).await;
    let at = |name: &str| made.text(name).parse::<Timestamp>().unwrap();
    let life = at("expires_at").duration_since(at("created_at"));
    assert_eq!(life, SignedDuration::from_hours(1));
    let id = made.text("id").parse().unwrap();
    let control = Arc::new(Control::new(
        server.store.clone(),
        crate::sealing_keys(&[1]),
    ));
    assert_eq!(control.sweep_files().await.unwrap().files, 0);
    // Nobody waits for an hour: another one like it, whose hour is over.
    let caller = caller(&control, &server.key).await;
    let scope = server.store.scope(caller.organization());
    let file = scope.file(&id).await.unwrap().unwrap();
    let mut change = server
        .store
        .change(caller.organization(), Timestamp::now())
        .await
        .unwrap();
    let expired = "file_1ChGqExyZXj8gBdypLbMAf";
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    let new = bailiwick_store::NewFile {
        id: expired.parse().unwrap(),
        filename: file.filename.clone(),
        mime_type: file.mime_type.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256,
        downloadable: true,
        session: None,
        content: file.content.clone().unwrap(),
        expires_at: Some(past),
    };
    change.insert_file(new).await.unwrap();
    let event = bailiwick_store::AuditEvent {
        actor_kind: "system",
        actor_id: "test",
        address: None,
        action: "file.create",
        resource_kind: "file",
        resource_id: expired,
        before: None,
        after: None,
    };
    change.commit(&event).await.unwrap();
    for swept in [0, 1] {
        if swept == 1 {
            assert_eq!(control.sweep_files().await.unwrap().files, 1);
        }
        for (method, path) in [
            (Method::GET, format!("/v1/files/{expired}")),
            (Method::GET, format!("/v1/files/{expired}/content")),
            (Method::DELETE, format!("/v1/files/{expired}")),
        ] {
            let answer = server.send(method.clone(), &path, None).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(
                answer.body["error"]["details"]["error_code"],
                "file_expired"
            );
        }
        let listed = server.get("/v1/files").await.ok();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    }
    // Its bytes are the other file's too.
    let path = format!("/v1/files/{}/content", made.text("id"));
    assert_eq!(server.bytes(&path).await.1, b"a");
}

fn names(answer: &Value) -> Vec<&str> {
    let data = answer["data"].as_array().unwrap();
    data.iter()
        .map(|f| f["filename"].as_str().unwrap())
        .collect()
}

async fn pages_follow_each_other_in_both_styles(server: Server) {
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(upload(&server, &format!("f{number}")).await);
    }
    let list = async |query: String| server.get(&format!("/v1/files?{query}")).await.ok();
    let first = list("limit=2&beta=true".to_owned()).await;
    assert_eq!(
        (names(&first), &first["has_more"]),
        (vec!["f4", "f3"], &json!(true))
    );
    assert_eq!(
        (&first["first_id"], &first["last_id"]),
        (&json!(ids[4]), &json!(ids[3]))
    );
    let cursor = first["next_page"].as_str().unwrap();
    let second = list(format!("limit=2&page={cursor}")).await;
    let after = list(format!("limit=2&after_id={}", ids[3])).await;
    assert_eq!(second, after);
    assert_eq!(names(&second), ["f2", "f1"]);
    let last = list(format!("limit=2&after_id={}", ids[1])).await;
    assert_eq!(names(&last), ["f0"]);
    assert_eq!(
        (&last["has_more"], &last["next_page"]),
        (&json!(false), &Value::Null)
    );
    let before = list(format!("limit=2&before_id={}", ids[1])).await;
    assert_eq!(
        (names(&before), &before["has_more"]),
        (vec!["f3", "f2"], &json!(true))
    );
    let newest = list(format!("limit=2&before_id={}", ids[3])).await;
    assert_eq!(
        (names(&newest), &newest["has_more"]),
        (vec!["f4"], &json!(false))
    );
    let of_a_session = list("scope_id=sesn_1ChGqExyZXj8gBdypLbMAf".to_owned()).await;
    assert_eq!(names(&of_a_session), Vec::<&str>::new());
    assert_eq!(
        names(&list("scope_id=nothing".to_owned()).await),
        Vec::<&str>::new()
    );
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "page=page_x",
        "page=x",
        "after_id=x",
        "before_id=env_1ChGqExyZXj8gBdypLbMAf",
        &format!("after_id={0}&before_id={0}", ids[0]),
        &format!("page=page_{0}&before_id={0}", ids[0]),
        &format!("ids[]={}&limit=2", ids[0]),
    ] {
        let refused = server.get(&format!("/v1/files?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    for good in ["limit=1", "limit=1000"] {
        list(good.to_owned()).await;
    }
}

async fn a_list_of_ids_has_those_that_there_are(server: Server) {
    let (a, b, _) = (
        upload(&server, "a").await,
        upload(&server, "b").await,
        upload(&server, "c").await,
    );
    let nobodys = "file_1ChGqExyZXj8gBdypLbMAf";
    let query = format!("ids%5B%5D={a}&ids[]={b}&ids={a}&ids[]={nobodys}&ids[]=x");
    let listed = server.get(&format!("/v1/files?{query}")).await.ok();
    assert_eq!(names(&listed), ["b", "a"]);
    assert_eq!(listed["next_page"], Value::Null);
    let many = |number: usize| {
        let ids: Vec<_> = (0..number).map(|n| format!("ids[]=file_{n}")).collect();
        format!("/v1/files?{}", ids.join("&"))
    };
    assert_eq!(server.get(&many(100)).await.status, StatusCode::OK);
    let refused = server.get(&many(101)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

async fn deleted_is_deleted(server: Server) {
    let id = upload(&server, "a").await;
    let path = format!("/v1/files/{id}");
    let deleted = server.send(Method::DELETE, &path, None).await.ok();
    assert_eq!(deleted, json!({"id": id, "type": "file_deleted"}));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/content")),
        (Method::DELETE, path),
    ] {
        let answer = server.send(method, &path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.body["error"]["details"]["error_code"], "not_found");
    }
}

/// What every operation answers to somebody with this key.
async fn every_operation(server: &Server, key: &str, id: &str) -> Vec<Answer> {
    let parts = [file("file", "a", b"a")];
    let mut answers = vec![crate::answer(server.form(key, "/v1/files", &parts)).await];
    for (method, path) in [
        (Method::GET, "/v1/files".to_owned()),
        (Method::GET, "/v1/files?scope_id=x".to_owned()),
        (Method::GET, format!("/v1/files/{id}")),
        (Method::GET, format!("/v1/files/{id}/content")),
        (Method::DELETE, format!("/v1/files/{id}")),
    ] {
        answers.push(server.send_as(key, method, &path, None).await);
    }
    answers
}

async fn who_may_not_is_refused(server: Server) {
    let id = upload(&server, "a").await;
    for answer in every_operation(&server, "bwk_nothing", &id).await {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    }
    let worker = crate::worker_key(&server).await;
    for answer in every_operation(&server, &worker, &id).await {
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    }
    for answer in every_operation(&server, &server.key, &id).await {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
}

async fn what_is_another_organizations_does_not_exist(server: Server) {
    let id = upload(&server, "a").await;
    let control = Control::new(server.store.clone(), crate::sealing_keys(&[1]));
    let other = control
        .create_organization("Other", Bootstrap::default())
        .await
        .unwrap();
    let list = server
        .send_as(&other.key, Method::GET, "/v1/files", None)
        .await;
    assert_eq!(list.ok()["data"], json!([]));
    let named = format!("/v1/files?ids[]={id}");
    let list = server.send_as(&other.key, Method::GET, &named, None).await;
    assert_eq!(list.ok()["data"], json!([]));
    for id in [id.as_str(), "file_x", "..%2f..%2fetc"] {
        for (method, path) in [
            (Method::GET, format!("/v1/files/{id}")),
            (Method::GET, format!("/v1/files/{id}/content")),
            (Method::DELETE, format!("/v1/files/{id}")),
        ] {
            let answer = server.send_as(&other.key, method, &path, None).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    let (_, bytes) = server.bytes(&format!("/v1/files/{id}/content")).await;
    assert_eq!(bytes, b"a");
}
