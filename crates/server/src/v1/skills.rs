//! `/v1/skills`.
//!
//! Clients of before 2026 say so with a beta header. They call a version by the microseconds of when it was made, read the source of a skill as
//! a text, and delete a skill only after its versions. The rest of an answer has the fields of both generations.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, ControlError, NewSkillRequest, SkillRules};
use bailiwick_model::limits::{
    FORM_FRAME_BYTES, SKILL_BYTES, SKILL_DISPLAY_NAME_CHARS, SKILL_FILES, UPLOAD_TIME,
};
use bailiwick_model::{Permission, SkillId, SkillVersionId};
use bailiwick_store::{Skill, SkillVersion, SkillVersionName};
use bailiwick_wire::{FieldProblem, Schema, SkillBundle, SkillFile, SkillProblem};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::content;
use super::cursor::{cursor, page_request};
use super::deleted_schema;
use super::form::{Form, problem};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post};

/// The most of a page.
const MOST: u32 = 1000;
/// The most bytes of an upload, with its frame and with what is thrown away: a byte that clients of before 2026 send as text takes up to four.
const BODY_BYTES: u64 = 5 * SKILL_BYTES + FORM_FRAME_BYTES;
/// Skills that are packed at once: it takes a processor.
static PACKING: Semaphore = Semaphore::const_new(2);
/// What clients of before 2026 send as `anthropic-beta`.
const OLD_BETA: &str = "skills-2025-10-02";
/// Where skills come from. All that are here were made here.
const SOURCES: [&str; 4] = ["custom", "anthropic", "anthropic_example", "plugin"];

pub(super) fn routes() -> Routes {
    use Permission as P;
    let deleted = deleted_schema::<SkillId>("skill_deleted");
    Routes::of("skills")
        .add(
            get("list", "/skills", list)
                .says("Skills, the newest first.")
                .needs(P::SkillRead)
                .pages(MOST)
                .query("source", Schema::words(SOURCES))
                .answers(list_schema(Generation::schema())),
        )
        .add(
            post("create", "/skills", create)
                .says("Makes a skill of files, one of which is its `SKILL.md`.")
                .needs(P::SkillWrite)
                .takes_form(upload_schema(true), BODY_BYTES)
                .fails(StatusCode::CONFLICT)
                .answers(Generation::schema()),
        )
        .add(
            get("retrieve", "/skills/{id}", retrieve)
                .says("One skill.")
                .needs(P::SkillRead)
                .answers(Generation::schema()),
        )
        .add(
            delete("delete", "/skills/{id}", remove)
                .says("Deletes a skill with its versions; of clients of before 2026, one that has no versions any more.")
                .needs(P::SkillWrite)
                .fails(StatusCode::BAD_REQUEST)
                .answers(deleted),
        )
        .merge(version_routes())
}

fn version_routes() -> Routes {
    use Permission as P;
    let deleted = Schema::answer()
        .has("id", Schema::text())
        .has("type", Schema::word("skill_version_deleted"));
    Routes::of("skills")
        .add(
            get("list_versions", "/skills/{id}/versions", list_versions)
                .says("The versions of a skill, the newest first.")
                .needs(P::SkillRead)
                .pages(MOST)
                .answers(list_schema(WireVersion::schema())),
        )
        .add(
            post("create_version", "/skills/{id}/versions", create_version)
                .says("Makes another version of a skill.")
                .needs(P::SkillWrite)
                .takes_form(upload_schema(false), BODY_BYTES)
                .fails(StatusCode::CONFLICT)
                .answers(WireVersion::schema()),
        )
        .add(
            get(
                "retrieve_version",
                "/skills/{id}/versions/{version}",
                retrieve_version,
            )
            .says("One version of a skill: by its id, by when it was made, or `latest`.")
            .needs_or_worker(P::SkillRead)
            .answers(WireVersion::schema()),
        )
        .add(
            delete(
                "delete_version",
                "/skills/{id}/versions/{version}",
                delete_version,
            )
            .says("Deletes a version of a skill that has others.")
            .needs(P::SkillWrite)
            .fails(StatusCode::BAD_REQUEST)
            .answers(deleted),
        )
        .add(
            get(
                "download_version",
                "/skills/{id}/versions/{version}/content",
                download,
            )
            .says("The archive of a version of a skill.")
            .needs_or_worker(P::SkillRead)
            .answers_bytes(),
        )
}

fn list_schema(item: Schema) -> Schema {
    Schema::answer()
        .has("data", Schema::list(item))
        .has("next_page", Schema::text().or_null())
        .has("has_more", Schema::boolean())
}

fn upload_schema(takes_name: bool) -> Schema {
    let file = Schema::text().with("format", json!("binary"));
    let form = Schema::object().needs("files[]", Schema::list_of(1..=SKILL_FILES, file));
    if takes_name {
        let name = Schema::chars(1..=SKILL_DISPLAY_NAME_CHARS);
        form.may("display_name", name).named("SkillUpload")
    } else {
        form.named("SkillVersionUpload")
    }
}

/// Which generation of clients asks.
#[derive(Clone, Copy)]
struct Generation(SkillRules);

impl<S: Send + Sync> FromRequestParts<S> for Generation {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self::of(&parts.headers))
    }
}

impl Generation {
    fn schema() -> Schema {
        let source = Schema::answer().has("type", Schema::words(SOURCES));
        let source = Schema::any_of([source, Schema::words(SOURCES)]);
        Schema::answer()
            .has("id", Schema::id::<SkillId>())
            .has("type", Schema::word("skill"))
            .has("display_name", Schema::text())
            .has("display_title", Schema::text())
            .has("source", source)
            .has(
                "latest_version_id",
                Schema::id::<SkillVersionId>().or_null(),
            )
            .has("latest_version", Schema::text().or_null())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
            .named("Skill")
    }

    fn of(headers: &HeaderMap) -> Self {
        let mut betas = headers
            .get_all("anthropic-beta")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','));
        if betas.any(|beta| beta.trim().eq_ignore_ascii_case(OLD_BETA)) {
            Self(SkillRules::Before2026)
        } else {
            Self(SkillRules::Current)
        }
    }

    fn skill(self, skill: &Skill) -> Value {
        let made_here = "custom";
        json!({
            "id": skill.id,
            "type": "skill",
            "display_name": skill.display_name,
            "display_title": skill.display_name,
            "source": match self.0 {
                SkillRules::Current => json!({"type": made_here}),
                SkillRules::Before2026 => json!(made_here),
            },
            "latest_version_id": skill.latest.as_ref().map(|(id, _)| id),
            "latest_version": skill.latest.as_ref().map(|(_, at)| digits(*at)),
            "created_at": skill.created_at,
            "updated_at": skill.updated_at,
        })
    }

    /// What a deleted version is called.
    fn name_of(self, version: &SkillVersion) -> Value {
        match self.0 {
            SkillRules::Current => json!(version.id),
            SkillRules::Before2026 => json!(digits(version.created_at)),
        }
    }
}

/// The wire's version: every key always there.
#[derive(Serialize)]
struct WireVersion<'a> {
    id: &'a SkillVersionId,
    r#type: &'static str,
    skill_id: &'a SkillId,
    name: &'a str,
    description: &'a str,
    directory: &'a str,
    version: String,
    created_at: Timestamp,
}

impl<'a> WireVersion<'a> {
    fn schema() -> Schema {
        let digits = Schema::text().matching("^[0-9]+$");
        Schema::answer()
            .has("id", Schema::id::<SkillVersionId>())
            .has("type", Schema::word("skill_version"))
            .has("skill_id", Schema::id::<SkillId>())
            .has("name", Schema::text())
            .has("description", Schema::text())
            .has("directory", Schema::text())
            .has("version", digits.says("When it was made, in microseconds."))
            .has("created_at", Schema::moment())
            .named("SkillVersion")
    }

    fn of(version: &'a SkillVersion) -> Self {
        Self {
            id: &version.id,
            r#type: "skill_version",
            skill_id: &version.skill,
            name: &version.name,
            description: &version.description,
            directory: &version.name,
            version: digits(version.created_at),
            created_at: version.created_at,
        }
    }
}

fn digits(at: Timestamp) -> String {
    at.as_microsecond().to_string()
}

/// The skill and the version in a path. What cannot be one is that of nothing.
struct VersionOf(SkillId, SkillVersionName);

impl<S: Send + Sync> FromRequestParts<S> for VersionOf {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let found = Path::<(String, String)>::from_request_parts(parts, state).await;
        let found = found.ok().and_then(|Path((skill, version))| {
            let name = match version.as_str() {
                "latest" => SkillVersionName::Latest,
                text => match text.parse::<i64>() {
                    Ok(micros) => SkillVersionName::Made(Timestamp::from_microsecond(micros).ok()?),
                    Err(_) => SkillVersionName::Id(text.parse().ok()?),
                },
            };
            Some(Self(skill.parse().ok()?, name))
        });
        Ok(found.ok_or(ControlError::NotFound("version of a skill"))?)
    }
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    source: Option<String>,
}

/// What arrives to make a skill or a version.
struct Upload {
    display_name: Option<String>,
    bundle: SkillBundle,
}

/// Whoever calls may do this is known before.
async fn receive(request: Request, takes_name: bool) -> Result<Upload, Failure> {
    let receiving = tokio::time::timeout(UPLOAD_TIME, read(request, takes_name));
    let (display_name, files) = receiving.await.map_err(|_| Failure::Slow)??;
    let turn = PACKING.acquire().await;
    let packing = tokio::task::spawn_blocking(move || {
        // Also where nobody waits for it any more, it ends with the work.
        let _turn = turn;
        SkillBundle::of(files)
    });
    let bundle = packing
        .await
        .map_err(|error| Failure::NotForm(error.to_string()))?;
    let bundle =
        bundle.map_err(|problem| ControlError::Invalid(vec![FieldProblem::from(problem)]))?;
    Ok(Upload {
        display_name,
        bundle,
    })
}

async fn read(
    request: Request,
    takes_name: bool,
) -> Result<(Option<String>, Vec<SkillFile>), Failure> {
    let mut form = Form::of(request, BODY_BYTES).await?;
    let (mut display_name, mut files) = (None, Vec::new());
    let mut room = usize::try_from(SKILL_BYTES).unwrap_or(usize::MAX);
    while let Some(mut part) = form.next().await? {
        let name = part.name();
        match name.as_str() {
            // Clients of before 2026 send every file a second time, as text in this field.
            "files[][]" => while part.chunk().await?.is_some() {},
            "files" | "files[]" => {
                if files.len() == SKILL_FILES {
                    let problem = FieldProblem::from(SkillProblem::TooManyFiles);
                    return Err(ControlError::Invalid(vec![problem]).into());
                }
                let path = part.file_name().unwrap_or_default();
                let mut bytes = Vec::new();
                part.read_to(&mut bytes, room).await?;
                room -= bytes.len();
                files.push(SkillFile { path, bytes });
            }
            "display_name" | "display_title" if takes_name && display_name.is_none() => {
                display_name = Some(part.text().await?);
            }
            "display_name" | "display_title" if takes_name => {
                return Err(problem(&name, "duplicate", "is there twice"));
            }
            _ => {
                return Err(problem(&name, "unknown_field", "is no field of a skill"));
            }
        }
    }
    Ok((display_name, files))
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    generation: Generation,
    request: Request,
) -> Result<Response, Failure> {
    caller.require(Permission::SkillWrite)?;
    let Upload {
        display_name,
        bundle,
    } = receive(request, true).await?;
    let request = NewSkillRequest {
        display_name,
        bundle,
    };
    let made = control.create_skill(&caller, request).await?;
    Ok(Json(generation.skill(&made)).into_response())
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    generation: Generation,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.skills(&caller, &page).await?;
    let (data, next): (Vec<_>, _) = match parameters.source.as_deref() {
        None | Some("custom") => (
            found.items.iter().map(|s| generation.skill(s)).collect(),
            found.next,
        ),
        Some(other) if SOURCES.contains(&other) => (Vec::new(), None),
        Some(_) => {
            return Err(Failure::Parameter {
                field: "source",
                message: format!("is one of {}", SOURCES.join(", ")),
            });
        }
    };
    let next_page = cursor(next.as_ref());
    let has_more = next_page.is_some();
    Ok(Json(json!({"data": data, "next_page": next_page, "has_more": has_more})).into_response())
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    generation: Generation,
    IdOf(id): IdOf<SkillId>,
) -> Result<Response, Failure> {
    let skill = control.skill(&caller, &id).await?;
    Ok(Json(generation.skill(&skill)).into_response())
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Generation(rules): Generation,
    IdOf(id): IdOf<SkillId>,
) -> Result<Response, Failure> {
    control.delete_skill(&caller, &id, rules).await?;
    Ok(Json(json!({"id": id, "type": "skill_deleted"})).into_response())
}

async fn create_version(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SkillId>,
    request: Request,
) -> Result<Response, Failure> {
    control.may_make_skill_version(&caller, &id).await?;
    let Upload { bundle, .. } = receive(request, false).await?;
    let made = control.create_skill_version(&caller, &id, &bundle).await?;
    Ok(Json(WireVersion::of(&made)).into_response())
}

#[derive(Deserialize)]
struct VersionParameters {
    limit: Option<u32>,
    page: Option<String>,
}

async fn list_versions(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SkillId>,
    Parameters(parameters): Parameters<VersionParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.skill_versions(&caller, &id, &page).await?;
    let data: Vec<_> = found.items.iter().map(WireVersion::of).collect();
    let next_page = cursor(found.next.as_ref());
    let has_more = next_page.is_some();
    Ok(Json(json!({"data": data, "next_page": next_page, "has_more": has_more})).into_response())
}

async fn retrieve_version(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    VersionOf(skill, name): VersionOf,
) -> Result<Response, Failure> {
    let version = control.skill_version(&caller, &skill, &name).await?;
    Ok(Json(WireVersion::of(&version)).into_response())
}

async fn download(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    VersionOf(skill, name): VersionOf,
) -> Result<Response, Failure> {
    let (version, download) = control.download_skill(&caller, &skill, &name).await?;
    let filename = format!("{}.zip", version.name);
    Ok(content::answer(
        download,
        "application/zip",
        &filename,
        &version.sha256,
    ))
}

async fn delete_version(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    generation: Generation,
    VersionOf(skill, name): VersionOf,
) -> Result<Response, Failure> {
    if name == SkillVersionName::Latest {
        // Whoever deletes one says which.
        return Err(ControlError::NotFound("version of a skill").into());
    }
    let deleted = control
        .delete_skill_version(&caller, &skill, &name, generation.0)
        .await?;
    let id = generation.name_of(&deleted);
    Ok(Json(json!({"id": id, "type": "skill_version_deleted"})).into_response())
}
