//! `auth` of a new credential.

use bailiwick_model::SecretText;
use bailiwick_model::limits::{
    ACCESS_TOKEN_CHARS, CLIENT_ID_CHARS, CLIENT_SECRET_CHARS, CREDENTIAL_URL_CHARS,
    OAUTH_SCOPE_CHARS, REFRESH_TOKEN_CHARS, SECRET_VALUE_CHARS,
};
use jiff::Timestamp;

use super::auth::{
    CredentialAuth, EnvironmentVariable, InjectionLocation, McpOauth, OauthRefresh, StaticBearer,
    TokenEndpointAuth, TokenEndpointAuthKind,
};
use super::fields::{
    moment, networking, required, secret, server_url, token, token_endpoint, variable, visible,
};
use super::location::injection_location;
use super::{CredentialSecrets, SecretName};
use crate::shape::{Fields, Reader};
use crate::tree::Node;

/// What the errors call it.
pub(super) const PLACE: &str = "`auth`";
const REFRESH: &str = "`auth.refresh`";
const ENDPOINT_AUTH: &str = "`auth.refresh.token_endpoint_auth`";

/// What was read of `auth`.
pub(super) type Read = (CredentialAuth, CredentialSecrets);

/// Reads `auth`, at the moment `now`.
pub(super) fn auth(reader: &mut Reader<'_>, node: Node, now: Timestamp) -> Option<Read> {
    let at = node.span.start;
    let read = reader.map(node, PLACE, |reader, fields| {
        let kind = reader.field(fields, "type", Reader::text);
        let kind = required(reader, kind, PLACE, "type", at);
        match kind.as_ref().map(|kind| kind.value.as_str()) {
            Some("mcp_oauth") => oauth(reader, fields, at, now),
            Some("static_bearer") => bearer(reader, fields, at),
            Some("environment_variable") => environment_variable(reader, fields, at),
            Some(_) | None => {
                fields.ignore_rest();
                if let Some(kind) = &kind {
                    let known = ["mcp_oauth", "static_bearer", "environment_variable"];
                    reader.one_of(kind, "type of credential", &known);
                }
                None
            }
        }
    });
    read.flatten()
}

fn oauth(reader: &mut Reader<'_>, fields: &mut Fields, at: usize, now: Timestamp) -> Option<Read> {
    let url = reader.field(fields, "mcp_server_url", server_url);
    let access = reader.field(fields, "access_token", token(ACCESS_TOKEN_CHARS));
    let expires = reader.field(fields, "expires_at", moment(now));
    let refresh = reader.field(fields, "refresh", refresh);
    let url = required(reader, url, PLACE, "mcp_server_url", at);
    let access = required(reader, access, PLACE, "access_token", at);
    let mut secrets = vec![(SecretName::AccessToken, access?.value)];
    let refresh = refresh.set().map(|refresh| {
        let (refresh, further) = refresh.value;
        secrets.extend(further);
        refresh
    });
    let auth = McpOauth {
        mcp_server_url: url?.value,
        expires_at: expires.set().map(|expires| expires.value),
        refresh,
    };
    Some((CredentialAuth::McpOauth(auth), secrets))
}

fn refresh(
    reader: &mut Reader<'_>,
    _: &'static str,
    node: Node,
) -> Option<(OauthRefresh, CredentialSecrets)> {
    let at = node.span.start;
    let read = reader.map(node, REFRESH, |reader, fields| {
        let client = reader.field(fields, "client_id", visible(1, CLIENT_ID_CHARS));
        let token = reader.field(fields, "refresh_token", token(REFRESH_TOKEN_CHARS));
        let endpoint = reader.field(fields, "token_endpoint", token_endpoint);
        let auth = reader.field(fields, "token_endpoint_auth", endpoint_auth);
        let resource = reader.field(fields, "resource", visible(0, CREDENTIAL_URL_CHARS));
        let scope = reader.field(fields, "scope", visible(0, OAUTH_SCOPE_CHARS));
        let client = required(reader, client, REFRESH, "client_id", at);
        let token = required(reader, token, REFRESH, "refresh_token", at);
        let endpoint = required(reader, endpoint, REFRESH, "token_endpoint", at);
        let auth = required(reader, auth, REFRESH, "token_endpoint_auth", at);
        let (kind, client_secret) = auth?.value;
        let mut secrets = vec![(SecretName::RefreshToken, token?.value)];
        secrets.extend(client_secret.map(|secret| (SecretName::ClientSecret, secret)));
        let some = |text: String| (!text.is_empty()).then_some(text);
        let refresh = OauthRefresh {
            client_id: client?.value,
            token_endpoint: endpoint?.value,
            token_endpoint_auth: TokenEndpointAuth { r#type: kind },
            resource: resource.set().and_then(|resource| some(resource.value)),
            scope: scope.set().and_then(|scope| some(scope.value)),
        };
        Some((refresh, secrets))
    });
    read.flatten()
}

fn endpoint_auth(
    reader: &mut Reader<'_>,
    _: &'static str,
    node: Node,
) -> Option<(TokenEndpointAuthKind, Option<SecretText>)> {
    let at = node.span.start;
    let read = reader.map(node, ENDPOINT_AUTH, |reader, fields| {
        let kind = reader.field(fields, "type", Reader::text);
        let kind = required(reader, kind, ENDPOINT_AUTH, "type", at);
        let with_secret = match kind.as_ref().map(|kind| kind.value.as_str()) {
            Some("none") => return Some((TokenEndpointAuthKind::None, None)),
            Some("client_secret_basic") => TokenEndpointAuthKind::ClientSecretBasic,
            Some("client_secret_post") => TokenEndpointAuthKind::ClientSecretPost,
            Some(_) | None => {
                fields.ignore_rest();
                if let Some(kind) = &kind {
                    let known = ["none", "client_secret_basic", "client_secret_post"];
                    reader.one_of(kind, "type of token endpoint authentication", &known);
                }
                return None;
            }
        };
        let secret = reader.field(fields, "client_secret", token(CLIENT_SECRET_CHARS));
        let secret = required(reader, secret, ENDPOINT_AUTH, "client_secret", at);
        Some((with_secret, Some(secret?.value)))
    });
    read.flatten()
}

fn bearer(reader: &mut Reader<'_>, fields: &mut Fields, at: usize) -> Option<Read> {
    let url = reader.field(fields, "mcp_server_url", server_url);
    let bearer = reader.field(fields, "token", token(ACCESS_TOKEN_CHARS));
    let url = required(reader, url, PLACE, "mcp_server_url", at);
    let bearer = required(reader, bearer, PLACE, "token", at);
    let auth = StaticBearer {
        mcp_server_url: url?.value,
    };
    let secrets = vec![(SecretName::Token, bearer?.value)];
    Some((CredentialAuth::StaticBearer(auth), secrets))
}

fn environment_variable(reader: &mut Reader<'_>, fields: &mut Fields, at: usize) -> Option<Read> {
    let (everywhere, nowhere) = (
        InjectionLocation::everywhere(),
        InjectionLocation::default(),
    );
    let name = reader.field(fields, "secret_name", variable);
    let value = reader.field(fields, "secret_value", secret(SECRET_VALUE_CHARS));
    let hosts = reader.field(fields, "networking", networking);
    let location = injection_location(reader, fields, everywhere, nowhere);
    let name = required(reader, name, PLACE, "secret_name", at);
    let value = required(reader, value, PLACE, "secret_value", at);
    let hosts = required(reader, hosts, PLACE, "networking", at);
    let auth = EnvironmentVariable {
        secret_name: name?.value,
        networking: hosts?.value,
        injection_location: location?,
    };
    let secrets = vec![(SecretName::SecretValue, value?.value)];
    Some((CredentialAuth::EnvironmentVariable(auth), secrets))
}
