//! `/v1/files`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, FileFacts, FileList, FileUpload};
use bailiwick_model::limits::{
    FILE_BYTES, FILE_IDS, FILE_LIFE_LEAST_SECONDS, FILE_LIFE_MOST_SECONDS, FORM_FRAME_BYTES,
    UPLOAD_TIME,
};
use bailiwick_model::{FileId, Permission, ResourceId as _, SessionId};
use bailiwick_store::File;
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::content;
use super::cursor::{cursor, page_request};
use super::deleted_schema;
use super::form::{Form, Part, problem};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post};

/// The most of a page.
const MOST: u32 = 1000;
/// The most bytes of an upload, with its frame.
const BODY_BYTES: u64 = FILE_BYTES + FORM_FRAME_BYTES;

pub(super) fn routes() -> Routes {
    use Permission as P;
    let cursor = || Schema::id::<FileId>();
    Routes::of("files")
        .add(
            get("list", "/files", list)
                .says("Files, the newest first.")
                .needs(P::FileRead)
                .pages(MOST)
                .query("after_id", cursor().says("As clients of before 2026 page."))
                .query(
                    "before_id",
                    cursor().says("As clients of before 2026 page."),
                )
                .query(
                    "scope_id",
                    Schema::text().says("Only those of this session."),
                )
                .query(
                    "ids[]",
                    Schema::list_of(0..=FILE_IDS, Schema::text()).says("These, without pages."),
                )
                .answers(List::schema()),
        )
        .add(
            post("create", "/files", upload)
                .says("Uploads a file.")
                .needs(P::FileWrite)
                .takes_form(upload_schema(), BODY_BYTES)
                .answers(WireFile::schema()),
        )
        .add(
            get("retrieve", "/files/{id}", retrieve)
                .says("What is known of a file.")
                .needs(P::FileRead)
                .answers(WireFile::schema()),
        )
        .add(
            delete("delete", "/files/{id}", remove)
                .says("Deletes a file.")
                .needs(P::FileWrite)
                .answers(deleted_schema::<FileId>("file_deleted")),
        )
        .add(
            get("download", "/files/{id}/content", download)
                .says("The bytes of a file.")
                .needs(P::FileRead)
                .fails(StatusCode::BAD_REQUEST)
                .answers_bytes(),
        )
}

/// The wire's file: every key always there.
#[derive(Serialize)]
struct WireFile<'a> {
    id: &'a FileId,
    r#type: &'static str,
    filename: &'a str,
    mime_type: &'a str,
    size_bytes: i64,
    created_at: Timestamp,
    downloadable: bool,
    expires_at: Option<Timestamp>,
    scope: Option<Scope<'a>>,
    /// An extension.
    sha256: String,
}

#[derive(Serialize)]
struct Scope<'a> {
    r#type: &'static str,
    id: &'a SessionId,
}

/// What both generations of clients look for.
#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireFile<'a>>,
    next_page: Option<String>,
    has_more: bool,
    first_id: Option<&'a FileId>,
    last_id: Option<&'a FileId>,
}

impl List<'_> {
    fn schema() -> Schema {
        let id = || Schema::id::<FileId>().or_null();
        Schema::answer()
            .has("data", Schema::list(WireFile::schema()))
            .has("next_page", Schema::text().or_null())
            .has("has_more", Schema::boolean())
            .has("first_id", id())
            .has("last_id", id())
    }
}

fn upload_schema() -> Schema {
    let life = Schema::number(FILE_LIFE_LEAST_SECONDS..=FILE_LIFE_MOST_SECONDS);
    Schema::object()
        .needs("file", Schema::text().with("format", json!("binary")))
        .may("expires_in_seconds", life)
        .named("FileUpload")
}

impl<'a> WireFile<'a> {
    fn schema() -> Schema {
        let scope = Schema::answer()
            .has("type", Schema::word("session"))
            .has("id", Schema::id::<SessionId>());
        Schema::answer()
            .has("id", Schema::id::<FileId>())
            .has("type", Schema::word("file"))
            .has("filename", Schema::text())
            .has("mime_type", Schema::text())
            .has("size_bytes", Schema::number(0..=i64::MAX))
            .has("created_at", Schema::moment())
            .has("downloadable", Schema::boolean())
            .has("expires_at", Schema::moment().or_null())
            .has("scope", scope.or_null())
            .has(
                "sha256",
                Schema::text()
                    .matching("^[0-9a-f]{64}$")
                    .says("An extension."),
            )
            .named("File")
    }

    fn of(file: &'a File) -> Self {
        Self {
            id: &file.id,
            r#type: "file",
            filename: &file.filename,
            mime_type: &file.mime_type,
            size_bytes: file.size_bytes,
            created_at: file.created_at,
            downloadable: file.downloadable,
            expires_at: file.expires_at,
            scope: file.session.as_ref().map(|id| Scope {
                r#type: "session",
                id,
            }),
            sha256: content::hex(&file.sha256),
        }
    }
}

async fn upload(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<Response, Failure> {
    let mut upload = control.begin_file(&caller).await?;
    let receiving = tokio::time::timeout(UPLOAD_TIME, receive(&mut upload, request));
    match receiving.await.unwrap_or(Err(Failure::Slow)) {
        Ok(file) => Ok(Json(WireFile::of(&file)).into_response()),
        Err(failure) => {
            upload.abandon().await;
            Err(failure)
        }
    }
}

/// The parts come in any order, so that how long the file lives may be known only after it was taken.
async fn receive(upload: &mut FileUpload<'_>, request: Request) -> Result<File, Failure> {
    let mut form = Form::of(request, BODY_BYTES).await?;
    let (mut facts, mut has_file) = (FileFacts::default(), false);
    while let Some(mut part) = form.next().await? {
        let name = part.name();
        match name.as_str() {
            "file" if !has_file => {
                has_file = true;
                facts.filename = part.file_name();
                facts.mime_type = part.media_type();
                while let Some(chunk) = part.chunk().await? {
                    upload.write(&chunk).await?;
                }
            }
            "expires_in_seconds" if facts.expires_in_seconds.is_none() => {
                facts.expires_in_seconds = Some(seconds(&mut part).await?);
            }
            "file" | "expires_in_seconds" => {
                return Err(problem(&name, "duplicate", "is there twice"));
            }
            _ => {
                return Err(problem(&name, "unknown_field", "is no field of an upload"));
            }
        }
    }
    if !has_file {
        return Err(problem("file", "missing_field", "is missing"));
    }
    Ok(upload.finish(facts).await?)
}

async fn seconds(part: &mut Part<'_>) -> Result<i64, Failure> {
    let text = part.text().await?;
    let number = text.trim().parse();
    number.map_err(|_| problem("expires_in_seconds", "wrong_type", "is not a whole number"))
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    caller.require(Permission::FileRead)?;
    let query = Query::of(parameters)?;
    let list = query.list()?;
    let session = match query.session() {
        Session::Any => None,
        Session::Of(id) => Some(id),
        Session::Nobodys => return Ok(Json(listed(&[], None, false)).into_response()),
    };
    let newer = matches!(list, FileList::Newer { .. });
    let found = control.files(&caller, list, session.as_ref()).await?;
    let next = found.next.as_ref();
    let next_page = next.filter(|_| !newer);
    Ok(Json(listed(&found.items, next_page, next.is_some())).into_response())
}

fn listed<'a>(files: &'a [File], next: Option<&FileId>, has_more: bool) -> List<'a> {
    List {
        data: files.iter().map(WireFile::of).collect(),
        next_page: cursor(next),
        has_more,
        first_id: files.first().map(|file| &file.id),
        last_id: files.last().map(|file| &file.id),
    }
}

/// `limit`, `page`, `ids[]` and `scope_id`, and of older clients `after_id` and `before_id`.
#[derive(Default)]
struct Query {
    limit: Option<u32>,
    page: Option<String>,
    after_id: Option<String>,
    before_id: Option<String>,
    scope_id: Option<String>,
    ids: Vec<String>,
}

/// Whose files are meant.
enum Session {
    Any,
    Of(SessionId),
    /// What cannot be the id of a session is that of none.
    Nobodys,
}

impl Query {
    fn of(parameters: Vec<(String, String)>) -> Result<Self, Failure> {
        let mut query = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "limit" => {
                    let number = value.parse().map_err(|_| parameter("limit", "is a number"));
                    query.limit = Some(number?);
                }
                "page" => query.page = Some(value),
                "after_id" => query.after_id = Some(value),
                "before_id" => query.before_id = Some(value),
                "scope_id" => query.scope_id = Some(value),
                "ids" | "ids[]" if !query.ids.contains(&value) => query.ids.push(value),
                // Also `beta`, which says nothing here.
                _ => {}
            }
            if query.ids.len() > FILE_IDS {
                return Err(parameter("ids", &format!("has at most {FILE_IDS} ids")));
            }
        }
        Ok(query)
    }

    fn session(&self) -> Session {
        let Some(text) = &self.scope_id else {
            return Session::Any;
        };
        let text = match text.strip_prefix("session_") {
            Some(rest) => format!("{}{rest}", SessionId::PREFIX),
            None => text.clone(),
        };
        text.parse().map_or(Session::Nobodys, Session::Of)
    }

    fn list(&self) -> Result<FileList, Failure> {
        let ways = [&self.page, &self.after_id, &self.before_id];
        let ways = ways.into_iter().flatten().count();
        if ways > 1 {
            let message =
                "is not together with `after_id` or `before_id`, nor these with each other";
            return Err(parameter("page", message));
        }
        if !self.ids.is_empty() {
            if ways > 0 || self.limit.is_some() {
                return Err(parameter("ids", "is a list of its own, without pages"));
            }
            // What cannot be an id is the id of nothing.
            let ids = self.ids.iter().filter_map(|id| id.parse().ok());
            return Ok(FileList::Ids(ids.collect()));
        }
        let mut page = page_request(self.limit, MOST, self.page.as_deref())?;
        if let Some(id) = &self.after_id {
            page.before = Some(known(id, "after_id")?);
        }
        Ok(match &self.before_id {
            None => FileList::Older(page),
            Some(id) => FileList::Newer {
                than: known(id, "before_id")?,
                limit: page.limit,
            },
        })
    }
}

fn known(id: &str, field: &'static str) -> Result<FileId, Failure> {
    id.parse()
        .map_err(|_| parameter(field, "is not the id of a file"))
}

fn parameter(field: &'static str, message: &str) -> Failure {
    Failure::Parameter {
        field,
        message: message.to_owned(),
    }
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<FileId>,
) -> Result<Response, Failure> {
    let file = control.file(&caller, &id).await?;
    Ok(Json(WireFile::of(&file)).into_response())
}

async fn download(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<FileId>,
) -> Result<Response, Failure> {
    let (file, download) = control.download_file(&caller, &id).await?;
    Ok(content::answer(
        download,
        &file.mime_type,
        &file.filename,
        &file.sha256,
    ))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<FileId>,
) -> Result<Response, Failure> {
    control.delete_file(&caller, &id).await?;
    Ok(Json(json!({"id": id, "type": "file_deleted"})).into_response())
}
