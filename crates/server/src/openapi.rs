//! The document of both faces, in OpenAPI 3.1, made of what is said of the operations where they are routed.

mod failures;
mod links;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::limits::NAME_CHARS;
use bailiwick_model::{
    AgentId, ApiKeyId, CredentialId, EnvironmentId, FileId, GrantId, KnowledgeConnectorId, LimitId,
    LlmProxyId, McpCatalogEntryId, McpConnectionId, McpGatewayId, ModelUpstreamId, OauthGrantId,
    RoleId, ServiceAccountId, SessionId, SessionResourceId, SessionThreadId, SkillId,
    SkillVersionId, TeamId, UserId, VaultId, WorkId,
};
use bailiwick_wire::{Schema, example_id};
use serde_json::{Map, Value, json};

use crate::face::Face;
use crate::operation::{Access, Content, Description, Parameter, Place};
use crate::{api, v1};

/// What the document says of all operations.
const ABOUT: &str = "\
`/v1` is the wire API of Managed Agents, which the official SDKs speak; `/api` is the administration.\n\n\
Lists come in pages: `limit` entries, and `next_page` for the parameter `page` of the next request, null at the end.\n\n\
What a later version adds to an answer is no change of this API. A field that a request has and this document does not is refused.\n\n\
Every answer has a `request-id`. Failures under `/api` are problem details (RFC 9457) with a stable `code`; under `/v1` they have the \
form of the wire, with the same code in `error.details.error_code`.";

/// Collects what the operations refer to by its name.
struct Document {
    schemas: BTreeMap<&'static str, Value>,
    responses: BTreeMap<String, Value>,
    paths: BTreeMap<String, Map<String, Value>>,
    tags: BTreeSet<&'static str>,
}

/// The document of the API, in OpenAPI 3.1.
///
/// # Panics
///
/// When two schemas have one name.
pub fn openapi() -> Value {
    document(v1::routes().descriptions(), api::routes().descriptions())
}

fn document(wire: &[Description], api: &[Description]) -> Value {
    let mut document = Document {
        schemas: BTreeMap::new(),
        responses: BTreeMap::new(),
        paths: BTreeMap::new(),
        tags: BTreeSet::new(),
    };
    for (face, operations) in [(Face::Wire, wire), (Face::Api, api)] {
        for operation in operations {
            document.add(face, operation, operations);
        }
    }
    let tags: Vec<_> = document
        .tags
        .iter()
        .map(|tag| json!({"name": tag}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bailiwick",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": document.paths,
        "components": {
            "schemas": document.schemas,
            "responses": document.responses,
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn headers() -> Value {
    json!({
        "request-id": {"description": "What the request is called in the logs.", "schema": {"type": "string", "pattern": "^req_"}},
        "etag": {"description": "The version, for `If-Match`; of a file, its hash.", "schema": {"type": "string"}},
        "retry-after": {"description": "After how many seconds another request makes sense.", "schema": {"type": "integer", "minimum": 1}},
        "x-should-retry": {"description": "Whether the same request may succeed if it is sent again as it is.", "schema": {"type": "string", "enum": ["true", "false"]}},
    })
}

fn security_schemes() -> Value {
    json!({
        "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key of a user, a service account or the workers of an environment."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
        "session": {"type": "apiKey", "in": "cookie", "name": crate::authenticated::SESSION_COOKIE, "description": "The session of a browser: `POST /api/sign-in`."},
        "csrf": {"type": "apiKey", "in": "header", "name": crate::authenticated::CSRF_HEADER, "description": "What a browser's session needs besides to change something: `csrf_token` of the answer to `POST /api/sign-in`."},
    })
}

impl Document {
    fn add(&mut self, face: Face, operation: &Description, all: &[Description]) {
        self.tags.insert(operation.tag);
        let path = format!("{}{}", face.prefix(), operation.path);
        let parameters = self.parameters(operation);
        let mut said = json!({
            "operationId": id(face, operation),
            "tags": [operation.tag],
            "summary": operation.summary,
            "security": security(operation),
            "responses": self.responses(face, operation, all),
        });
        if !parameters.is_empty() {
            said["parameters"] = Value::Array(parameters);
        }
        match operation.access {
            Access::Public | Access::Authenticated => {}
            Access::Needs(permission) => {
                let others = operation.besides.iter();
                let others: String = others.map(|one| format!(" and `{one}`")).collect();
                said["description"] =
                    json!(format!("Needs the permission `{permission}`{others}."));
                said["x-permission"] = json!(permission.as_str());
            }
            Access::NeedsOrWorker(permission) => {
                said["description"] = json!(format!(
                    "Needs the permission `{permission}`, or the key of a self-hosted environment's workers."
                ));
                said["x-permission"] = json!(permission.as_str());
                said["x-workers"] = json!(true);
            }
        }
        if !operation.besides.is_empty() {
            let others: Vec<_> = operation.besides.iter().map(|one| one.as_str()).collect();
            said["x-permissions-besides"] = json!(others);
        }
        if let Some(content) = self.content(&operation.body) {
            let needed = Self::needs_body(&operation.body);
            said["requestBody"] = json!({"content": content, "required": needed});
        }
        let method = operation.method.as_str().to_lowercase();
        self.paths.entry(path).or_default().insert(method, said);
    }

    /// No body at all is an empty object, which lacks nothing where no field is needed.
    fn needs_body(body: &Content) -> bool {
        match body {
            Content::None => false,
            Content::Form(_) | Content::Bytes | Content::Events | Content::Page => true,
            Content::Json(schema) => {
                let (schema, named) = schema.clone().into_parts();
                let name = schema["$ref"]
                    .as_str()
                    .and_then(|name| name.rsplit('/').next());
                let schema = name.and_then(|name| named.get(name)).unwrap_or(&schema);
                !schema["required"].is_null() || !schema["anyOf"].is_null()
            }
        }
    }

    fn schema(&mut self, schema: &Schema) -> Value {
        let (schema, named) = schema.clone().into_parts();
        for (name, schema) in named {
            let known = self.schemas.insert(name, schema.clone());
            assert!(
                known.is_none_or(|known| known == schema),
                "two schemas are named {name}"
            );
        }
        schema
    }

    fn parameters(&mut self, operation: &Description) -> Vec<Value> {
        let mut said = Vec::new();
        for (name, schema) in path_parameters(operation.path) {
            let schema = self.schema(&schema);
            said.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
        }
        for Parameter {
            name,
            place,
            schema,
            needed,
        } in &operation.parameters
        {
            let place = match place {
                Place::Query => "query",
                Place::Header => "header",
            };
            let schema = self.schema(schema);
            said.push(json!({"name": name, "in": place, "required": needed, "schema": schema}));
        }
        said
    }

    fn content(&mut self, content: &Content) -> Option<Value> {
        Some(match content {
            Content::None => return None,
            Content::Json(schema) => json!({"application/json": {"schema": self.schema(schema)}}),
            Content::Form(schema) => {
                json!({"multipart/form-data": {"schema": self.schema(schema)}})
            }
            Content::Bytes => json!({"*/*": {"schema": {}}}),
            Content::Events => json!({"text/event-stream": {"schema": {"type": "string"}}}),
            Content::Page => json!({"text/html": {"schema": {"type": "string"}}}),
        })
    }

    fn responses(&mut self, face: Face, operation: &Description, all: &[Description]) -> Value {
        let mut said = Map::new();
        let mut headers = json!({"request-id": {"$ref": "#/components/headers/request-id"}});
        if operation.is_tagged {
            headers["etag"] = json!({"$ref": "#/components/headers/etag"});
        }
        let reason = operation.status.canonical_reason().unwrap_or_default();
        let mut answer = json!({"description": reason, "headers": headers});
        if let Some(content) = self.content(&operation.answer) {
            answer["content"] = content;
        }
        let links = links::of(face, operation, all);
        if !links.is_empty() {
            answer["links"] = Value::Object(links);
        }
        said.insert(operation.status.as_str().to_owned(), answer);
        for status in failures::of(operation) {
            let name = face.response(status);
            if !self.responses.contains_key(&name) {
                let body = self.schema(&face.schema());
                self.responses
                    .insert(name.clone(), face.failure(status, &body));
            }
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            said.insert(status.as_str().to_owned(), reference);
        }
        Value::Object(said)
    }
}

fn id(face: Face, operation: &Description) -> String {
    format!("{}_{}_{}", face.name(), operation.tag, operation.verb).replace('-', "_")
}

/// A browser's session changes something only with its token.
fn security(operation: &Description) -> Value {
    match operation.access {
        Access::Public => json!([]),
        Access::Authenticated | Access::Needs(_) | Access::NeedsOrWorker(_)
            if operation.method.is_safe() =>
        {
            json!([{"key": []}, {"bearer": []}, {"session": []}])
        }
        Access::Authenticated | Access::Needs(_) | Access::NeedsOrWorker(_) => {
            json!([{"key": []}, {"bearer": []}, {"session": [], "csrf": []}])
        }
    }
}

/// The parameters of a path, each with what stands before it saying what it names.
fn path_parameters<'p>(path: &'p str) -> Vec<(&'p str, Schema)> {
    let segments: Vec<_> = path.split('/').collect();
    let parameter = |pair: &[&'p str]| {
        let name = pair[1].strip_prefix('{')?.strip_suffix('}')?;
        Some((name, id_in(pair[0])))
    };
    segments.windows(2).filter_map(parameter).collect()
}

/// The id of one of these.
fn id_in(collection: &str) -> Schema {
    match collection {
        "agents" => Schema::id::<AgentId>(),
        "credentials" => Schema::id::<CredentialId>(),
        "environments" => Schema::id::<EnvironmentId>(),
        "files" => Schema::id::<FileId>(),
        "identity-providers" => Schema::chars(1..=NAME_CHARS).example(json!("company")),
        "grants" => Schema::id::<GrantId>(),
        "keys" => Schema::id::<ApiKeyId>(),
        "knowledge-connectors" => Schema::id::<KnowledgeConnectorId>(),
        "limits" => Schema::id::<LimitId>(),
        "llm-proxies" => Schema::id::<LlmProxyId>(),
        "mcp-catalog" => Schema::id::<McpCatalogEntryId>(),
        "mcp-connections" => Schema::id::<McpConnectionId>(),
        "mcp-gateways" => Schema::id::<McpGatewayId>(),
        "members" => Schema::id::<UserId>(),
        "model-upstreams" => Schema::id::<ModelUpstreamId>(),
        "oauth-grants" => Schema::id::<OauthGrantId>(),
        "resources" => Schema::id::<SessionResourceId>(),
        "roles" => Schema::id::<RoleId>(),
        "service-accounts" => Schema::id::<ServiceAccountId>(),
        "sessions" => Schema::id::<SessionId>(),
        "skills" => Schema::id::<SkillId>(),
        "threads" => Schema::id::<SessionThreadId>(),
        "teams" => Schema::id::<TeamId>(),
        "vaults" => Schema::id::<VaultId>(),
        "work" => Schema::id::<WorkId>(),
        "revisions" => Schema::version(),
        "versions" => Schema::text().example(json!(example_id::<SkillVersionId>())),
        _ => Schema::chars(1..=128),
    }
}
