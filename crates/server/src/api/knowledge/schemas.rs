//! What the bodies and answers of knowledge look like.

use bailiwick_model::limits::{
    KNOWLEDGE_CRAWL_DEPTH, KNOWLEDGE_EVERY_MINUTES_LEAST, KNOWLEDGE_EVERY_MINUTES_MOST,
    KNOWLEDGE_FIELD_CHARS, KNOWLEDGE_GLOB_BYTES, KNOWLEDGE_GLOBS, KNOWLEDGE_PLACE_BYTES,
    KNOWLEDGE_QUERY_CHARS, KNOWLEDGE_RESULTS, KNOWLEDGE_SPACES,
};
use bailiwick_model::{
    CredentialId, EnvironmentId, KnowledgeConnectorId, KnowledgeDocumentId, VaultId,
};
use bailiwick_wire::Schema;
use serde_json::json;

use crate::api::llm_proxies::apply_set;

fn place() -> Schema {
    Schema::chars(1..=KNOWLEDGE_PLACE_BYTES)
}

fn field() -> Schema {
    Schema::chars(1..=KNOWLEDGE_FIELD_CHARS)
}

fn patterns(what: &str) -> Schema {
    let pattern = Schema::chars(1..=KNOWLEDGE_GLOB_BYTES);
    Schema::list_of(0..=KNOWLEDGE_GLOBS, pattern).says(what)
}

fn files(source: Schema) -> Schema {
    source
        .may(
            "include",
            patterns("Which files are read, such as `docs/**`; everything if there are none."),
        )
        .may("exclude", patterns("Which files are left out."))
}

fn source() -> Schema {
    let of = |word| Schema::object().needs("type", Schema::word(word));
    let directory = of("directory")
        .needs(
            "path",
            place().says("Below one of `knowledge_roots` of the server's configuration."),
        )
        .may_be(
            "link",
            place().says("Where people find the files: their paths are put behind it."),
        );
    let git = of("git")
        .needs("repository", place().says("`https://HOST/PATH`, or `file:///PATH` below one of `knowledge_roots` of the server's configuration."))
        .may_be(
            "ref",
            Schema::chars(1..=255).says("A branch, a tag or a commit."),
        );
    let web = of("web")
        .needs("url", place().says("A page of the site."))
        .may(
            "gather",
            Schema::words(["sitemap", "crawl"]).otherwise(json!("sitemap")),
        )
        .may_be(
            "sitemap",
            place().says("Where the site lists its pages, if not where it says itself."),
        )
        .may_be(
            "depth",
            Schema::number(1..=i64::from(KNOWLEDGE_CRAWL_DEPTH))
                .says("Links from the start of a crawl to a page."),
        )
        .may_be("max_pages", Schema::positive());
    let github = of("github")
        .may_be(
            "api",
            place().says("Of GitHub Enterprise Server; `https://api.github.com` otherwise."),
        )
        .needs("owner", field())
        .needs("repository", field())
        .may("pull_requests", Schema::boolean().otherwise(json!(false)));
    let confluence = of("confluence")
        .needs("site", place().says("`https://NAME.atlassian.net/wiki`."))
        .may_be("email", field().says("Whose API token the credential is."))
        .may(
            "spaces",
            Schema::list_of(0..=KNOWLEDGE_SPACES, field())
                .says("Keys of spaces; all if there are none."),
        );
    Schema::any_of([files(directory), files(git), web, github, confluence]).named("KnowledgeSource")
}

fn credential() -> Schema {
    Schema::object()
        .needs("vault_id", Schema::id::<VaultId>())
        .needs("credential_id", Schema::id::<CredentialId>())
        .named("KnowledgeCredential")
}

fn schedule() -> Schema {
    let minutes = Schema::number(KNOWLEDGE_EVERY_MINUTES_LEAST..=KNOWLEDGE_EVERY_MINUTES_MOST);
    let every = Schema::object().needs("every_minutes", minutes);
    let daily = Schema::object().needs(
        "daily_at",
        Schema::text()
            .matching("^([01][0-9]|2[0-3]):[0-5][0-9]$")
            .example(json!("03:30"))
            .says("In the organization's time zone."),
    );
    Schema::any_of([every, daily]).named("KnowledgeSchedule")
}

pub(super) fn new() -> Schema {
    Schema::object()
        .needs("name", Schema::name())
        .needs("environment_id", Schema::id::<EnvironmentId>())
        .needs("source", source())
        .may_be(
            "credential",
            credential().says("What the source is shown; without it what is public is read."),
        )
        .may_be(
            "schedule",
            schedule().says("Without it the connector is synced by hand alone."),
        )
        .may_be("apply_set", apply_set())
        .example(json!({
            "name": "handbook",
            "environment_id": "env_1111111111111111111111",
            "source": {"type": "web", "url": "https://handbook.example.com/"},
            "schedule": {"every_minutes": 60},
        }))
        .named("NewKnowledgeConnector")
}

pub(super) fn change() -> Schema {
    Schema::object()
        .may("name", Schema::name())
        .may("environment_id", Schema::id::<EnvironmentId>())
        .may("source", source().says("Of the same type as before."))
        .may_be("credential", credential())
        .may_be("schedule", schedule())
        .may_be("apply_set", apply_set())
        .example(json!({"schedule": {"daily_at": "03:30"}}))
        .named("KnowledgeConnectorChange")
}

fn counts() -> Schema {
    Schema::answer()
        .has("seen", Schema::count())
        .has(
            "total",
            Schema::count().or_null().says("As soon as it is known."),
        )
        .has("changed", Schema::count())
        .has("unchanged", Schema::count())
        .has("gone", Schema::count())
        .has(
            "skipped",
            Schema::count().says("Left out, such as pictures."),
        )
        .has("failed", Schema::count())
        .named("KnowledgeCounts")
}

fn sync() -> Schema {
    Schema::answer()
        .has(
            "state",
            Schema::words(["never", "running", "done", "failed", "cancelled"]),
        )
        .has("started_at", Schema::moment().or_null())
        .has("ended_at", Schema::moment().or_null())
        .has("counts", counts().or_null())
        .has(
            "error",
            Schema::text()
                .or_null()
                .says("Why it failed, or was not whole."),
        )
        .has(
            "next_at",
            Schema::moment().or_null().says("When the next one is due."),
        )
        .named("KnowledgeSync")
}

pub(super) fn connector() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<KnowledgeConnectorId>())
        .has("name", Schema::text())
        .has("environment_id", Schema::id::<EnvironmentId>())
        .has("source", source())
        .has("credential", credential().or_null())
        .has("schedule", schedule().or_null())
        .has("apply_set", apply_set().or_null())
        .has("documents", Schema::count())
        .has(
            "bytes",
            Schema::count()
                .says("Of their texts, and of the title and the headings of each passage."),
        )
        .has("sync", sync())
        .has("version", Schema::version())
        .has("created_at", Schema::moment())
        .has("updated_at", Schema::moment())
        .named("KnowledgeConnector")
}

pub(super) fn document() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<KnowledgeDocumentId>())
        .has(
            "key",
            Schema::text().says("What its source calls it: a path, an address, an id."),
        )
        .has("title", Schema::text())
        .has("link", Schema::text().or_null())
        .has(
            "kind",
            Schema::words(["markdown", "html", "text", "code", "pdf"]).or_null(),
        )
        .has("bytes", Schema::count())
        .has("chunks", Schema::count())
        .has("updated_at", Schema::moment().or_null())
        .has("read_at", Schema::moment().or_null())
        .has(
            "error",
            Schema::text()
                .or_null()
                .says("Why it could not be read the last time; what was known of it stays."),
        )
        .has("failed_at", Schema::moment().or_null())
        .named("KnowledgeDocument")
}

pub(super) fn search() -> Schema {
    Schema::object()
        .needs("environment_id", Schema::id::<EnvironmentId>())
        .needs(
            "query",
            Schema::chars(1..=KNOWLEDGE_QUERY_CHARS).says("Words; nothing in it is syntax."),
        )
        .may_be(
            "limit",
            Schema::number(1..=i64::from(KNOWLEDGE_RESULTS)).otherwise(json!(10)),
        )
        .example(
            json!({"environment_id": "env_1111111111111111111111", "query": "rotate signing keys"}),
        )
        .named("KnowledgeSearch")
}

pub(super) fn results() -> Schema {
    let part = Schema::answer().has("text", Schema::text()).has(
        "is_match",
        Schema::boolean().says("Whether it is a word that was searched for, or a form of it."),
    );
    let result = Schema::answer()
        .has("connector_id", Schema::id::<KnowledgeConnectorId>())
        .has("connector", Schema::text())
        .has("type", Schema::text())
        .has("document_id", Schema::id::<KnowledgeDocumentId>())
        .has("key", Schema::text())
        .has("title", Schema::text())
        .has("link", Schema::text().or_null())
        .has("updated_at", Schema::moment().or_null())
        .has(
            "position",
            Schema::count().says("The place of the passage in its document."),
        )
        .has(
            "headings",
            Schema::list(Schema::text())
                .says("Those that the passage is under, the outermost first."),
        )
        .has("snippet", Schema::list(part))
        .has(
            "score",
            Schema::any().says("How well it fits, among these results alone."),
        )
        .named("KnowledgeResult");
    Schema::answer()
        .has("data", Schema::list(result))
        .named("KnowledgeResults")
}
