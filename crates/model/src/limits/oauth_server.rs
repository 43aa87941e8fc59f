//! Bounds of the authorization server of MCP gateways, and of Bailiwick as the client of others. Whoever asks is untrusted in both.

use std::time::Duration;

/// Bytes of a form, or of a registration, that is sent to the authorization server.
pub const OAUTH_BODY_BYTES: usize = 16 << 10;
/// Redirect URIs of one client.
pub const OAUTH_REDIRECT_URIS: usize = 10;
/// Bytes of one redirect URI.
pub const OAUTH_REDIRECT_URI_BYTES: usize = 512;
/// Bytes of a client's name and redirect URIs together: its id holds them, and URLs hold the id.
pub const OAUTH_CLIENT_BYTES: usize = 800;
/// Characters of a client's name.
pub const OAUTH_CLIENT_NAME_CHARS: usize = 80;
/// Bytes of a client's id.
pub const OAUTH_CLIENT_ID_BYTES: usize = 1500;
/// How long a client that nobody let do anything is known.
pub const OAUTH_CLIENT_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Registrations from one address in a row.
pub const OAUTH_REGISTRATIONS: u32 = 20;
/// After so long one registration is forgotten.
pub const OAUTH_REGISTRATION_FORGOTTEN: Duration = Duration::from_secs(60);
/// Addresses whose registrations are told apart: more than a site has networks (a /48 has 65 536), so that none fills the table.
pub const OAUTH_REGISTRATION_ADDRESSES: usize = 100_000;
/// Bytes of a client's `state`, which is given back.
pub const OAUTH_STATE_BYTES: usize = 1024;
/// Bytes of the address of a gateway in a request.
pub const OAUTH_RESOURCE_BYTES: usize = 512;
/// How long a code may be exchanged.
pub const OAUTH_CODE_LIFE: Duration = Duration::from_secs(60);
/// How long an access token is taken.
pub const OAUTH_ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);
/// How long a refresh token may be exchanged.
pub const OAUTH_REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a grant lasts, however often its tokens are replaced.
pub const OAUTH_GRANT_LIFE: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// Grants of one person; one more ends the oldest.
pub const OAUTH_GRANTS_OF_ONE: u32 = 100;
/// Bytes of a document about an authorization server, a resource or a client.
pub const OAUTH_DOCUMENT_BYTES: usize = 64 << 10;
/// How long a person may take to connect a credential.
pub const MCP_CONNECTION_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long finding out where a person goes for a credential may take, all servers together.
pub const MCP_CONNECTION_FINDING: Duration = Duration::from_secs(60);
/// Connections of one person that wait; one more ends the oldest.
pub const MCP_CONNECTIONS_OF_ONE: u32 = 10;
/// Wrong confirmations of one connection: with one more it ends.
pub const MCP_CONNECTION_ATTEMPTS: i64 = 5;
/// Bytes of a code that an authorization server gives.
pub const OAUTH_FOREIGN_CODE_BYTES: usize = 4096;
/// Bytes of what an authorization server says went wrong, that are shown.
pub const OAUTH_PROBLEM_BYTES: usize = 200;
