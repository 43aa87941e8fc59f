//! What sessions refer to, and who may.

use bailiwick_model::{Permission, PredefinedRole, ResourceId as _, SessionId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sessions::{agent, body, code, create, environment, id_of, key_with, with};
use crate::{Server, on_both};

on_both!(
    what_a_session_refers_to_must_be_there,
    an_agent_runs_where_it_was_placed_and_only_there,
    a_restricted_environment_takes_sessions_of_who_may_deploy,
    what_a_session_refers_to_stays,
    what_goes_away_while_a_session_is_made_is_there_or_the_session_is_not,
    of_many_changes_at_once_none_fails,
    an_environment_that_changes_leaves_its_sessions_alone,
    what_is_another_organizations_does_not_exist,
    who_may_not_is_refused,
);

async fn what_a_session_refers_to_must_be_there(server: Server) {
    let body = body(&server).await;
    let nobody = |prefix: &str| format!("{prefix}1ChGqExyZXj8gBdypLbMAf");
    let file = |id: &str| json!([{"type": "file", "file_id": id}]);
    for (more, what) in [
        (json!({"agent": nobody("agent_")}), "agent"),
        (json!({"agent": "nonsense"}), "agent"),
        (
            json!({"agent": {"type": "agent", "id": body["agent"], "version": 2}}),
            "agent",
        ),
        (json!({"environment_id": nobody("env_")}), "environment"),
        (json!({"vault_ids": [nobody("vlt_")]}), "vault"),
        (json!({"resources": file(&nobody("file_"))}), "file"),
        (
            json!({"resources": [{"type": "memory_store", "memory_store_id": "memstore_1"}]}),
            "memory store",
        ),
    ] {
        let refused = create(&server, with(body.clone(), more.clone())).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::NOT_FOUND, "not_found"),
            "{more}"
        );
        let told = refused.body["error"]["message"].as_str().unwrap();
        assert_eq!(told, format!("there is no {what} with this id"));
    }
    let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
    let archived = [
        (
            format!("/v1/vaults/{vault}"),
            json!({"vault_ids": [vault]}),
            "vault_archived",
        ),
        (
            format!("/v1/agents/{}", body["agent"].as_str().unwrap()),
            json!({}),
            "archived",
        ),
        (
            format!(
                "/v1/environments/{}",
                body["environment_id"].as_str().unwrap()
            ),
            json!({}),
            "environment_archived",
        ),
    ];
    for (path, more, wrong) in archived {
        server
            .post(&format!("{path}/archive"), json!({}))
            .await
            .ok();
        let refused = create(&server, with(body.clone(), more)).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, wrong)
        );
    }
    assert_eq!(server.get("/v1/sessions").await.ok()["data"], json!([]));
}

async fn an_agent_runs_where_it_was_placed_and_only_there(server: Server) {
    let (dev, test) = (
        environment(&server, "dev", "cloud").await,
        environment(&server, "test", "cloud").await,
    );
    let placed = agent(&server).await;
    let place = json!({"environment_id": dev});
    let path = format!("/api/agents/{placed}");
    server.send(Method::PATCH, &path, Some(place)).await.ok();
    let chief = json!({"name": "C", "model": "m", "multiagent": {"type": "coordinator", "agents": [placed]}});
    let chief = id_of(&server, "/v1/agents", chief).await;
    for agent in [&placed, &chief] {
        create(&server, json!({"agent": agent, "environment_id": dev}))
            .await
            .ok();
        let refused = create(&server, json!({"agent": agent, "environment_id": test})).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::CONFLICT, "across_environments")
        );
        assert_eq!(
            refused.body["error"]["details"]["conflicts"],
            json!([{"kind": "agent", "id": placed}])
        );
        assert_eq!(refused.header("x-should-retry"), "false");
    }
    // One that was made on the wire is placed by its sessions.
    let free = agent(&server).await;
    for environment in [&dev, &test] {
        create(
            &server,
            json!({"agent": free, "environment_id": environment}),
        )
        .await
        .ok();
    }
}

async fn a_restricted_environment_takes_sessions_of_who_may_deploy(server: Server) {
    let restricted = json!({"name": "production", "restricted": true});
    let restricted = id_of(&server, "/api/environments", restricted).await;
    let body = json!({"agent": agent(&server).await, "environment_id": restricted});
    let member: Vec<_> = PredefinedRole::Member.permissions().iter().collect();
    let key = key_with(&server, "no deployer", &member).await;
    let refused = server
        .send_as(&key, Method::POST, "/v1/sessions", Some(body.clone()))
        .await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::FORBIDDEN, "forbidden")
    );
    let may = [member, vec![Permission::EnvironmentDeployToRestricted]].concat();
    let key = key_with(&server, "deployer", &may).await;
    let made = server
        .send_as(&key, Method::POST, "/v1/sessions", Some(body))
        .await;
    // What goes on in a session that is there is not asked again.
    let member = key_with(
        &server,
        "again",
        &[Permission::SessionRead, Permission::SessionWrite],
    )
    .await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    let change = Some(json!({"title": "x"}));
    assert!(
        server
            .send_as(&member, Method::POST, &path, change)
            .await
            .status
            .is_success()
    );
}

async fn what_a_session_refers_to_stays(server: Server) {
    let body = body(&server).await;
    let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
    let made = create(&server, with(body.clone(), json!({"vault_ids": [vault]}))).await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    let environment = format!(
        "/v1/environments/{}",
        body["environment_id"].as_str().unwrap()
    );
    let vault = format!("/v1/vaults/{vault}");
    let delete = async |path: &str| {
        let answer = server.send(Method::DELETE, path, None).await;
        (answer.status.as_u16(), code(&answer).to_owned())
    };
    let referred = (409, "referred".to_owned());
    assert_eq!(delete(&environment).await, referred);
    assert_eq!(delete(&vault).await, referred);
    // Archived, they take part no more, and the session goes on.
    server
        .post(&format!("{vault}/archive"), json!({}))
        .await
        .ok();
    server
        .post(&format!("{environment}/archive"), json!({}))
        .await
        .ok();
    server.post(&path, json!({"title": "on"})).await.ok();
    // A session that has ended holds no vault; where it was is told for ever.
    let archived = server
        .post(&format!("{path}/archive"), json!({}))
        .await
        .ok();
    assert_eq!(delete(&vault).await.0, 200);
    assert_eq!(
        server.get(&path).await.ok()["vault_ids"],
        archived["vault_ids"]
    );
    assert_eq!(delete(&environment).await, referred);
    assert_eq!(delete(&path).await.0, 200);
    assert_eq!(delete(&environment).await.0, 200);
}

async fn what_goes_away_while_a_session_is_made_is_there_or_the_session_is_not(server: Server) {
    let coder = agent(&server).await;
    for round in 0..8 {
        let there = environment(&server, &format!("e{round}"), "cloud").await;
        let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
        let body = json!({"agent": coder, "environment_id": there, "vault_ids": [vault]});
        let goes = if round % 2 == 0 {
            format!("/v1/environments/{there}")
        } else {
            format!("/v1/vaults/{vault}")
        };
        let (made, deleted) = tokio::join!(
            create(&server, body),
            server.send(Method::DELETE, &goes, None)
        );
        let statuses = (made.status.as_u16(), deleted.status.as_u16());
        assert!(
            [(200, 409), (404, 200)].contains(&statuses),
            "{made:?} {deleted:?}"
        );
    }
}

/// Whoever takes several locks takes them in one order.
async fn of_many_changes_at_once_none_fails(server: Server) {
    let environment = environment(&server, "workers", "self_hosted").await;
    let cloud = body(&server).await;
    let parts = [crate::form::file("file", "a", b"a")];
    let file = server
        .send_form("/v1/files", &parts)
        .await
        .text("id")
        .to_owned();
    let resources = json!([{"type": "file", "file_id": file}]);
    let cloud = with(cloud, json!({"resources": resources}));
    let hosted = with(
        cloud.clone(),
        json!({"environment_id": environment, "resources": []}),
    );
    let one = async |number: usize| {
        let body = if number.is_multiple_of(2) {
            &cloud
        } else {
            &hosted
        };
        let made = create(&server, body.clone()).await;
        let path = format!("/v1/sessions/{}", made.text("id"));
        let work = format!("/v1/environments/{environment}/work");
        let polled = server.get(&format!("{work}/poll")).await.ok();
        let stop = format!("{work}/{}/stop", polled["id"].as_str().unwrap_or("work_x"));
        let archive = format!("{path}/archive");
        let (changed, archived, stopped, deleted) = tokio::join!(
            server.post(&path, json!({"title": "x"})),
            server.post(&archive, json!({})),
            server.post(&stop, json!({"force": true})),
            server.send(Method::DELETE, &path, None),
        );
        for answer in [changed, archived, stopped, deleted] {
            assert!(!answer.status.is_server_error(), "{answer:?}");
        }
    };
    for _ in 0..3 {
        tokio::join!(one(0), one(1), one(2), one(3), one(4), one(5));
    }
}

async fn an_environment_that_changes_leaves_its_sessions_alone(server: Server) {
    let body = body(&server).await;
    let before = create(&server, body.clone()).await.ok();
    let environment = format!(
        "/v1/environments/{}",
        body["environment_id"].as_str().unwrap()
    );
    let config = json!({"config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.example"]}}});
    server.post(&environment, config).await.ok();
    let after = create(&server, body.clone()).await.ok();
    assert_eq!(
        (
            &before["environment_revision"],
            &after["environment_revision"]
        ),
        (&json!(1), &json!(2))
    );
    let id: SessionId = before["id"].as_str().unwrap().parse().unwrap();
    let audit = server.get("/api/whoami").await;
    let organization = audit.body["organization_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let policy = async |id: &SessionId| {
        let scope = server.store.scope(&organization);
        let session = scope.session(id).await.unwrap().unwrap();
        serde_json::from_str::<Value>(&session.pins.policy.unwrap()).unwrap()
    };
    let pinned = policy(&id).await;
    assert_eq!(pinned["networking"]["type"], "unrestricted");
    let later = policy(&after["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(later["networking"]["allowed_hosts"], json!(["a.example"]));
    let agent = format!("/v1/agents/{}", body["agent"].as_str().unwrap());
    server.post(&agent, json!({"name": "Other"})).await.ok();
    let path = format!("/v1/sessions/{}", id.as_str());
    assert_eq!(server.get(&path).await.ok()["agent"], before["agent"]);
}

async fn what_is_another_organizations_does_not_exist(server: Server) {
    let body = body(&server).await;
    let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
    let made = create(&server, body.clone()).await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    let stranger = server.other_organization().await;
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::POST, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/archive")),
        (Method::GET, format!("{path}/resources")),
    ] {
        let answer = server
            .send_as(&stranger, method, &path, Some(json!({})))
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let list = server
        .send_as(&stranger, Method::GET, "/v1/sessions", None)
        .await;
    assert_eq!(list.body["data"], json!([]));
    let own = async |path: &str, body: Value| {
        let made = server
            .send_as(&stranger, Method::POST, path, Some(body))
            .await;
        made.text("id").to_owned()
    };
    let environment = own("/v1/environments", json!({"name": "dev"})).await;
    let agent = own("/v1/agents", json!({"name": "a", "model": "m"})).await;
    let whole = json!({"agent": agent, "environment_id": environment});
    for more in [
        json!({"agent": body["agent"]}),
        json!({"environment_id": body["environment_id"]}),
        json!({"vault_ids": [vault]}),
    ] {
        let body = Some(with(whole.clone(), more));
        let refused = server
            .send_as(&stranger, Method::POST, "/v1/sessions", body)
            .await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND);
    }
    server
        .send_as(&stranger, Method::POST, "/v1/sessions", Some(whole))
        .await
        .ok();
}

async fn who_may_not_is_refused(server: Server) {
    use Permission as P;
    let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
    let body = with(body(&server).await, json!({"vault_ids": [vault]}));
    let needed = [
        P::SessionWrite,
        P::AgentRead,
        P::EnvironmentRead,
        P::VaultRead,
    ];
    // Who cannot see something cannot have it used.
    for missing in 0..needed.len() {
        let mut some = needed.to_vec();
        let missing = some.remove(missing);
        let key = key_with(&server, missing.as_str(), &some).await;
        let refused = server
            .send_as(&key, Method::POST, "/v1/sessions", Some(body.clone()))
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{missing}");
    }
    let key = key_with(&server, "all", &needed).await;
    let made = server
        .send_as(&key, Method::POST, "/v1/sessions", Some(body))
        .await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    for (path, status) in [(path.as_str(), 403), ("/v1/sessions", 403)] {
        let refused = server.send_as(&key, Method::GET, path, None).await;
        assert_eq!(refused.status.as_u16(), status);
    }
    let nobody = server.request(Method::GET, &path);
    assert_eq!(crate::answer(nobody).await.status, StatusCode::UNAUTHORIZED);
}
