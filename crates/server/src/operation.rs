//! One operation of the API: its handler, and what the document says of it. Whatever is routed is described.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use bailiwick_control::Control;
use bailiwick_model::Permission;
use bailiwick_wire::Schema;

use crate::face::Face;
use crate::front::Told;

/// The most bytes of a body, unless an operation says otherwise.
const BODY_BYTES: usize = 4 << 20;

/// Whose request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody's.
    Public,
    /// That of everybody with a key or a session.
    Authenticated,
    /// That of who has the permission.
    Needs(Permission),
    /// That of who has the permission, and of the workers of self-hosted environments.
    NeedsOrWorker(Permission),
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A parameter, other than those of the path.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) schema: Schema,
    pub(crate) needed: bool,
}

/// What a request or an answer carries.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Nothing.
    None,
    /// JSON.
    Json(Schema),
    /// A form with files (RFC 7578).
    Form(Schema),
    /// The bytes of a file, of whatever media type.
    Bytes,
    /// Events, as they happen (`text/event-stream`).
    Events,
    /// A page for a person.
    Page,
}

/// What is said of an operation.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    pub(crate) method: Method,
    /// Below its face, with `{id}` for a parameter.
    pub(crate) path: &'static str,
    /// What it belongs to, such as `environments`.
    pub(crate) tag: &'static str,
    /// What it does, in a word that no other operation of the tag has.
    pub(crate) verb: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) access: Access,
    /// Permissions that are needed besides, to see what the request refers to.
    pub(crate) besides: &'static [Permission],
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Content,
    pub(crate) status: StatusCode,
    pub(crate) answer: Content,
    /// Statuses of failures, besides those that follow from what is said above.
    pub(crate) failures: Vec<StatusCode>,
    /// Whether the answer has an `etag`.
    pub(crate) is_tagged: bool,
}

/// An operation on its way to the routes.
pub(crate) struct Operation {
    handler: MethodRouter<Arc<Control>>,
    /// Of its body.
    most_bytes: usize,
    description: Description,
}

/// The routes of a resource, or of a face.
pub(crate) struct Routes {
    tag: &'static str,
    /// By their paths below the face.
    handlers: Vec<(&'static str, MethodRouter<Arc<Control>>)>,
    descriptions: Vec<Description>,
}

fn operation<H, T>(
    (method, filter): (Method, MethodFilter),
    verb: &'static str,
    path: &'static str,
    handler: H,
) -> Operation
where
    H: Handler<T, Arc<Control>>,
    T: 'static,
{
    Operation {
        handler: on(filter, Told(handler)),
        most_bytes: BODY_BYTES,
        description: Description {
            method,
            path,
            tag: "",
            verb,
            summary: "",
            access: Access::Authenticated,
            besides: &[],
            parameters: Vec::new(),
            body: Content::None,
            status: StatusCode::OK,
            answer: Content::Json(Schema::map(Schema::any())),
            failures: Vec::new(),
            is_tagged: false,
        },
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $function:ident = $method:ident;)+) => {$(
        $(#[$doc])*
        pub(crate) fn $function<H, T>(verb: &'static str, path: &'static str, handler: H) -> Operation
        where
            H: Handler<T, Arc<Control>>,
            T: 'static,
        {
            operation((Method::$method, MethodFilter::$method), verb, path, handler)
        }
    )+};
}

methods! {
    /// Reads.
    get = GET;
    /// Makes something, or does something to it.
    post = POST;
    /// Puts something in the place of what was there.
    put = PUT;
    /// Changes what it names.
    patch = PATCH;
    /// Takes something away.
    delete = DELETE;
}

impl Operation {
    /// What it does, in a sentence.
    pub(crate) fn says(mut self, summary: &'static str) -> Self {
        self.description.summary = summary;
        self
    }

    /// For whoever has the permission.
    pub(crate) fn needs(mut self, permission: Permission) -> Self {
        self.description.access = Access::Needs(permission);
        self
    }

    /// For whoever has the permission, and for workers of self-hosted environments.
    pub(crate) fn needs_or_worker(mut self, permission: Permission) -> Self {
        self.description.access = Access::NeedsOrWorker(permission);
        self
    }

    /// For whoever has these permissions besides: the request refers to what they see.
    pub(crate) fn besides(mut self, permissions: &'static [Permission]) -> Self {
        self.description.besides = permissions;
        self
    }

    /// For anybody.
    pub(crate) fn for_anybody(mut self) -> Self {
        self.description.access = Access::Public;
        self
    }

    fn parameter(mut self, name: &'static str, place: Place, schema: Schema) -> Self {
        self.description.parameters.push(Parameter {
            name,
            place,
            schema,
            needed: false,
        });
        self
    }

    /// A parameter of the query.
    pub(crate) fn query(self, name: &'static str, schema: Schema) -> Self {
        self.parameter(name, Place::Query, schema)
    }

    /// A parameter of the query that must be there.
    pub(crate) fn needs_query(mut self, name: &'static str, schema: Schema) -> Self {
        self.description.parameters.push(Parameter {
            name,
            place: Place::Query,
            schema,
            needed: true,
        });
        self
    }

    /// A header.
    pub(crate) fn header(self, name: &'static str, schema: Schema) -> Self {
        self.parameter(name, Place::Header, schema)
    }

    /// `limit` and `page`: the answer is a page of a list.
    pub(crate) fn pages(self, most: u32) -> Self {
        self.pages_of(20, most)
    }

    /// As [`Self::pages`], with so many entries where `limit` is absent.
    pub(crate) fn pages_of(self, usual: u32, most: u32) -> Self {
        let limit = Schema::number(1..=i64::from(most)).otherwise(usual.into());
        self.query("limit", limit.says("The most entries of the page."))
            .query(
                "page",
                Schema::text()
                    .matching("^page_[0-9A-Za-z_]+$")
                    .says("`next_page` of the page before."),
            )
    }

    /// `include_archived`.
    pub(crate) fn takes_archived(self) -> Self {
        let schema = Schema::boolean().otherwise(false.into());
        self.query("include_archived", schema)
    }

    /// Only what is at the version that `If-Match` names; the answer's `etag` names the version after it.
    pub(crate) fn takes_version(self) -> Self {
        let schema = Schema::text().matching("^\"[0-9]{1,18}\"$");
        self.header(
            "If-Match",
            schema.says("The `etag` of the answer that the change was made from."),
        )
        .fails(StatusCode::CONFLICT)
    }

    /// A body of JSON.
    pub(crate) fn takes(mut self, schema: Schema) -> Self {
        self.description.body = Content::Json(schema);
        self
    }

    /// A body of JSON, of at most so many bytes.
    pub(crate) fn takes_up_to(mut self, schema: Schema, most_bytes: usize) -> Self {
        self.most_bytes = most_bytes;
        self.takes(schema)
    }

    /// A form with files, of at most so many bytes.
    pub(crate) fn takes_form(mut self, schema: Schema, most_bytes: u64) -> Self {
        self.most_bytes = usize::try_from(most_bytes).unwrap_or(usize::MAX);
        self.description.body = Content::Form(schema);
        self
    }

    /// What is answered.
    pub(crate) fn answers(mut self, schema: Schema) -> Self {
        self.description.answer = Content::Json(schema);
        self
    }

    /// What was made is answered (201).
    pub(crate) fn makes(mut self, schema: Schema) -> Self {
        self.description.status = StatusCode::CREATED;
        self.answers(schema)
    }

    /// Nothing is answered (204).
    pub(crate) fn answers_nothing(mut self) -> Self {
        self.description.status = StatusCode::NO_CONTENT;
        self.description.answer = Content::None;
        self
    }

    /// A page of a list is answered.
    pub(crate) fn lists(self, item: Schema) -> Self {
        let page = Schema::answer()
            .has("data", Schema::list(item))
            .has("next_page", Schema::text().or_null());
        self.answers(page)
    }

    /// The bytes of a file are answered.
    pub(crate) fn answers_bytes(mut self) -> Self {
        self.description.answer = Content::Bytes;
        self.description.is_tagged = true;
        self
    }

    /// Events are answered, as they happen.
    pub(crate) fn answers_events(mut self) -> Self {
        self.description.answer = Content::Events;
        self
    }

    /// The browser is sent elsewhere (303).
    pub(crate) fn sends_elsewhere(mut self) -> Self {
        self.description.status = StatusCode::SEE_OTHER;
        self.description.answer = Content::None;
        self
    }

    /// A page for a person is answered.
    pub(crate) fn answers_page(mut self) -> Self {
        self.description.answer = Content::Page;
        self
    }

    /// The answer has an `etag`.
    pub(crate) fn with_etag(mut self) -> Self {
        self.description.is_tagged = true;
        self
    }

    /// It may fail in this way, besides those that follow from its path, its parameters and its body.
    pub(crate) fn fails(mut self, status: StatusCode) -> Self {
        self.description.failures.push(status);
        self
    }
}

impl Routes {
    /// Those of a resource.
    pub(crate) fn of(tag: &'static str) -> Self {
        Self {
            tag,
            handlers: Vec::new(),
            descriptions: Vec::new(),
        }
    }

    /// One more operation.
    pub(crate) fn add(mut self, operation: Operation) -> Self {
        let Operation {
            mut handler,
            most_bytes,
            mut description,
        } = operation;
        description.tag = self.tag;
        if description.method == Method::GET {
            let has_none = matches!(description.body, Content::None);
            assert!(has_none, "{} only reads, and has no body", description.path);
        } else {
            handler = handler.layer(DefaultBodyLimit::max(most_bytes));
        }
        self.handlers.push((description.path, handler));
        self.descriptions.push(description);
        self
    }

    /// Those of another resource too.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.handlers.extend(other.handlers);
        self.descriptions.extend(other.descriptions);
        self
    }

    /// What answers below a face.
    pub(crate) fn router(self, face: Face) -> Router<Arc<Control>> {
        let prefix = face.prefix();
        let mut router = Router::new();
        for (path, handler) in self.handlers {
            router = router.route(&format!("{prefix}{path}"), handler);
        }
        router
    }

    /// What is said of them.
    pub(crate) fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }
}
