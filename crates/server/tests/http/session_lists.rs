//! Lists of sessions.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::sessions::{agent, body, create, environment, set_status};
use crate::{Server, on_both};

on_both!(
    pages_go_to_both_sides_in_both_orders,
    lists_have_what_was_asked_for,
    parameters_that_mean_nothing_are_refused,
);

fn ids(answer: &Value) -> Vec<String> {
    let ids = answer["data"].as_array().unwrap().iter();
    ids.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn pages_go_to_both_sides_in_both_orders(server: Server) {
    let body = body(&server).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(create(&server, body.clone()).await.text("id").to_owned());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for order in ["desc", "asc"] {
        let mut expected = made.clone();
        if order == "desc" {
            expected.reverse();
        }
        let list = format!("/v1/sessions?limit=2&order={order}");
        let page = async |cursor: &Value| {
            let cursor = cursor.as_str().unwrap();
            server.get(&format!("{list}&page={cursor}")).await.ok()
        };
        let first = server.get(&list).await.ok();
        assert_eq!(
            (ids(&first), &first["prev_page"]),
            (expected[..2].to_vec(), &Value::Null)
        );
        let second = page(&first["next_page"]).await;
        assert_eq!(ids(&second), expected[2..4]);
        let third = page(&second["next_page"]).await;
        assert_eq!(
            (ids(&third), &third["next_page"]),
            (expected[4..].to_vec(), &Value::Null)
        );
        let back = page(&third["prev_page"]).await;
        assert_eq!(ids(&back), expected[2..4]);
        assert_eq!(ids(&page(&back["next_page"]).await), expected[4..]);
        let start = page(&back["prev_page"]).await;
        assert_eq!(
            (ids(&start), &start["prev_page"]),
            (expected[..2].to_vec(), &Value::Null)
        );
        let other = if order == "desc" { "asc" } else { "desc" };
        let cursor = first["next_page"].as_str().unwrap();
        let path = format!("/v1/sessions?order={other}&page={cursor}");
        assert_eq!(server.get(&path).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(
        server.get("/v1/sessions?limit=100").await.ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

async fn lists_have_what_was_asked_for(server: Server) {
    let body = body(&server).await;
    let coder = body["agent"].as_str().unwrap();
    let first = create(&server, body.clone()).await.ok();
    server
        .post(&format!("/v1/agents/{coder}"), json!({"name": "B"}))
        .await
        .ok();
    let second = create(&server, body.clone()).await.ok();
    let other = environment(&server, "other", "cloud").await;
    let own = agent(&server).await;
    let third = create(&server, json!({"agent": own, "environment_id": other}))
        .await
        .ok();
    let id = |session: &Value| session["id"].as_str().unwrap().to_owned();
    set_status(&server, &id(&second), "running").await;
    let archived = format!("/v1/sessions/{}/archive", id(&third));
    server.post(&archived, json!({})).await.ok();
    let at = |session: &Value| {
        let time = session["created_at"].as_str().unwrap();
        time.replace('Z', "%2B00:00")
    };
    let (one, two, three) = (id(&first), id(&second), id(&third));
    for (query, expected) in [
        (String::new(), vec![&two, &one]),
        (
            "include_archived=true&beta=true".to_owned(),
            vec![&three, &two, &one],
        ),
        (format!("agent_id={coder}"), vec![&two, &one]),
        (format!("agent_id={coder}&agent_version=1"), vec![&one]),
        (format!("agent_id={coder}&agent_version=3"), vec![]),
        ("agent_version=7".to_owned(), vec![&two, &one]),
        ("agent_id=nonsense".to_owned(), vec![]),
        (
            format!("environment_id={other}&include_archived=true"),
            vec![&three],
        ),
        (
            "statuses%5B%5D=running&statuses%5B%5D=rescheduling".to_owned(),
            vec![&two],
        ),
        ("statuses=idle".to_owned(), vec![&one]),
        (
            "statuses[]=terminated&include_archived=true".to_owned(),
            vec![&three],
        ),
        (format!("created_at%5Bgte%5D={}", at(&second)), vec![&two]),
        (format!("created_at[gt]={}", at(&first)), vec![&two]),
        (format!("created_at[lt]={}", at(&second)), vec![&one]),
        (format!("created_at[lte]={}", at(&second)), vec![&two, &one]),
        (
            format!(
                "created_at[gt]={}&created_at[lt]={}",
                at(&first),
                at(&second)
            ),
            vec![],
        ),
        ("deployment_id=depl_1".to_owned(), vec![]),
        ("memory_store_id=memstore_1".to_owned(), vec![]),
    ] {
        let found = server.get(&format!("/v1/sessions?{query}")).await.ok();
        assert_eq!(ids(&found).iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

async fn parameters_that_mean_nothing_are_refused(server: Server) {
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "page=x",
        "page=page_dn_x",
        "order=up",
        "statuses[]=busy",
        "created_at[gt]=today",
        "agent_version=0",
        "include_archived=yes",
    ] {
        let refused = server.get(&format!("/v1/sessions?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}
