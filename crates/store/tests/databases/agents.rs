//! Agents and their versions.

use std::sync::Arc;

use bailiwick_model::{AgentId, EnvironmentId};
use bailiwick_store::{
    Agent, AgentFilter, AgentValues, Delegates, DelegationAcross, NewAgent, PageRequest, StoreError,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Place, event, fresh, on_both, organization};

on_both!(
    a_version_stays_as_it_was_written,
    another_organization_sees_no_agent_and_no_version,
    of_many_changes_of_one_version_one_wins,
    an_archived_agent_gets_no_versions,
    pages_of_agents_and_of_versions_cover_everything_once,
    a_list_is_narrowed_to_times_and_places,
    an_environment_with_an_agent_is_not_deleted,
    an_environment_of_another_organization_is_no_place,
    delegation_across_environments_is_found_from_both_ends,
);

fn values(name: &str) -> AgentValues {
    AgentValues {
        name: name.to_owned(),
        config: "{}".to_owned(),
        metadata: "{}".to_owned(),
    }
}

async fn made(place: &Place, name: &str, delegates: &[&Agent]) -> Agent {
    let mut change = place.change().await;
    let new = NewAgent {
        id: fresh(),
        values: values(name),
        delegates: delegates.iter().map(|agent| agent.id.clone()).collect(),
    };
    let agent = change.insert_agent(new).await.unwrap();
    change.commit(&event("agent.create")).await.unwrap();
    agent
}

async fn changed(place: &Place, agent: &Agent, name: &str) -> Agent {
    let mut change = place.change().await;
    let agent = change
        .update_agent(agent, values(name), &Delegates::new())
        .await
        .unwrap();
    change.commit(&event("agent.update")).await.unwrap();
    agent
}

async fn placed(place: &Place, agent: &Agent, environment: Option<&EnvironmentId>) -> Agent {
    let mut change = place.change().await;
    let agent = change.place_agent(agent, environment).await.unwrap();
    change.commit(&event("agent.place")).await.unwrap();
    agent
}

async fn a_version_stays_as_it_was_written(place: Place) {
    let first = made(&place, "first", &[]).await;
    let second = changed(&place, &first, "second").await;
    assert_eq!((second.version, second.revision), (2, 2));
    let scope = place.store.scope(&place.organization);
    let read = scope.agent(&first.id).await.unwrap().unwrap();
    assert_eq!((read.values.name.as_str(), read.version), ("second", 2));
    assert!(read.updated_at > read.created_at);
    let old = scope.agent_version(&first.id, 1).await.unwrap().unwrap();
    assert_eq!(
        (old.values, old.version, old.updated_at),
        (first.values, 1, old.created_at)
    );
    assert_eq!(scope.agent_version(&first.id, 3).await.unwrap(), None);
}

async fn another_organization_sees_no_agent_and_no_version(place: Place) {
    let agent = made(&place, "a", &[]).await;
    let other = organization(&place.store, "Other").await;
    let scope = place.store.scope(&other);
    assert_eq!(scope.agent(&agent.id).await.unwrap(), None);
    assert_eq!(scope.agent_version(&agent.id, 1).await.unwrap(), None);
    let page = PageRequest {
        before: None,
        limit: 10,
    };
    let versions = scope.agent_versions(&agent.id, &page).await.unwrap();
    assert_eq!(versions.items, []);
    let mut change = place.store.change(&other, Timestamp::now()).await.unwrap();
    assert_eq!(change.agent(&agent.id).await.unwrap(), None);
    let none = Delegates::new();
    for taken in [
        change.update_agent(&agent, values("taken"), &none).await,
        change.archive_agent(&agent).await,
        change.place_agent(&agent, None).await,
    ] {
        assert!(matches!(taken, Err(StoreError::Stale)), "{taken:?}");
    }
}

async fn of_many_changes_of_one_version_one_wins(place: Place) {
    let agent = Arc::new(made(&place, "a", &[]).await);
    let place = Arc::new(place);
    let one = |number| {
        let (place, agent) = (Arc::clone(&place), Arc::clone(&agent));
        tokio::spawn(async move {
            let mut change = place.change().await;
            let name = format!("n{number}");
            let none = Delegates::new();
            match change.update_agent(&agent, values(&name), &none).await {
                Ok(_) => change.commit(&event("agent.update")).await.is_ok(),
                Err(StoreError::Stale) => false,
                Err(other) => panic!("{other:?}"),
            }
        })
    };
    let mut won = 0;
    for task in (0..8).map(one).collect::<Vec<_>>() {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.agent(&agent.id).await.unwrap().unwrap().version, 2);
}

async fn an_archived_agent_gets_no_versions(place: Place) {
    let agent = made(&place, "a", &[]).await;
    let mut change = place.change().await;
    let archived = change.archive_agent(&agent).await.unwrap();
    let late = change
        .update_agent(&archived, values("b"), &Delegates::new())
        .await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    change.commit(&event("agent.archive")).await.unwrap();
    let scope = place.store.scope(&place.organization);
    let read = scope.agent(&agent.id).await.unwrap().unwrap();
    assert!(read.archived_at.is_some() && read.version == 1);
}

async fn pages_of_agents_and_of_versions_cover_everything_once(place: Place) {
    let mut expected = Vec::new();
    let mut last = None;
    for number in 0..7 {
        let agent = made(&place, &format!("a{number}"), &[]).await;
        expected.insert(0, agent.id.clone());
        last = Some(agent);
    }
    let scope = place.store.scope(&place.organization);
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let request = PageRequest { before, limit: 3 };
        let filter = AgentFilter::default();
        let page = scope.agents(&request, &filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|agent| agent.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);

    let mut agent = last.unwrap();
    for number in 2..=5 {
        agent = changed(&place, &agent, &format!("v{number}")).await;
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let request = PageRequest { before, limit: 2 };
        let page = scope.agent_versions(&agent.id, &request).await.unwrap();
        seen.extend(page.items.into_iter().map(|agent| agent.version));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

async fn a_list_is_narrowed_to_times_and_places(place: Place) {
    let environment = place.environment("dev").await;
    let first = made(&place, "first", &[]).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let second = made(&place, "second", &[]).await;
    let second = placed(&place, &second, Some(&environment.id)).await;
    let list = async |filter: AgentFilter| -> Vec<AgentId> {
        let page = PageRequest {
            before: None,
            limit: 10,
        };
        let scope = place.store.scope(&place.organization);
        let found = scope.agents(&page, &filter).await.unwrap();
        found.items.into_iter().map(|agent| agent.id).collect()
    };
    let between = first.created_at + SignedDuration::from_millis(1);
    let (from, until) = (
        AgentFilter {
            created_from: Some(between),
            ..AgentFilter::default()
        },
        AgentFilter {
            created_until: Some(between),
            ..AgentFilter::default()
        },
    );
    assert_eq!(
        list(from).await.as_slice(),
        std::slice::from_ref(&second.id)
    );
    assert_eq!(list(until).await, [first.id]);
    let there = AgentFilter {
        environment: Some(environment.id),
        ..AgentFilter::default()
    };
    assert_eq!(list(there).await, [second.id]);
    assert_eq!(list(AgentFilter::default()).await.len(), 2);
}

async fn an_environment_with_an_agent_is_not_deleted(place: Place) {
    let environment = place.environment("dev").await;
    let agent = made(&place, "a", &[]).await;
    let agent = placed(&place, &agent, Some(&environment.id)).await;
    let mut change = place.change().await;
    let refused = change.delete_environment(&environment).await;
    assert!(matches!(refused, Err(StoreError::Referred)), "{refused:?}");
    drop(change);
    placed(&place, &agent, None).await;
    let mut change = place.change().await;
    change.delete_environment(&environment).await.unwrap();
    change.commit(&event("environment.delete")).await.unwrap();
}

async fn an_environment_of_another_organization_is_no_place(place: Place) {
    let environment = place.environment("dev").await;
    let other = organization(&place.store, "Other").await;
    let mut change = place.store.change(&other, Timestamp::now()).await.unwrap();
    let new = NewAgent {
        id: fresh(),
        values: values("theirs"),
        delegates: Delegates::new(),
    };
    let agent = change.insert_agent(new).await.unwrap();
    let refused = change.place_agent(&agent, Some(&environment.id)).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
}

async fn delegation_across_environments_is_found_from_both_ends(place: Place) {
    let (dev, prod) = (
        place.environment("dev").await,
        place.environment("prod").await,
    );
    let worker = made(&place, "worker", &[]).await;
    let chief = made(&place, "chief", &[&worker]).await;
    let worker = placed(&place, &worker, Some(&dev.id)).await;
    let mut change = place.change().await;
    let across = change.delegation_across(&chief.id, &prod.id).await.unwrap();
    assert_eq!(
        (across.delegates, across.delegators),
        (Delegates::from([worker.id.clone()]), Delegates::new())
    );
    let across = change.delegation_across(&chief.id, &dev.id).await.unwrap();
    assert_eq!(across, DelegationAcross::default());
    drop(change);
    let chief = placed(&place, &chief, Some(&dev.id)).await;
    let mut change = place.change().await;
    let across = change
        .delegation_across(&worker.id, &prod.id)
        .await
        .unwrap();
    assert_eq!(
        (across.delegates, across.delegators),
        (Delegates::new(), Delegates::from([chief.id.clone()]))
    );
    // A newer version that delegates to nobody sets it free.
    change
        .update_agent(&chief, values("alone"), &Delegates::new())
        .await
        .unwrap();
    let across = change
        .delegation_across(&worker.id, &prod.id)
        .await
        .unwrap();
    assert_eq!(across, DelegationAcross::default());
}
