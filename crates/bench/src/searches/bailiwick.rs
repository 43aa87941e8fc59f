//! Searches as a server makes them, without HTTP.

use anyhow::{Context, Result};
use bailiwick_model::{EnvironmentId, KnowledgeConnectorId, OrganizationId, ResourceId};
use bailiwick_store::{
    AuditEvent, DatabaseUrl, EnvironmentValues, KnowledgeConnectorValues, KnowledgeQuery,
    NewEnvironment, NewKnowledgeChunk, NewKnowledgeDocument, NewOrganization, Store,
};
use jiff::{SignedDuration, Timestamp};

use super::RESULTS;
use crate::corpus::{ENVIRONMENTS, Numbers, documents};

/// A store whose first environment is searched.
pub(super) struct Searched {
    store: Store,
    organization: OrganizationId,
    environment: EnvironmentId,
}

impl Searched {
    /// Fills an empty database.
    pub(super) async fn filled(url: &str, chunks: usize) -> Result<Self> {
        let store = Store::open(&url.parse::<DatabaseUrl>()?).await?;
        let mut numbers = Numbers::new(7);
        let organization: OrganizationId = id(&mut numbers);
        let mut environments = Vec::new();
        for index in 0..ENVIRONMENTS.len() {
            let own = (index, chunks / ENVIRONMENTS.len());
            environments.push(fill(&store, &organization, own, &mut numbers).await?);
        }
        Ok(Self {
            store,
            organization,
            environment: environments.swap_remove(0),
        })
    }

    pub(super) async fn search(&self, question: &str) -> Result<usize> {
        let query = KnowledgeQuery::of(question).context("no words")?;
        let scope = self.store.scope(&self.organization);
        let of = scope.in_environment(&self.environment);
        Ok(of.search_knowledge(&query, RESULTS).await?.len())
    }
}

fn id<I: ResourceId>(numbers: &mut Numbers) -> I {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&numbers.next().to_be_bytes());
    I::made(1_795_000_000_000, random)
}

fn event() -> AuditEvent<'static> {
    AuditEvent {
        actor_kind: "system",
        actor_id: "bench",
        address: None,
        action: "bench",
        resource_kind: "environment",
        resource_id: "env",
        before: None,
        after: None,
    }
}

/// An environment with a connector that has read so many pieces.
async fn fill(
    store: &Store,
    organization: &OrganizationId,
    (index, chunks): (usize, usize),
    numbers: &mut Numbers,
) -> Result<EnvironmentId> {
    let (now, name) = (Timestamp::now(), ENVIRONMENTS[index]);
    let mut change = store.change(organization, now).await?;
    if index == 0 {
        let new = NewOrganization {
            name: "o",
            floor: "{}",
        };
        change.insert_organization(&new).await?;
    }
    let values = EnvironmentValues {
        name: name.to_owned(),
        description: None,
        restricted: false,
        namespace: None,
        config: r#"{"type":"cloud"}"#.to_owned(),
        metadata: "{}".to_owned(),
    };
    let new = NewEnvironment {
        id: id(numbers),
        is_default: false,
        values,
    };
    let made = change.insert_environment(new).await?;
    let connector: KnowledgeConnectorId = id(numbers);
    let values = KnowledgeConnectorValues {
        environment: made.id.clone(),
        name: name.to_owned(),
        kind: "web".to_owned(),
        config: "{}".to_owned(),
    };
    let inserted = change.insert_knowledge_connector(connector.clone(), values, Some(now));
    inserted.await?;
    change.commit(&event()).await?;
    let until = now + SignedDuration::from_hours(24);
    let claimed = store.claim_knowledge(organization, &connector, "bench", (now, until));
    let run = claimed.await?.context("not claimed")?;
    for (number, document) in documents(index, chunks).enumerate() {
        let pieces = document.chunks.into_iter();
        let document = NewKnowledgeDocument {
            id: id(numbers),
            key: number.to_string(),
            revision: "1".to_owned(),
            title: document.title,
            link: None,
            kind: "text",
            bytes: 1,
            updated_at: None,
            chunks: pieces
                .map(|(headings, body)| NewKnowledgeChunk { headings, body })
                .collect(),
        };
        let _ = store.keep_knowledge_document(&run, now, &document).await?;
    }
    Ok(made.id)
}
