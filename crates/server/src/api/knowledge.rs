//! `/api/knowledge-connectors`: sources of documents, their syncs and their documents; `/api/knowledge/search`.

mod schemas;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{
    Control, KnowledgeConfig, KnowledgeConnectorChange, KnowledgeConnectorView,
    KnowledgeCredential, KnowledgeSchedule, KnowledgeSearch, KnowledgeSource,
    NewKnowledgeConnectorRequest,
};
use bailiwick_model::{EnvironmentId, KnowledgeConnectorId, Permission};
use bailiwick_store::{KnowledgeDocument, KnowledgeDocuments, KnowledgeHit, SnippetPart};
use bailiwick_wire::Schema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::environments::version;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::of("knowledge-connectors")
        .merge(connectors())
        .merge(syncs())
        .merge(searches())
}

fn connectors() -> Routes {
    use Permission as P;
    Routes::of("knowledge-connectors")
        .add(
            get("list", "/knowledge-connectors", list)
                .says("Knowledge connectors, the newest first.")
                .needs(P::KnowledgeRead)
                .query("environment_id", Schema::id::<EnvironmentId>())
                .pages(MOST)
                .lists(schemas::connector()),
        )
        .add(
            post("create", "/knowledge-connectors", create)
                .says("Makes a connector in an environment, and has it synced at once. It reads under the environment's policy: where that denies its source, it is refused (400).")
                .needs(P::KnowledgeWrite)
                .takes(schemas::new())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .makes(schemas::connector()),
        )
        .add(
            get("retrieve", "/knowledge-connectors/{id}", retrieve)
                .says("One connector, with how far its sync is.")
                .needs(P::KnowledgeRead)
                .with_etag()
                .answers(schemas::connector()),
        )
        .add(
            patch("update", "/knowledge-connectors/{id}", update)
                .says("Changes a connector, or moves it to another environment with all that it knows: what is absent stays.")
                .needs(P::KnowledgeWrite)
                .takes_version()
                .takes(schemas::change())
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .answers(schemas::connector()),
        )
        .add(
            delete("delete", "/knowledge-connectors/{id}", remove)
                .says("Deletes a connector. Nothing of what it knew is found any more.")
                .needs(P::KnowledgeWrite)
                .answers_nothing(),
        )
}

fn syncs() -> Routes {
    use Permission as P;
    Routes::of("knowledge-connectors")
        .add(
            post("sync", "/knowledge-connectors/{id}/sync", sync)
                .says("Has a connector synced as soon as a server can; if a sync runs, another one follows it. `sync` of the answer, and of the connector, says how far it is.")
                .needs(P::KnowledgeWrite)
                .fails(StatusCode::BAD_REQUEST)
                .fails(StatusCode::CONFLICT)
                .answers(schemas::connector()),
        )
        .add(
            delete("cancel_sync", "/knowledge-connectors/{id}/sync", cancel)
                .says("Has the sync end that runs, if one does; what it has read stays.")
                .needs(P::KnowledgeWrite)
                .answers(schemas::connector()),
        )
        .add(
            get("list_documents", "/knowledge-connectors/{id}/documents", documents)
                .says("Documents of a connector, the newest first, with why they could not be read the last time.")
                .needs(P::KnowledgeRead)
                .query("failed", Schema::boolean().says("Only those that could not be read the last time."))
                .pages(MOST)
                .lists(schemas::document()),
        )
}

fn searches() -> Routes {
    use Permission as P;
    Routes::of("knowledge").add(
        post("search", "/knowledge/search", search)
            .says("Searches what an environment knows: the best passages of its documents, the best first. Nothing of another environment is found.")
            .needs(P::KnowledgeSearch)
            .takes(schemas::search())
            .fails(StatusCode::NOT_FOUND)
            .answers(schemas::results()),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    environment_id: EnvironmentId,
    source: KnowledgeSource,
    credential: Option<KnowledgeCredential>,
    schedule: Option<KnowledgeSchedule>,
    apply_set: Option<String>,
}

/// What is absent stays; `null` takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    environment_id: Option<EnvironmentId>,
    source: Option<KnowledgeSource>,
    #[serde(default, deserialize_with = "given")]
    credential: Option<Option<KnowledgeCredential>>,
    #[serde(default, deserialize_with = "given")]
    schedule: Option<Option<KnowledgeSchedule>>,
    #[serde(default, deserialize_with = "given")]
    apply_set: Option<Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchBody {
    environment_id: EnvironmentId,
    query: String,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    environment_id: Option<EnvironmentId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    failed: bool,
}

/// Tells `null` from what is absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn shown(view: &KnowledgeConnectorView) -> Value {
    let (connector, config) = (&view.connector, &view.config);
    let sync = &connector.sync;
    json!({
        "id": connector.id,
        "name": connector.values.name,
        "environment_id": connector.values.environment,
        "source": config.source,
        "credential": config.credential,
        "schedule": config.schedule,
        "apply_set": config.apply_set,
        "documents": connector.documents,
        "bytes": connector.bytes,
        "sync": {
            "state": sync.state.as_str(),
            "started_at": sync.started_at,
            "ended_at": sync.ended_at,
            "counts": view.counts,
            "error": sync.error,
            "next_at": sync.wanted_at,
        },
        "version": connector.version,
        "created_at": connector.created_at,
        "updated_at": connector.updated_at,
    })
}

fn document(document: &KnowledgeDocument) -> Value {
    json!({
        "id": document.id,
        "key": document.key,
        "title": document.title,
        "link": document.link,
        "kind": document.kind,
        "bytes": document.bytes,
        "chunks": document.chunks,
        "updated_at": document.updated_at,
        "read_at": document.read_at,
        "error": document.error,
        "failed_at": document.failed_at,
    })
}

fn result(hit: &KnowledgeHit) -> Value {
    let part = |part: &SnippetPart| {
        let is_match = match part {
            SnippetPart::Around(_) => false,
            SnippetPart::Match(_) => true,
        };
        json!({"text": part.text(), "is_match": is_match})
    };
    let snippet: Vec<_> = hit.snippet.iter().map(part).collect();
    json!({
        "connector_id": hit.connector,
        "connector": hit.connector_name,
        "type": hit.connector_kind,
        "document_id": hit.document,
        "key": hit.key,
        "title": hit.title,
        "link": hit.link,
        "updated_at": hit.updated_at,
        "position": hit.position,
        "headings": hit.headings,
        "snippet": snippet,
        "score": hit.score,
    })
}

fn answer(status: StatusCode, view: &KnowledgeConnectorView) -> Response {
    let tag = [(ETAG, format!("\"{}\"", view.connector.version))];
    (status, tag, Json(shown(view))).into_response()
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let environment = parameters.environment_id.as_ref();
    let found = control.knowledge_connectors(&caller, environment, &page);
    let found = found.await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let request = NewKnowledgeConnectorRequest {
        name: body.name,
        environment: body.environment_id,
        config: KnowledgeConfig {
            source: body.source,
            credential: body.credential,
            schedule: body.schedule,
            apply_set: body.apply_set,
        },
    };
    let made = control.create_knowledge_connector(&caller, request).await?;
    Ok(answer(StatusCode::CREATED, &made))
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<KnowledgeConnectorId>,
) -> Result<Response, Failure> {
    let found = control.knowledge_connector(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &found))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<KnowledgeConnectorId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let change = KnowledgeConnectorChange {
        name: body.name,
        environment: body.environment_id,
        source: body.source,
        credential: body.credential,
        schedule: body.schedule,
        apply_set: body.apply_set,
        version: version(&headers)?,
    };
    let changed = control.update_knowledge_connector(&caller, &id, change);
    Ok(answer(StatusCode::OK, &changed.await?))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<KnowledgeConnectorId>,
) -> Result<StatusCode, Failure> {
    control.delete_knowledge_connector(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sync(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<KnowledgeConnectorId>,
) -> Result<Response, Failure> {
    let wanted = control.sync_knowledge_connector(&caller, &id).await?;
    Ok(Json(shown(&wanted)).into_response())
}

async fn cancel(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<KnowledgeConnectorId>,
) -> Result<Response, Failure> {
    let found = control.cancel_knowledge_sync(&caller, &id).await?;
    Ok(Json(shown(&found)).into_response())
}

async fn documents(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<KnowledgeConnectorId>,
    Parameters(parameters): Parameters<DocumentParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let which = match parameters.failed {
        true => KnowledgeDocuments::Failed,
        false => KnowledgeDocuments::All,
    };
    let found = control.knowledge_documents(&caller, &id, which, &page);
    let found = found.await?;
    let data: Vec<_> = found.items.iter().map(document).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn search(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<SearchBody>,
) -> Result<Response, Failure> {
    let search = KnowledgeSearch {
        query: body.query,
        limit: body.limit,
    };
    let found = control.search_knowledge_in(&caller, &body.environment_id, &search);
    let data: Vec<_> = found.await?.iter().map(result).collect();
    Ok(Json(json!({"data": data})).into_response())
}
