//! Every operation of the document, by who asks: nobody, each predefined role, and a worker of a self-hosted environment.
//!
//! The table is in `snapshots`: a change of what somebody may do shows as a change of it. What there is comes from the document, so nothing is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bailiwick_model::{EnvironmentId, Permission};
use bailiwick_wire::example_id;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Server, answer, worker};

/// An operation, and the request that the document shows for it; its ids are of nothing.
struct Operation {
    method: Method,
    template: String,
    path: String,
    body: Option<Value>,
    is_public: bool,
    permission: Option<String>,
    besides: Vec<String>,
    is_for_workers: bool,
}

impl Operation {
    fn of(document: &Value, template: &str, method: &str, said: &Value) -> Self {
        let (mut path, mut query) = (template.to_owned(), Vec::new());
        for parameter in said["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let example = parameter["schema"]["examples"][0].as_str().unwrap_or("x");
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), example),
                _ if parameter["required"] == true => query.push(format!("{name}={example}")),
                _ => {}
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let body = &said["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let body = body.as_str().map(|reference| {
            let schema = document.pointer(&reference[1..]).unwrap();
            schema["examples"][0].clone()
        });
        assert_ne!(body, Some(Value::Null), "{method} {template}: no example");
        Self {
            method: method.to_uppercase().parse().unwrap(),
            template: template.to_owned(),
            path,
            body,
            is_public: said["security"] == json!([]),
            permission: said["x-permission"].as_str().map(str::to_owned),
            besides: serde_json::from_value(said["x-permissions-besides"].clone())
                .unwrap_or_default(),
            is_for_workers: said["x-workers"] == true,
        }
    }

    async fn all(server: &Server) -> Vec<Self> {
        let document = answer(server.request(Method::GET, "/api/openapi.json")).await;
        let document = document.ok();
        let mut all = Vec::new();
        for (template, operations) in document["paths"].as_object().unwrap() {
            for (method, said) in operations.as_object().unwrap() {
                all.push(Self::of(&document, template, method, said));
            }
        }
        all
    }

    /// The same where an environment is there: another one's worker is nobody.
    fn within(&self, environment: &str) -> Self {
        let nothing = example_id::<EnvironmentId>();
        Self {
            method: self.method.clone(),
            template: self.template.clone(),
            path: self.path.replace(&nothing, environment),
            body: self.body.clone(),
            is_public: self.is_public,
            permission: self.permission.clone(),
            besides: self.besides.clone(),
            is_for_workers: self.is_for_workers,
        }
    }

    fn request(&self, server: &Server) -> RequestBuilder {
        let request = server.request(self.method.clone(), &self.path);
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// What of it was let through: anything but 401 and 403, since what it names does not exist.
    async fn word(&self, server: &Server, key: Option<&str>) -> &'static str {
        let answered = loop {
            let request = self.request(server);
            let request = match key {
                Some(key) => request.header("x-api-key", key),
                None => request,
            };
            let answered = answer(request).await;
            // So many are refused here that this address has to wait.
            let Some(seconds) = answered.headers.get("retry-after") else {
                break answered;
            };
            let seconds = seconds.to_str().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        };
        let status = answered.status.as_u16();
        assert!(status < 500, "{} {}: {answered:?}", self.method, self.path);
        match status {
            401 => "401",
            403 => "403",
            _ => "yes",
        }
    }
}

/// The key of a service account with a role.
async fn key_of(server: &Server, name: &str, role: &Value) -> String {
    let account = json!({"name": name, "role_id": role});
    let made = server.post("/api/service-accounts", account).await;
    let path = format!("/api/service-accounts/{}/keys", made.text("id"));
    let key = server.post(&path, json!({"name": "k"})).await;
    key.text("key").to_owned()
}

/// The key of somebody who may do these and nothing else.
async fn key_with(server: &Server, name: &str, permissions: &[&str]) -> String {
    let role = json!({"name": name, "permissions": permissions});
    let role = server.post("/api/roles", role).await.ok();
    key_of(server, name, &role["id"]).await
}

async fn key_of_predefined(server: &Server, name: &str) -> String {
    let roles = server.get("/api/roles").await.ok();
    let roles = roles["data"].as_array().unwrap();
    let role = roles.iter().find(|role| role["name"] == name).unwrap();
    key_of(server, name, &role["id"]).await
}

#[tokio::test]
async fn who_may_do_what() {
    let server = Server::sqlite().await;
    let mut keys = Vec::new();
    for role in ["admin", "editor", "member"] {
        keys.push(key_of_predefined(&server, role).await);
    }
    let (environment, worker) = worker(&server).await;
    let mut table = format!("{:<58} nobody admin  editor member worker\n", "operation");
    for operation in Operation::all(&server).await {
        let nobody = operation.word(&server, None).await;
        let title = format!("{} {}", operation.method, operation.template);
        assert!(operation.is_public || nobody == "401", "{title}");
        let _ = write!(table, "{title:<58} {nobody:<6}");
        for key in &keys {
            let word = operation.word(&server, Some(key)).await;
            let _ = write!(table, " {word:<6}");
        }
        let within = operation.within(&environment);
        let word = within.word(&server, Some(&worker)).await;
        let _ = write!(table, " {word}");
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn every_operation_wants_the_permission_that_the_document_names_and_no_other() {
    let server = Server::sqlite().await;
    let all: Vec<_> = Permission::ALL.iter().map(|one| one.as_str()).collect();
    let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
    for one in &all {
        let others: Vec<_> = all.iter().copied().filter(|other| other != one).collect();
        with.insert(*one, key_with(&server, one, &[one]).await);
        let name = format!("not {one}");
        without.insert(*one, key_with(&server, &name, &others).await);
    }
    let nothing = key_with(&server, "nothing", &[]).await;
    let (environment, worker) = worker(&server).await;
    for mut operation in Operation::all(&server).await {
        let title = format!("{} {}", operation.method, operation.template);
        // Nobody hands on what they do not have.
        if let Some(permissions) = operation
            .body
            .as_mut()
            .and_then(|body| body.get_mut("permissions"))
        {
            *permissions = json!([]);
        }
        let Some(permission) = operation.permission.as_deref() else {
            if !operation.is_public {
                assert_eq!(
                    operation.word(&server, Some(&nothing)).await,
                    "yes",
                    "{title}"
                );
            }
            continue;
        };
        let refused = operation.word(&server, Some(&without[permission])).await;
        assert_eq!(refused, "403", "{title} without {permission}");
        for other in &operation.besides {
            let refused = operation
                .word(&server, Some(&without[other.as_str()]))
                .await;
            assert_eq!(refused, "403", "{title} without {other}");
        }
        let done = if operation.besides.is_empty() {
            operation.word(&server, Some(&with[permission])).await
        } else {
            let others = operation.besides.iter().map(String::as_str);
            let all: Vec<_> = others.chain([permission]).collect();
            let key = key_with(&server, &title, &all).await;
            operation.word(&server, Some(&key)).await
        };
        assert_eq!(done, "yes", "{title} with what the document names alone");
        let within = operation.within(&environment);
        let worker = within.word(&server, Some(&worker)).await == "yes";
        assert_eq!(worker, operation.is_for_workers, "{title} by a worker");
    }
}
