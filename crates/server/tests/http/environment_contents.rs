//! What is in an environment's sandboxes: packages, base and project, through both faces.

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_control::{
    Control, Credentials, EnvironmentChange, HostPaths, NewEnvironmentRequest,
};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::{Server, on_both, sealing_keys};

on_both!(
    contents_are_set_through_either_face_and_seen_through_both,
    a_wire_update_keeps_what_it_does_not_name,
    null_takes_a_base_or_a_project_away,
    wrong_contents_are_refused_with_their_fields,
    paths_of_the_servers_machine_are_refused,
    paths_that_the_operator_allows_are_taken_and_stay,
    a_self_hosted_environment_has_no_contents,
);

fn contents() -> Value {
    json!({
        "type": "cloud",
        "packages": {"pip": ["pytest==8.3.4"], "npm": ["typescript"]},
        "base": "oci:registry.example.com/team/base:1",
        "project": {"repository": "https://git.example.com/team/app.git", "ref": "main", "setup": ["npm ci"]},
    })
}

fn shown_contents() -> Value {
    json!({
        "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": ["typescript"], "pip": ["pytest==8.3.4"]},
        "base": "oci:registry.example.com/team/base:1",
        "project": {"repository": "https://git.example.com/team/app.git", "ref": "main", "name": "app", "setup": ["npm ci"]},
    })
}

fn contents_of(environment: &Value) -> Value {
    let config = &environment["config"];
    json!({"packages": config["packages"], "base": config["base"], "project": config["project"]})
}

async fn contents_are_set_through_either_face_and_seen_through_both(server: Server) {
    for (face, name) in [("/v1", "a"), ("/api", "b")] {
        let body = json!({"name": name, "config": contents()});
        let made = server.post(&format!("{face}/environments"), body).await;
        assert_eq!(contents_of(&made.body), shown_contents(), "{made:?}");
        let id = made.text("id");
        for other in ["/v1", "/api"] {
            let read = server.get(&format!("{other}/environments/{id}")).await;
            assert_eq!(contents_of(&read.ok()), shown_contents());
            let list = server.get(&format!("{other}/environments?limit=1")).await;
            assert_eq!(contents_of(&list.ok()["data"][0]), shown_contents());
        }
    }
    // And changed through the other one.
    let made = server.post("/v1/environments", json!({"name": "c"})).await;
    let path = format!("/api/environments/{}", made.text("id"));
    let change = json!({"config": contents()});
    let changed = server.send(Method::PATCH, &path, Some(change)).await;
    assert_eq!(contents_of(&changed.ok()), shown_contents());
    let path = format!("/v1/environments/{}", made.text("id"));
    let change = json!({"config": {"type": "cloud", "base": "debian:bookworm"}});
    let changed = server.post(&path, change).await.ok();
    assert_eq!(changed["config"]["base"], "debian:bookworm");
    assert_eq!(changed["config"]["project"], shown_contents()["project"]);
}

async fn a_wire_update_keeps_what_it_does_not_name(server: Server) {
    let body = json!({"name": "a", "restricted": true, "namespace": "team-a", "metadata": {"k": "v"}, "config": contents()});
    let made = server.post("/api/environments", body).await;
    let path = format!("/v1/environments/{}", made.text("id"));
    for change in [
        json!({"name": "b"}),
        json!({"description": "d"}),
        json!({"config": null}),
        json!({"config": {"type": "cloud"}}),
        json!({"config": {"type": "cloud", "networking": {"type": "limited", "allow_package_managers": true}}}),
        json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}, "packages": null}}),
        json!({"metadata": {"l": "w"}}),
    ] {
        let changed = server.post(&path, change.clone()).await.ok();
        assert_eq!(contents_of(&changed), shown_contents(), "{change}");
    }
    let both = server
        .get(&format!("/api/environments/{}", made.text("id")))
        .await
        .ok();
    assert_eq!(
        (&both["restricted"], &both["namespace"], &both["metadata"]),
        (&json!(true), &json!("team-a"), &json!({"k": "v", "l": "w"}))
    );
    // A list that is named is replaced, the others stay.
    let change = json!({"config": {"type": "cloud", "packages": {"npm": []}}});
    let changed = server.post(&path, change).await.ok();
    let packages = &changed["config"]["packages"];
    assert_eq!(
        (&packages["npm"], &packages["pip"]),
        (&json!([]), &json!(["pytest==8.3.4"]))
    );
}

async fn null_takes_a_base_or_a_project_away(server: Server) {
    let body = json!({"name": "a", "config": contents()});
    let made = server.post("/v1/environments", body).await;
    let path = format!("/v1/environments/{}", made.text("id"));
    let change = json!({"config": {"type": "cloud", "base": null, "project": null}});
    let changed = server.post(&path, change).await.ok();
    let config = changed["config"].as_object().unwrap();
    assert!(!config.contains_key("base") && !config.contains_key("project"));
    assert_eq!(changed["config"]["packages"], shown_contents()["packages"]);
}

async fn wrong_contents_are_refused_with_their_fields(server: Server) {
    for (field, value, place, code) in [
        ("base", json!("vm:x"), "config.base", "invalid_base"),
        (
            "base",
            json!("debian:--hook"),
            "config.base",
            "invalid_base",
        ),
        ("base", json!("oci:a b"), "config.base", "invalid_base"),
        ("base", json!("dir:rootfs"), "config.base", "invalid_base"),
        ("base", json!({"oci": "x"}), "config.base", "wrong_type"),
        ("base", json!(7), "config.base", "wrong_type"),
        (
            "project",
            json!({"repository": "ext::sh -c id"}),
            "config.project.repository",
            "invalid_project",
        ),
        (
            "project",
            json!({"repository": "https://git.example.com/a", "colour": 1}),
            "config.project.colour",
            "unknown_field",
        ),
        (
            "packages",
            json!({"pip": ["--index-url=x"]}),
            "config.packages.pip[0]",
            "invalid_package",
        ),
    ] {
        for face in ["/v1", "/api"] {
            let mut config = json!({"type": "cloud"});
            config[field] = value.clone();
            let body = json!({"name": "a", "config": config});
            let refused = server.post(&format!("{face}/environments"), body).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{value}");
            if face == "/api" {
                let error = &refused.body["errors"][0];
                assert_eq!(
                    (&error["field"], &error["code"]),
                    (&json!(place), &json!(code))
                );
            }
        }
    }
}

const HOST_PATHS: [(&str, &str); 3] = [
    ("base", "dir:/srv/bases/a"),
    ("base", "tar:/srv/bases/a.tar"),
    ("project", "file:///srv/bases/a.git"),
];

fn naming(kind: &str, path: &str) -> Value {
    match kind {
        "base" => json!({"type": "cloud", "base": path}),
        _ => json!({"type": "cloud", "project": {"repository": path}}),
    }
}

async fn paths_of_the_servers_machine_are_refused(server: Server) {
    let made = server.post("/v1/environments", json!({"name": "a"})).await;
    let path = format!("/api/environments/{}", made.text("id"));
    for (kind, named) in HOST_PATHS {
        let body = json!({"name": "b", "config": naming(kind, named)});
        for face in ["/v1", "/api"] {
            let refused = server
                .post(&format!("{face}/environments"), body.clone())
                .await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{named}");
            assert!(refused.raw.contains("host_path_refused"), "{refused:?}");
        }
        let change = json!({"config": naming(kind, named)});
        for (method, path) in [
            (Method::PATCH, path.clone()),
            (Method::POST, format!("{path}/impact")),
        ] {
            let refused = server.send(method, &path, Some(change.clone())).await;
            assert_eq!(refused.text("code"), "host_path_refused", "{named}");
        }
    }
    for registry in ["localhost:5000", "127.0.0.1:5000", "host.internal:5000"] {
        let config = json!({"type": "cloud", "base": format!("oci:{registry}/team/base:1")});
        let refused = server
            .post("/v1/environments", json!({"name": "b", "config": config}))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{registry}");
        assert!(refused.raw.contains("registry_refused"), "{refused:?}");
        let refused = server
            .send(Method::PATCH, &path, Some(json!({"config": config})))
            .await;
        assert_eq!(refused.text("code"), "registry_refused", "{registry}");
    }
    // Its own userland is no path of anybody's choice.
    let body = json!({"name": "b", "config": {"type": "cloud", "base": "host"}});
    server.post("/v1/environments", body).await.ok();
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

async fn paths_that_the_operator_allows_are_taken_and_stay(server: Server) {
    let allowed = HostPaths::new(vec![PathBuf::from("/srv/bases")]).unwrap();
    let control = Control::new(server.store.clone(), sealing_keys(&[1]));
    let control = Arc::new(control.with_host_paths(allowed));
    let credentials = Credentials {
        key: &server.key,
        address: None,
    };
    let caller = control.authenticate(credentials).await.unwrap();
    for (number, (kind, named)) in HOST_PATHS.into_iter().enumerate() {
        let body = json!({"name": format!("e{number}"), "config": naming(kind, named)});
        let request = NewEnvironmentRequest {
            body: object(&body),
            ..NewEnvironmentRequest::default()
        };
        let made = control.create_environment(&caller, request).await.unwrap();
        // A server that does not allow them leaves what is there, and takes no other.
        let path = format!("/v1/environments/{}", made.environment.id);
        let renamed = server.post(&path, json!({"description": "d"})).await.ok();
        assert_eq!(renamed["description"], "d");
        let other = json!({"config": naming(kind, &format!("{named}b"))});
        let refused = server.post(&path, other).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let outside = json!({"config": {"type": "cloud", "base": "dir:/srv/bases/../../etc"}});
        let request = EnvironmentChange {
            body: object(&outside),
            ..EnvironmentChange::default()
        };
        let refused = control
            .update_environment(&caller, &made.environment.id, request)
            .await;
        assert!(refused.is_err());
    }
}

async fn a_self_hosted_environment_has_no_contents(server: Server) {
    for field in ["base", "project", "packages", "networking"] {
        let mut config = json!({"type": "self_hosted"});
        config[field] = contents()[field].clone();
        let body = json!({"name": "w", "config": config});
        let refused = server.post("/v1/environments", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{field}");
    }
}
