//! What can be written of servers and gateways, and what is refused.

use bailiwick_control::{
    CommandTransport, ConflictKind, ControlError, HostedCommand, McpEntryChange, McpGatewayChange,
    McpServerConfig, NewMcpEntryRequest, OnConflict,
};
use serde_json::json;

use super::{Place, names, on_both, tools};

#[tokio::test]
async fn a_server_that_the_environment_may_not_reach_is_refused_with_the_reason() {
    on_both(|place| async move {
        let limited = json!({"type": "limited", "allowed_hosts": ["dev.example.com"]});
        let dev = place.environment("dev", limited).await;
        let open = place.open_environment("open").await;
        let entry = place.enter("dev", &dev, place.url(0)).await.unwrap();
        let refused = place.enter("prod", &dev, place.url(2)).await;
        let Err(ControlError::Invalid(problems)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(
            (problems[0].field.as_str(), problems[0].code),
            ("url", "no_rule")
        );
        assert!(problems[0].message.contains("environment dev"));
        assert!(
            problems[0].help.contains("prod.example.com"),
            "{problems:?}"
        );
        let (control, caller) = (&place.control, &place.caller);
        let change = McpEntryChange {
            server: Some(McpServerConfig::Remote { url: place.url(2) }),
            ..McpEntryChange::default()
        };
        let refused = control
            .update_mcp_entry(caller, &entry.entry.id, change)
            .await;
        assert!(
            matches!(refused, Err(ControlError::Invalid(_))),
            "an edit: {refused:?}"
        );
        // So is a move to where it may not be reached.
        let elsewhere = place.enter("prod", &open, place.url(2)).await.unwrap();
        let change = McpEntryChange {
            environment: Some(dev.clone()),
            ..McpEntryChange::default()
        };
        let refused = control
            .update_mcp_entry(caller, &elsewhere.entry.id, change)
            .await;
        assert!(
            matches!(refused, Err(ControlError::Invalid(_))),
            "a move: {refused:?}"
        );
        let metadata = "http://169.254.169.254/mcp".to_owned();
        let refused = place.enter("metadata", &open, metadata).await;
        let Err(ControlError::Invalid(problems)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(problems[0].code, "floor");
    })
    .await;
}

#[tokio::test]
async fn what_crosses_a_border_is_refused_with_every_conflict_and_a_move_lets_go() {
    on_both(|place| async move {
        let (dev, prod) = (
            place.open_environment("dev").await,
            place.open_environment("prod").await,
        );
        let here = place.enter("dev", &dev, place.url(0)).await.unwrap();
        let there = place.enter("prod", &prod, place.url(2)).await.unwrap();
        let refused = place.gateway("dev", &dev, Some(&[&here, &there])).await;
        let Err(ControlError::AcrossEnvironments { conflicts, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].kind, ConflictKind::McpCatalogEntry);
        assert_eq!(conflicts[0].id, there.entry.id.to_string());
        let gateway = place.gateway("dev", &dev, Some(&[&here])).await.unwrap();
        let (control, caller) = (&place.control, &place.caller);
        let change = |on_conflict| McpEntryChange {
            environment: Some(prod.clone()),
            on_conflict,
            ..McpEntryChange::default()
        };
        let id = &here.entry.id;
        let refused = control
            .update_mcp_entry(caller, id, change(OnConflict::Refuse))
            .await;
        let Err(ControlError::AcrossEnvironments { conflicts, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(conflicts[0].kind, ConflictKind::McpGateway);
        let change = |on_conflict| McpGatewayChange {
            environment: Some(prod.clone()),
            on_conflict,
            ..McpGatewayChange::default()
        };
        let id = &gateway.gateway.id;
        let refused = control
            .update_mcp_gateway(caller, id, change(OnConflict::Refuse))
            .await;
        assert!(matches!(
            refused,
            Err(ControlError::AcrossEnvironments { .. })
        ));
        let moved = control
            .update_mcp_gateway(caller, id, change(OnConflict::Detach))
            .await;
        let moved = moved.unwrap();
        assert!(moved.entries.is_empty());
        let listed = place.ask(&moved, tools()).await.unwrap();
        assert!(names(&listed).is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_environment_with_servers_or_gateways_is_not_deleted() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    let entry = place.enter("dev", &dev, place.url(0)).await.unwrap();
    let gateway = place.gateway("dev", &dev, None).await.unwrap();
    let (control, caller) = (&place.control, &place.caller);
    let refused = control.delete_environment(caller, &dev).await;
    let Err(ControlError::InUse { references, .. }) = refused else {
        panic!("{refused:?}")
    };
    let kinds: Vec<_> = references
        .page
        .items
        .iter()
        .map(|it| it.kind.as_str())
        .collect();
    assert_eq!(kinds, ["mcp_catalog_entry", "mcp_gateway"]);
    let gone = control
        .delete_mcp_gateway(caller, &gateway.gateway.id)
        .await;
    gone.unwrap();
    control
        .delete_mcp_entry(caller, &entry.entry.id)
        .await
        .unwrap();
    control.delete_environment(caller, &dev).await.unwrap();
}

#[tokio::test]
async fn what_a_server_has_is_listed_and_one_that_cannot_be_asked_says_why() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    let entry = place.enter("dev", &dev, place.url(0)).await.unwrap();
    let (control, caller) = (&place.control, &place.caller);
    let gateways = &place.gateways;
    let tools = gateways
        .mcp_entry_tools(caller, &entry.entry.id)
        .await
        .unwrap();
    assert_eq!(tools[0]["name"], "ask");
    let hosted = HostedCommand {
        command: "server".to_owned(),
        args: Vec::new(),
        variables: Default::default(),
        secrets: Vec::new(),
        packages: Default::default(),
        transport: CommandTransport::Stdio,
    };
    let request = NewMcpEntryRequest {
        name: "hosted".to_owned(),
        environment: dev.clone(),
        server: McpServerConfig::SelfHosted(hosted),
        vault: None,
    };
    let entry = control.create_mcp_entry(caller, request).await.unwrap();
    let refused = gateways.mcp_entry_tools(caller, &entry.entry.id).await;
    assert!(refused.unwrap_err().to_string().contains("not served here"));
    let silent = place
        .enter("closed", &dev, "http://dev.example.com:1/mcp".to_owned())
        .await;
    let silent = silent.unwrap().entry.id;
    assert!(gateways.mcp_entry_tools(caller, &silent).await.is_err());
    // One server that does not answer hides no other.
    let gateway = place.gateway("dev", &dev, None).await.unwrap();
    let listed = place.ask(&gateway, super::tools()).await.unwrap();
    assert!(names(&listed).contains(&"dev__ask"));
    let missing = listed["_meta"]["bailiwick/missing"].to_string();
    assert!(
        missing.contains("hosted") && missing.contains("closed"),
        "{missing}"
    );
}

#[tokio::test]
async fn names_of_servers_are_those_of_tools_and_not_bailiwicks_own() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    for name in ["a__b", "a_", "", "ä", "bailiwick", "Playwright"] {
        let refused = place.enter(name, &dev, place.url(0)).await;
        assert!(
            matches!(refused, Err(ControlError::Invalid(_))),
            "{name}: {refused:?}"
        );
    }
    place.enter("dev", &dev, place.url(0)).await.unwrap();
    let refused = place.enter("DEV", &dev, place.url(0)).await;
    assert!(
        matches!(refused, Err(ControlError::NameTaken(_))),
        "{refused:?}"
    );
    let other = place.open_environment("other").await;
    place.enter("dev", &other, place.url(0)).await.unwrap();
}
