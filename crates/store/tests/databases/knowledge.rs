//! What environments know.

use std::time::Duration;

use bailiwick_model::{EnvironmentId, KnowledgeConnectorId};
use bailiwick_store::{
    EndedSync, Environment, Kept, KeptSync, KnowledgeConnector, KnowledgeConnectorValues,
    KnowledgeDocuments, KnowledgeHit, KnowledgeQuery, KnowledgeRun, KnowledgeSyncState,
    NewKnowledgeChunk, NewKnowledgeDocument, PageRequest, SnippetPart, Store,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Place, event, fresh, new, now, on_both, organization};

on_both!(
    a_search_finds_what_its_environment_knows_and_nothing_else,
    what_moves_is_found_where_it_is_and_what_is_gone_or_archived_nowhere,
    what_is_searched_for_is_never_syntax,
    all_words_come_before_some_and_a_title_before_a_passage,
    a_document_is_replaced_whole_and_goes_whole,
    scores_tell_nothing_of_what_others_know,
    of_many_servers_one_syncs_a_connector,
    what_is_due_of_one_organization_hides_no_other,
    a_sync_that_lost_its_connector_writes_nothing,
    a_connector_that_was_deleted_is_swept_bit_by_bit,
    what_failed_is_told_and_what_was_known_of_it_stays,
);

const LEASE: SignedDuration = SignedDuration::from_secs(60);

impl Place {
    async fn connector(&self, environment: &EnvironmentId, name: &str) -> KnowledgeConnector {
        let values = KnowledgeConnectorValues {
            environment: environment.clone(),
            name: name.to_owned(),
            kind: "web".to_owned(),
            config: "{}".to_owned(),
        };
        let mut change = self.change().await;
        let at = change.at();
        let made = change.insert_knowledge_connector(fresh(), values, Some(at));
        let made = made.await.unwrap();
        change.commit(&event("knowledge")).await.unwrap();
        made
    }

    async fn claim(&self, connector: &KnowledgeConnectorId, holder: &str) -> Option<KnowledgeRun> {
        let now = now();
        let claimed =
            self.store
                .claim_knowledge(&self.organization, connector, holder, (now, now + LEASE));
        claimed.await.unwrap()
    }

    async fn take(&self, run: &KnowledgeRun, key: &str, title: &str, bodies: &[&str]) {
        let document = document(key, title, bodies);
        let kept = self.store.keep_knowledge_document(run, now(), &document);
        assert_eq!(kept.await.unwrap(), Kept::Kept);
    }

    async fn found(&self, environment: &EnvironmentId, words: &str) -> Vec<KnowledgeHit> {
        let scope = self.store.scope(&self.organization);
        let of = scope.in_environment(environment);
        let query = KnowledgeQuery::of(words).unwrap();
        of.search_knowledge(&query, 10).await.unwrap()
    }

    async fn keys(&self, environment: &EnvironmentId, words: &str) -> Vec<String> {
        let found = self.found(environment, words).await;
        found.into_iter().map(|hit| hit.key).collect()
    }

    async fn stored(&self, connector: &KnowledgeConnectorId) -> KnowledgeConnector {
        let scope = self.store.scope(&self.organization);
        scope.knowledge_connector(connector).await.unwrap().unwrap()
    }
}

fn document(key: &str, title: &str, bodies: &[&str]) -> NewKnowledgeDocument {
    let chunk = |body: &&str| NewKnowledgeChunk {
        headings: "Operations\nKeys".to_owned(),
        body: (*body).to_owned(),
    };
    NewKnowledgeDocument {
        id: fresh(),
        key: key.to_owned(),
        revision: "1".to_owned(),
        title: title.to_owned(),
        link: Some(format!("https://docs.test/{key}")),
        kind: "markdown",
        bytes: bodies.iter().map(|body| body.len() as i64).sum(),
        updated_at: None,
        chunks: bodies.iter().map(chunk).collect(),
    }
}

async fn two(place: &Place) -> [(Environment, KnowledgeConnector, KnowledgeRun); 2] {
    let mut all = Vec::new();
    for name in ["dev", "prod"] {
        let environment = place.environment(name).await;
        let connector = place.connector(&environment.id, name).await;
        let run = place.claim(&connector.id, "a").await.unwrap();
        all.push((environment, connector, run));
    }
    all.try_into().ok().unwrap()
}

async fn a_search_finds_what_its_environment_knows_and_nothing_else(place: Place) {
    let [dev, prod] = two(&place).await;
    place
        .take(&dev.2, "dev.md", "Dev", &["the shared word, and devish"])
        .await;
    place
        .take(
            &prod.2,
            "prod.md",
            "Prod",
            &["the shared word, and prodish"],
        )
        .await;
    for words in [
        "shared",
        "shared word",
        "shared devish prodish",
        "devish",
        "prodish",
        "dev prod",
    ] {
        for hit in place.found(&dev.0.id, words).await {
            assert_eq!(hit.connector, dev.1.id, "{words}");
        }
        for hit in place.found(&prod.0.id, words).await {
            assert_eq!(hit.connector, prod.1.id, "{words}");
        }
    }
    assert_eq!(place.keys(&dev.0.id, "shared").await, ["dev.md"]);
    assert!(place.keys(&dev.0.id, "prodish").await.is_empty());
    // Another organization's environment is none of this one.
    let other = organization(&place.store, "Other").await;
    let foreign = place.store.scope(&other);
    let foreign = foreign.in_environment(&dev.0.id);
    let query = KnowledgeQuery::of("shared").unwrap();
    let found = foreign.search_knowledge(&query, 10).await.unwrap();
    assert!(found.is_empty());
    assert!(!foreign.has_knowledge().await.unwrap());
}

async fn what_moves_is_found_where_it_is_and_what_is_gone_or_archived_nowhere(place: Place) {
    let [dev, prod] = two(&place).await;
    for (run, key) in [(&dev.2, "dev.md"), (&prod.2, "prod.md")] {
        place.take(run, key, "Same", &["the shared word"]).await;
    }
    let query = KnowledgeQuery::of("shared").unwrap();
    // A move takes along what is known, at once.
    let mut change = place.change().await;
    let moved = KnowledgeConnectorValues {
        environment: prod.0.id.clone(),
        ..dev.1.values.clone()
    };
    let moved = change.update_knowledge_connector(&dev.1, moved, None);
    moved.await.unwrap();
    change.commit(&event("knowledge")).await.unwrap();
    assert!(place.keys(&dev.0.id, "shared").await.is_empty());
    let mut both = place.keys(&prod.0.id, "shared").await;
    both.sort();
    assert_eq!(both, ["dev.md", "prod.md"]);
    // What was deleted is found nowhere, and its name is free.
    let mut change = place.change().await;
    assert!(change.delete_knowledge_connector(&dev.1.id).await.unwrap());
    change.commit(&event("knowledge")).await.unwrap();
    assert_eq!(place.keys(&prod.0.id, "shared").await, ["prod.md"]);
    place.connector(&dev.0.id, "dev").await;
    // Nor is what an archived environment knew, also for whoever looked it up before.
    let scope = place.store.scope(&place.organization);
    let of = scope.in_environment(&prod.0.id);
    assert!(of.has_knowledge().await.unwrap());
    let gone = "UPDATE environment SET archived_at = 1 WHERE id =";
    place.execute(&format!("{gone} '{}'", prod.0.id)).await;
    assert!(of.search_knowledge(&query, 10).await.unwrap().is_empty());
    assert!(!of.has_knowledge().await.unwrap());
}

async fn what_is_searched_for_is_never_syntax(place: Place) {
    let [dev, _] = two(&place).await;
    place
        .take(&dev.2, "a.md", "A", &["near the title OR not, café crème"])
        .await;
    for words in [
        "title:near",
        "near* OR (",
        "\"near",
        "near\" AND \"x",
        "-near",
        "NEAR(near title, 2)",
        "{title body}: near",
        "^near",
        "near + title",
        "near <-> title",
        "near & !title",
        "near:*",
        "near | title",
        "'near'",
        "near\\",
        "near%",
        "near;DROP TABLE x",
        "body MATCH near",
        "near or title",
        "$1 near",
        "near \u{1} title",
        "near\u{0}title",
    ] {
        assert_eq!(place.keys(&dev.0.id, words).await, ["a.md"], "{words:?}");
    }
    assert_eq!(place.keys(&dev.0.id, "café").await, ["a.md"]);
}

async fn all_words_come_before_some_and_a_title_before_a_passage(place: Place) {
    let [dev, _] = two(&place).await;
    place
        .take(
            &dev.2,
            "some.md",
            "Rotation",
            &["rotate rotate rotate what turns"],
        )
        .await;
    place
        .take(
            &dev.2,
            "all.md",
            "Else",
            &["how signing keys are rotated, e.g. at keys.example.com/rotate_now"],
        )
        .await;
    place
        .take(
            &dev.2,
            "title.md",
            "Signing keys: rotating them",
            &["as it says"],
        )
        .await;
    let found = place
        .found(&dev.0.id, "How do we rotate the signing keys?")
        .await;
    let keys: Vec<_> = found.iter().map(|hit| hit.key.as_str()).collect();
    assert_eq!(keys, ["title.md", "all.md", "some.md"]);
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
    let all = &found[1];
    assert_eq!(all.headings, ["Operations", "Keys"]);
    assert_eq!(all.link.as_deref(), Some("https://docs.test/all.md"));
    assert_eq!(
        (all.connector_name.as_str(), all.connector_kind.as_str()),
        ("dev", "web")
    );
    let matched = |part: &SnippetPart| match part {
        SnippetPart::Match(text) => Some(text.clone()),
        SnippetPart::Around(_) => None,
    };
    let matched: Vec<_> = all.snippet.iter().filter_map(matched).collect();
    assert!(
        matched.starts_with(&["signing".into(), "keys".into(), "rotated".into()]),
        "{matched:?}"
    );
    // What looks like a host or a path is words too.
    assert_eq!(place.keys(&dev.0.id, "example").await, ["all.md"]);
}

async fn a_document_is_replaced_whole_and_goes_whole(place: Place) {
    let [dev, _] = two(&place).await;
    let long: Vec<_> = (0..130).map(|n| format!("old part {n}")).collect();
    let long: Vec<_> = long.iter().map(String::as_str).collect();
    place.take(&dev.2, "a.md", "A", &long).await;
    let stored = place.stored(&dev.1.id).await;
    assert_eq!(stored.documents, 1);
    assert_eq!(place.found(&dev.0.id, "old").await.len(), 10);
    place.take(&dev.2, "a.md", "A", &["new part"]).await;
    assert!(place.found(&dev.0.id, "old").await.is_empty());
    assert_eq!(place.keys(&dev.0.id, "new").await, ["a.md"]);
    let stored = place.stored(&dev.1.id).await;
    assert_eq!((stored.documents, stored.bytes), (1, 8));
    for _ in 0..2 {
        let gone = place.store.drop_knowledge_document(&dev.2, now(), "a.md");
        assert_eq!(gone.await.unwrap(), Kept::Kept);
    }
    let stored = place.stored(&dev.1.id).await;
    assert_eq!((stored.documents, stored.bytes), (0, 0));
    assert!(place.found(&dev.0.id, "new part").await.is_empty());
}

async fn scores_tell_nothing_of_what_others_know(place: Place) {
    let [dev, prod] = two(&place).await;
    place
        .take(&dev.2, "a.md", "A", &["turbine turbine blade"])
        .await;
    place
        .take(&dev.2, "b.md", "B", &["a turbine, and many other words"])
        .await;
    let scores = async || {
        let found = place.found(&dev.0.id, "turbine blade").await;
        let scores = found.into_iter().map(|hit| (hit.key, hit.score));
        scores.collect::<Vec<_>>()
    };
    let alone = scores().await;
    assert_eq!(alone, [("a.md".to_owned(), 1.0), ("b.md".to_owned(), 0.5)]);
    for number in 0..20 {
        let (key, text) = (format!("{number}.md"), "turbine ".repeat(50));
        place.take(&prod.2, &key, "turbine", &[&text]).await;
    }
    assert_eq!(scores().await, alone);
    // The control: what is known here makes a difference.
    place
        .take(&dev.2, "c.md", "turbine blade", &["turbine blade"])
        .await;
    assert_ne!(scores().await, alone);
}

async fn what_is_due_of_one_organization_hides_no_other(place: Place) {
    let environment = place.environment("dev").await;
    for name in ["a", "b", "c", "d"] {
        place.connector(&environment.id, name).await;
    }
    let (own, other) = (
        &place.organization,
        organization(&place.store, "Other").await,
    );
    let mut change = place.store.change(&other, now()).await.unwrap();
    let theirs = change.insert_environment(new("dev")).await.unwrap();
    let values = KnowledgeConnectorValues {
        environment: theirs.id,
        name: "e".to_owned(),
        kind: "web".to_owned(),
        config: "{}".to_owned(),
    };
    let at = change.at();
    let waits = change.insert_knowledge_connector(fresh(), values, Some(at));
    let waits = waits.await.unwrap();
    change.commit(&event("knowledge")).await.unwrap();
    let due = place.store.knowledge_to_sync(now(), 3, 2).await.unwrap();
    let owners: Vec<_> = due.iter().map(|(owner, _)| owner).collect();
    assert_eq!(owners, [own, own, &other]);
    assert_eq!(due[2].1, waits.id);
    // The control: without a share those who are later are hidden.
    let due = place.store.knowledge_to_sync(now(), 3, 4).await.unwrap();
    assert!(due.iter().all(|(owner, _)| owner == own));
}

async fn of_many_servers_one_syncs_a_connector(place: Place) {
    let environment = place.environment("dev").await;
    let connector = place.connector(&environment.id, "c").await;
    let due = place.store.knowledge_to_sync(now(), 10, 10).await.unwrap();
    assert_eq!(due, [(place.organization.clone(), connector.id.clone())]);
    let claims = ["a", "b", "c", "d"].map(|holder| place.claim(&connector.id, holder));
    let [a, b, c, d] = claims;
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let won: Vec<_> = [a, b, c, d].into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert!(
        place
            .store
            .knowledge_to_sync(now(), 10, 10)
            .await
            .unwrap()
            .is_empty()
    );
    // It is still due once its lease is over: whoever held it is gone.
    let later = now() + LEASE + LEASE;
    assert_eq!(
        place
            .store
            .knowledge_to_sync(later, 10, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    // A sync that was asked for while it runs follows it.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let mut change = place.change().await;
    assert!(change.want_knowledge_sync(&connector.id).await.unwrap());
    change.commit(&event("knowledge")).await.unwrap();
    end(&place.store, &won[0], KnowledgeSyncState::Done, None).await;
    let run = place.claim(&connector.id, "e").await.unwrap();
    let stored = place.stored(&connector.id).await;
    assert_eq!(stored.sync.state, KnowledgeSyncState::Running);
    let next = now() + LEASE;
    end(&place.store, &run, KnowledgeSyncState::Failed, Some(next)).await;
    let stored = place.stored(&connector.id).await;
    assert_eq!(
        (stored.sync.state, stored.sync.wanted_at),
        (KnowledgeSyncState::Failed, Some(next))
    );
    assert_eq!(stored.sync.cursor.as_deref(), Some("here"));
    assert!(place.claim(&connector.id, "f").await.is_none());
}

async fn end(
    store: &Store,
    run: &KnowledgeRun,
    state: KnowledgeSyncState,
    next_at: Option<Timestamp>,
) {
    let ended = EndedSync {
        state,
        counts: "{}".to_owned(),
        error: None,
        cursor: Some("here".to_owned()),
        next_at,
    };
    assert!(store.end_knowledge_sync(run, now(), &ended).await.unwrap());
}

async fn a_sync_that_lost_its_connector_writes_nothing(place: Place) {
    let [dev, _] = two(&place).await;
    let (store, run) = (&place.store, &dev.2);
    let until = now() + LEASE;
    let kept = store.keep_knowledge(run, now(), until).await.unwrap();
    assert!(matches!(kept, KeptSync::Theirs(_)));
    let mut change = place.change().await;
    assert!(change.cancel_knowledge_sync(&dev.1.id).await.unwrap());
    change.commit(&event("knowledge")).await.unwrap();
    let kept = store.keep_knowledge(run, now(), until).await.unwrap();
    assert_eq!(kept, KeptSync::Cancelled);
    store.release_knowledge(run).await.unwrap();
    let other = place.claim(&dev.1.id, "b").await.unwrap();
    let late = document("a.md", "A", &["late"]);
    assert_eq!(
        store
            .keep_knowledge_document(run, now(), &late)
            .await
            .unwrap(),
        Kept::Lost
    );
    assert_eq!(
        store
            .drop_knowledge_document(run, now(), "a.md")
            .await
            .unwrap(),
        Kept::Lost
    );
    assert_eq!(
        store.keep_knowledge(run, now(), until).await.unwrap(),
        KeptSync::Lost
    );
    assert!(!store.note_knowledge_progress(run, "{}").await.unwrap());
    place.take(&other, "a.md", "A", &["in time"]).await;
    // Nor does one whose lease is over, or whose connector was deleted.
    let after = now() + LEASE + LEASE;
    assert_eq!(
        store
            .keep_knowledge_document(&other, after, &late)
            .await
            .unwrap(),
        Kept::Lost
    );
    let mut change = place.change().await;
    assert!(change.delete_knowledge_connector(&dev.1.id).await.unwrap());
    change.commit(&event("knowledge")).await.unwrap();
    assert_eq!(
        store
            .keep_knowledge_document(&other, now(), &late)
            .await
            .unwrap(),
        Kept::Lost
    );
}

async fn a_connector_that_was_deleted_is_swept_bit_by_bit(place: Place) {
    let [dev, prod] = two(&place).await;
    for n in 0..5 {
        place
            .take(&dev.2, &format!("{n}.md"), "A", &["swept"])
            .await;
    }
    place.take(&prod.2, "p.md", "P", &["stays"]).await;
    assert!(!place.store.sweep_knowledge(2).await.unwrap());
    let mut change = place.change().await;
    assert!(change.delete_knowledge_connector(&dev.1.id).await.unwrap());
    change.commit(&event("knowledge")).await.unwrap();
    let mut rounds = 0;
    while place.store.sweep_knowledge(2).await.unwrap() {
        rounds += 1;
    }
    assert_eq!(rounds, 4);
    let left = "DELETE FROM knowledge_chunk WHERE body = 'swept'";
    assert_eq!(place.execute(left).await, 0);
    assert_eq!(place.keys(&prod.0.id, "stays").await, ["p.md"]);
}

async fn what_failed_is_told_and_what_was_known_of_it_stays(place: Place) {
    let [dev, _] = two(&place).await;
    let (store, run) = (&place.store, &dev.2);
    place.take(run, "a.md", "A", &["known"]).await;
    for key in ["a.md", "b.md"] {
        let id = fresh();
        let failed = store.fail_knowledge_document(run, now(), (&id, key, key), "it broke");
        assert_eq!(failed.await.unwrap(), Kept::Kept);
    }
    assert_eq!(place.keys(&dev.0.id, "known").await, ["a.md"]);
    let known = store.known_documents(run).await.unwrap();
    assert_eq!(known["a.md"].revision.as_deref(), Some("1"));
    assert_eq!(known["b.md"].revision, None);
    assert!(known["a.md"].has_failed && known["b.md"].has_failed);
    let page = PageRequest {
        before: None,
        limit: 10,
    };
    let scope = store.scope(&place.organization);
    let failed = scope.knowledge_documents(&dev.1.id, KnowledgeDocuments::Failed, &page);
    let failed = failed.await.unwrap().items;
    assert_eq!(failed.len(), 2);
    assert!(
        failed
            .iter()
            .all(|one| one.error.as_deref() == Some("it broke"))
    );
    let forgiven = store.forgive_knowledge_document(run, now(), "a.md");
    assert_eq!(forgiven.await.unwrap(), Kept::Kept);
    // One that was never read, and is not met any more, goes.
    let gone = store.drop_unread_documents(run, now(), now() + LEASE);
    assert_eq!(gone.await.unwrap(), Kept::Kept);
    let all = scope.knowledge_documents(&dev.1.id, KnowledgeDocuments::All, &page);
    let all = all.await.unwrap().items;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].key.as_str(), all[0].error.as_deref()),
        ("a.md", None)
    );
    assert_eq!(place.stored(&dev.1.id).await.documents, 1);
}
