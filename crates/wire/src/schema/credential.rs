//! Bodies of credentials, and what of `auth` answers show.

use bailiwick_model::limits;
use serde_json::json;

use super::Schema;
use crate::credential::{CredentialAuth, CredentialBody};

/// Visible characters of ASCII and spaces.
const VISIBLE: &str = "^[ -~]*$";
const WITH_SECRET: [&str; 2] = ["client_secret_basic", "client_secret_post"];

impl CredentialBody {
    /// What [`Self::create`] takes.
    pub fn create_schema() -> Schema {
        let auth = Schema::any_of([oauth(), bearer(), variable()]).named("CredentialAuthParams");
        Schema::object()
            .may_be("display_name", Schema::chars(0..=limits::DISPLAY_NAME_CHARS))
            .may_be("metadata", Schema::pairs(false))
            .needs("auth", auth)
            .example(json!({
                "display_name": "Issues",
                "auth": {"type": "static_bearer", "mcp_server_url": "https://mcp.example.com/issues", "token": "a token"},
            }))
            .named("CredentialCreate")
    }

    /// What [`Self::update`] takes. What is absent stays, and so does what cannot be changed.
    pub fn update_schema() -> Schema {
        let auth = Schema::any_of([oauth_change(), bearer_change(), variable_change()]);
        Schema::object()
            .may_be(
                "display_name",
                Schema::chars(1..=limits::DISPLAY_NAME_CHARS),
            )
            .may_be("metadata", Schema::pairs(true))
            .may_be("auth", auth.named("CredentialAuthChange"))
            .example(json!({"auth": {"type": "static_bearer", "token": "another token"}}))
            .named("CredentialUpdate")
    }
}

impl CredentialAuth {
    /// `auth` as answers show it: without secrets.
    pub fn schema() -> Schema {
        let url = || Schema::text();
        let ways = WITH_SECRET.into_iter().chain(["none"]);
        let refresh = Schema::answer()
            .has("client_id", Schema::text())
            .has("token_endpoint", Schema::text())
            .has(
                "token_endpoint_auth",
                Schema::answer().has("type", Schema::words(ways)),
            )
            .has("resource", Schema::text().or_null())
            .has("scope", Schema::text().or_null());
        let oauth = Schema::answer()
            .has("type", Schema::word("mcp_oauth"))
            .has("mcp_server_url", url())
            .has("expires_at", Schema::moment().or_null())
            .has("refresh", refresh.or_null());
        let bearer = Schema::answer()
            .has("type", Schema::word("static_bearer"))
            .has("mcp_server_url", url());
        let networking = Schema::answer()
            .has("type", Schema::words(["unrestricted", "limited"]))
            .may("allowed_hosts", Schema::list(Schema::text()));
        let location = Schema::answer()
            .has("header", Schema::boolean())
            .has("body", Schema::boolean())
            .may("header_names", Schema::list(Schema::text()));
        let variable = Schema::answer()
            .has("type", Schema::word("environment_variable"))
            .has("secret_name", Schema::text())
            .has("networking", networking)
            .has("injection_location", location);
        Schema::any_of([oauth, bearer, variable]).named("CredentialAuth")
    }
}

fn url() -> Schema {
    Schema::chars(1..=limits::CREDENTIAL_URL_CHARS)
}

fn visible(least: usize, most: usize) -> Schema {
    Schema::chars(least..=most).matching(VISIBLE)
}

fn secret(most: usize) -> Schema {
    Schema::chars(1..=most).with("writeOnly", json!(true))
}

fn token(most: usize) -> Schema {
    secret(most).matching(VISIBLE)
}

fn oauth() -> Schema {
    let with_secret = Schema::object()
        .needs("type", Schema::words(WITH_SECRET))
        .needs("client_secret", token(limits::CLIENT_SECRET_CHARS));
    let without = Schema::object().needs("type", Schema::word("none"));
    let refresh = Schema::object()
        .needs("client_id", visible(1, limits::CLIENT_ID_CHARS))
        .needs("refresh_token", token(limits::REFRESH_TOKEN_CHARS))
        .needs("token_endpoint", url().says("`https`, or on this machine."))
        .needs(
            "token_endpoint_auth",
            Schema::any_of([with_secret, without]),
        )
        .may_be("resource", visible(0, limits::CREDENTIAL_URL_CHARS))
        .may_be("scope", visible(0, limits::OAUTH_SCOPE_CHARS));
    Schema::object()
        .needs("type", Schema::word("mcp_oauth"))
        .needs("mcp_server_url", url())
        .needs("access_token", token(limits::ACCESS_TOKEN_CHARS))
        .may_be("expires_at", Schema::moment().says("A time to come."))
        .may_be("refresh", refresh)
}

fn oauth_change() -> Schema {
    let endpoint = Schema::object()
        .needs("type", Schema::words(WITH_SECRET))
        .may_be("client_secret", token(limits::CLIENT_SECRET_CHARS));
    let refresh = Schema::object()
        .may_be("refresh_token", token(limits::REFRESH_TOKEN_CHARS))
        .may_be("scope", visible(0, limits::OAUTH_SCOPE_CHARS))
        .may_be("token_endpoint_auth", endpoint);
    Schema::object()
        .needs("type", Schema::word("mcp_oauth"))
        .may_be("access_token", token(limits::ACCESS_TOKEN_CHARS))
        .may_be(
            "expires_at",
            Schema::moment().says("A time to come; null takes it away."),
        )
        .may_be("refresh", refresh)
}

fn bearer() -> Schema {
    Schema::object()
        .needs("type", Schema::word("static_bearer"))
        .needs("mcp_server_url", url())
        .needs("token", token(limits::ACCESS_TOKEN_CHARS))
}

fn bearer_change() -> Schema {
    Schema::object()
        .needs("type", Schema::word("static_bearer"))
        .may_be("token", token(limits::ACCESS_TOKEN_CHARS))
}

fn variable() -> Schema {
    let name = Schema::chars(1..=limits::SECRET_NAME_CHARS).matching("^[A-Za-z_][A-Za-z0-9_]*$");
    Schema::object()
        .needs("type", Schema::word("environment_variable"))
        .needs("secret_name", name)
        .needs("secret_value", secret(limits::SECRET_VALUE_CHARS))
        .needs("networking", networking())
        .may("injection_location", location())
}

fn variable_change() -> Schema {
    Schema::object()
        .needs("type", Schema::word("environment_variable"))
        .may_be("secret_value", secret(limits::SECRET_VALUE_CHARS))
        .may_be("networking", networking())
        .may("injection_location", location())
}

fn networking() -> Schema {
    let hosts = Schema::list_of(0..=limits::CREDENTIAL_HOSTS, Schema::text());
    let limited = Schema::object()
        .needs("type", Schema::word("limited"))
        .needs("allowed_hosts", hosts);
    let unrestricted = Schema::object().needs("type", Schema::word("unrestricted"));
    Schema::any_of([unrestricted, limited])
}

/// One of the two is true.
fn location() -> Schema {
    Schema::object()
        .may_be("header", Schema::boolean())
        .may_be("body", Schema::boolean())
        .may_be(
            "header_names",
            Schema::list_of(0..=limits::CREDENTIAL_HEADERS, Schema::text()),
        )
}
