//! `auth` of a change of a credential: what is absent stays.

use bailiwick_model::SecretText;
use bailiwick_model::limits::{
    ACCESS_TOKEN_CHARS, CLIENT_SECRET_CHARS, OAUTH_SCOPE_CHARS, REFRESH_TOKEN_CHARS,
    SECRET_VALUE_CHARS,
};
use jiff::Timestamp;

use super::auth::{
    CredentialAuth, EnvironmentVariable, McpOauth, OauthRefresh, StaticBearer,
    TokenEndpointAuthKind,
};
use super::create::{PLACE, Read};
use super::fields::{moment, networking, refuse, required, secret, token, visible};
use super::location::injection_location;
use super::problem::CredentialProblem;
use super::{CredentialSecrets, SecretName};
use crate::draft::Field;
use crate::shape::{Fields, Reader};
use crate::tree::Node;

const ENDPOINT_AUTH: &str = "`auth.refresh.token_endpoint_auth`";

/// Reads `auth`, at the moment `now`, and changes what is stored by it.
pub(super) fn auth(
    reader: &mut Reader<'_>,
    node: Node,
    stored: &CredentialAuth,
    now: Timestamp,
) -> Option<Read> {
    let at = node.span.start;
    let read = reader.map(node, PLACE, |reader, fields| {
        let kind = reader.field(fields, "type", Reader::text);
        match required(reader, kind, PLACE, "type", at) {
            Some(kind) if kind.value == stored.kind() => {}
            other => {
                fields.ignore_rest();
                let stored = stored.kind();
                return refuse(reader, CredentialProblem::OtherType { stored }, other?.span);
            }
        }
        match stored {
            CredentialAuth::McpOauth(stored) => oauth(reader, fields, stored, now),
            CredentialAuth::StaticBearer(stored) => bearer(reader, fields, stored),
            CredentialAuth::EnvironmentVariable(stored) => {
                environment_variable(reader, fields, stored)
            }
        }
    });
    read.flatten()
}

/// Reports what is there and cannot be changed, whatever its value.
fn immutable(reader: &mut Reader<'_>, fields: &mut Fields, names: &[&'static str]) {
    for &field in names {
        if let Some(span) = fields.remove(field) {
            refuse::<()>(reader, CredentialProblem::Immutable { field }, span);
        }
    }
}

/// A secret that may be replaced.
fn replaced(name: SecretName, field: Field<SecretText>) -> CredentialSecrets {
    let secret = field.set().map(|secret| (name, secret.value));
    secret.into_iter().collect()
}

fn bearer(reader: &mut Reader<'_>, fields: &mut Fields, stored: &StaticBearer) -> Option<Read> {
    immutable(reader, fields, &["mcp_server_url"]);
    let bearer = reader.field(fields, "token", token(ACCESS_TOKEN_CHARS));
    let secrets = replaced(SecretName::Token, bearer);
    Some((CredentialAuth::StaticBearer(stored.clone()), secrets))
}

fn environment_variable(
    reader: &mut Reader<'_>,
    fields: &mut Fields,
    stored: &EnvironmentVariable,
) -> Option<Read> {
    immutable(reader, fields, &["secret_name"]);
    let value = reader.field(fields, "secret_value", secret(SECRET_VALUE_CHARS));
    let hosts = reader.field(fields, "networking", networking);
    let before = || stored.injection_location.clone();
    let location = injection_location(reader, fields, before(), before());
    let auth = EnvironmentVariable {
        secret_name: stored.secret_name.clone(),
        networking: match hosts.set() {
            Some(hosts) => hosts.value,
            None => stored.networking.clone(),
        },
        injection_location: location?,
    };
    let secrets = replaced(SecretName::SecretValue, value);
    Some((CredentialAuth::EnvironmentVariable(auth), secrets))
}

fn oauth(
    reader: &mut Reader<'_>,
    fields: &mut Fields,
    stored: &McpOauth,
    now: Timestamp,
) -> Option<Read> {
    immutable(reader, fields, &["mcp_server_url"]);
    let access = reader.field(fields, "access_token", token(ACCESS_TOKEN_CHARS));
    let expires = reader.field(fields, "expires_at", moment(now));
    let refresh_place = fields.place("refresh");
    let refresh = reader.field(fields, "refresh", |reader, _, node| match &stored.refresh {
        Some(stored) => refresh(reader, node, stored),
        None => refuse(reader, CredentialProblem::NoRefresh, refresh_place?),
    });
    let mut secrets = replaced(SecretName::AccessToken, access);
    let refresh = match refresh {
        Field::Set(refresh) => {
            let (refresh, further) = refresh.value;
            secrets.extend(further);
            Some(refresh)
        }
        Field::Absent | Field::Null | Field::Refused => stored.refresh.clone(),
    };
    let auth = McpOauth {
        mcp_server_url: stored.mcp_server_url.clone(),
        // A new token without a time of its own keeps the time of the old one.
        expires_at: match expires {
            Field::Set(expires) => Some(expires.value),
            Field::Null => None,
            Field::Absent | Field::Refused => stored.expires_at,
        },
        refresh,
    };
    Some((CredentialAuth::McpOauth(auth), secrets))
}

fn refresh(
    reader: &mut Reader<'_>,
    node: Node,
    stored: &OauthRefresh,
) -> Option<(OauthRefresh, CredentialSecrets)> {
    reader.map(node, "`auth.refresh`", |reader, fields| {
        immutable(reader, fields, &["client_id", "token_endpoint", "resource"]);
        let token = reader.field(fields, "refresh_token", token(REFRESH_TOKEN_CHARS));
        let scope = reader.field(fields, "scope", visible(0, OAUTH_SCOPE_CHARS));
        let client = reader.field(fields, "token_endpoint_auth", |reader, _, node| {
            client_secret(reader, node, stored)
        });
        let mut secrets = replaced(SecretName::RefreshToken, token);
        secrets.extend(client.set().into_iter().flat_map(|client| client.value));
        let refresh = OauthRefresh {
            scope: match scope.set() {
                Some(scope) => Some(scope.value).filter(|scope| !scope.is_empty()),
                None => stored.scope.clone(),
            },
            ..stored.clone()
        };
        (refresh, secrets)
    })
}

/// A new client secret. Which of the two ways it goes stays, whichever `type` says.
fn client_secret(
    reader: &mut Reader<'_>,
    node: Node,
    stored: &OauthRefresh,
) -> Option<CredentialSecrets> {
    let (at, span) = (node.span.start, node.span.clone());
    let read = reader.map(node, ENDPOINT_AUTH, |reader, fields| {
        let kind = reader.field(fields, "type", Reader::text);
        let kind = required(reader, kind, ENDPOINT_AUTH, "type", at);
        if let Some(kind) = &kind {
            let known = ["client_secret_basic", "client_secret_post"];
            reader.one_of(kind, "type of token endpoint authentication", &known);
        }
        let secret = reader.field(fields, "client_secret", token(CLIENT_SECRET_CHARS));
        match stored.token_endpoint_auth.r#type {
            TokenEndpointAuthKind::None => refuse(reader, CredentialProblem::NoClientSecret, span),
            TokenEndpointAuthKind::ClientSecretBasic | TokenEndpointAuthKind::ClientSecretPost => {
                Some(replaced(SecretName::ClientSecret, secret))
            }
        }
    });
    read.flatten()
}
