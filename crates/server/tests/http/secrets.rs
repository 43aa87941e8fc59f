//! Secrets go in, and come out for those alone who inject them.

use bailiwick_control::{Control, ControlError, UnsealError};
use bailiwick_model::{CredentialId, OrganizationId, VaultId};
use bailiwick_store::{DatabaseUrl, OwnedSecret, SecretOwner};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use crate::vaults::vault;
use crate::{Server, on_both, sealing_keys};

on_both!(
    secrets_are_nowhere_but_sealed,
    a_refusal_does_not_repeat_a_secret,
    archiving_and_deleting_wipe_secrets,
    a_sealed_secret_opens_nowhere_else,
    a_changed_secret_does_not_open,
    a_rotation_reseals_everything_and_reads_hold_before_and_after,
);

const SECRETS: [(&str, &str); 5] = [
    ("access_token", "SECRET-access-Zx91"),
    ("client_secret", "SECRET-client-Zx92"),
    ("refresh_token", "SECRET-refresh-Zx93"),
    ("token", "SECRET-bearer-Zx94"),
    ("secret_value", "SECRET-välue-Zx95"),
];

struct Made {
    organization: OrganizationId,
    vault: VaultId,
    credentials: Vec<CredentialId>,
    /// Every answer, as text.
    answers: String,
}

fn bodies() -> [Value; 3] {
    let refresh = json!({"client_id": "me", "token_endpoint": "https://id.example.com/token", "refresh_token": SECRETS[2].1,
        "token_endpoint_auth": {"type": "client_secret_post", "client_secret": SECRETS[1].1}});
    [
        json!({"type": "mcp_oauth", "mcp_server_url": "https://a.example.com", "access_token": SECRETS[0].1, "refresh": refresh}),
        json!({"type": "static_bearer", "mcp_server_url": "https://b.example.com", "token": SECRETS[3].1}),
        json!({"type": "environment_variable", "secret_name": "KEY", "secret_value": SECRETS[4].1, "networking": {"type": "unrestricted"}}),
    ]
}

async fn make(server: &Server) -> Made {
    let vault = vault(server, "v").await;
    let path = format!("/v1/vaults/{vault}/credentials");
    let (mut credentials, mut answers) = (Vec::new(), String::new());
    for auth in bodies() {
        let answer = server.post(&path, json!({"auth": auth})).await;
        credentials.push(answer.text("id").parse().unwrap());
        answers += &format!("{answer:?}");
    }
    Made {
        organization: server.store.first_organization().await.unwrap().unwrap(),
        vault: vault.parse().unwrap(),
        credentials,
        answers,
    }
}

/// What opens of the credentials, in the order of [`SECRETS`].
async fn opened(control: &Control, made: &Made) -> Result<Vec<(String, String)>, ControlError> {
    let mut all = Vec::new();
    for id in &made.credentials {
        let secrets = control
            .unsealed_credential(&made.organization, &made.vault, id)
            .await?;
        assert!(!format!("{secrets:?}").contains("SECRET"));
        all.extend(
            secrets
                .iter()
                .map(|(name, secret)| (name.to_string(), secret.reveal().to_owned())),
        );
    }
    Ok(all)
}

fn expected() -> Vec<(String, String)> {
    SECRETS
        .map(|(name, secret)| (name.to_owned(), secret.to_owned()))
        .into()
}

fn control(server: &Server, keys: &[u8]) -> Control {
    Control::new(server.store.clone(), sealing_keys(keys))
}

/// Everything that the database holds: the bytes of SQLite's files, or every row of every table of PostgreSQL as text.
pub(crate) async fn everything(server: &Server) -> Vec<u8> {
    match &server.url {
        DatabaseUrl::Sqlite(path) => {
            let mut bytes = Vec::new();
            for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
                bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
            }
            bytes
        }
        DatabaseUrl::Postgres(url) => {
            let pool = sqlx::AnyPool::connect(url).await.unwrap();
            let tables = sqlx::query(
                "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
            );
            let mut text = String::new();
            for table in tables.fetch_all(&pool).await.unwrap() {
                let sql = format!(
                    "SELECT t::text AS row FROM \"{}\" t",
                    table.get::<String, _>("name")
                );
                for row in sqlx::query(AssertSqlSafe(sql))
                    .fetch_all(&pool)
                    .await
                    .unwrap()
                {
                    text += &row.get::<String, _>("row");
                }
            }
            pool.close().await;
            text.into_bytes()
        }
    }
}

pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let found = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    found(text.as_bytes()) || found(hex.as_bytes()) || found(hex.to_uppercase().as_bytes())
}

async fn secrets_are_nowhere_but_sealed(server: Server) {
    let mut made = make(&server).await;
    let path = format!("/v1/vaults/{}/credentials", made.vault);
    let bearer = format!("{path}/{}", made.credentials[1]);
    for answer in [
        server.get(&path).await,
        server.get(&bearer).await,
        server
            .post(
                &bearer,
                json!({"auth": {"type": "static_bearer", "token": "SECRET-replaced"}}),
            )
            .await,
        server
            .post(
                &bearer,
                json!({"auth": {"type": "static_bearer", "token": SECRETS[3].1}}),
            )
            .await,
    ] {
        assert_eq!(answer.status, StatusCode::OK);
        made.answers += &format!("{answer:?}");
    }
    assert!(!made.answers.contains("SECRET"));
    let scope = server.store.scope(&made.organization);
    let log = scope.audit_entries(0, 1000).await.unwrap();
    let log = format!("{log:?}");
    assert!(
        log.contains("credential.update") && !log.contains("SECRET"),
        "{log}"
    );
    let bytes = everything(&server).await;
    // The control: what is no secret is found in the same bytes, and the secrets are in there.
    assert!(holds(&bytes, "https://id.example.com/token"));
    for (_, secret) in SECRETS {
        assert!(!holds(&bytes, secret), "{secret} is in the database");
    }
    let control = control(&server, &[1]);
    assert_eq!(opened(&control, &made).await.unwrap(), expected());
    assert!(!format!("{control:?}").contains(&"01".repeat(32)));
}

async fn a_refusal_does_not_repeat_a_secret(server: Server) {
    let made = make(&server).await;
    let path = format!("/v1/vaults/{}/credentials", made.vault);
    let mut wrong = Vec::new();
    for auth in bodies() {
        for (field, _) in SECRETS {
            for value in [
                json!(format!("SECRET\n{}", "x".repeat(9000))),
                json!(["SECRET"]),
                json!({"SECRET-key": "SECRET"}),
            ] {
                let mut auth = auth.clone();
                let place = match field {
                    "refresh_token" => &mut auth["refresh"],
                    "client_secret" => &mut auth["refresh"]["token_endpoint_auth"],
                    _ => &mut auth,
                };
                if place.get(field).is_some() {
                    place[field] = value;
                    wrong.push(json!({"auth": auth}));
                }
            }
        }
    }
    assert_eq!(wrong.len(), 15);
    // Well formed, and refused all the same.
    for auth in bodies() {
        wrong.push(json!({"auth": auth}));
    }
    let mut url = bodies()[1].clone();
    url["mcp_server_url"] = json!("https://me:SECRET@c.example.com");
    wrong.push(json!({"auth": url}));
    for body in wrong {
        let answer = server.post(&path, body.clone()).await;
        assert!(answer.status.is_client_error(), "{body}");
        assert!(!format!("{answer:?}").contains("SECRET"), "{answer:?}");
    }
}

async fn archiving_and_deleting_wipe_secrets(server: Server) {
    let made = make(&server).await;
    let scope = server.store.scope(&made.organization);
    let path = format!("/v1/vaults/{}/credentials", made.vault);
    assert_eq!(
        scope
            .credential_secrets(&made.credentials[0])
            .await
            .unwrap()
            .len(),
        3
    );
    let archive = format!("{path}/{}/archive", made.credentials[0]);
    server.send(Method::POST, &archive, None).await.ok();
    let delete = format!("{path}/{}", made.credentials[1]);
    server.send(Method::DELETE, &delete, None).await.ok();
    for id in &made.credentials[..2] {
        assert_eq!(scope.credential_secrets(id).await.unwrap(), []);
    }
    let control = control(&server, &[1]);
    let of = |index: usize| {
        control.unsealed_credential(&made.organization, &made.vault, &made.credentials[index])
    };
    assert!(matches!(of(0).await, Err(ControlError::Archived(_))));
    assert!(matches!(of(1).await, Err(ControlError::NotFound(_))));
    assert_eq!(of(2).await.unwrap().len(), 1);
    let archive = format!("/v1/vaults/{}/archive", made.vault);
    server.send(Method::POST, &archive, None).await.ok();
    assert_eq!(server.store.sealing_keys_in_use().await.unwrap(), [""; 0]);
}

/// The stored secret of a credential, of one name.
async fn stored(server: &Server, made: &Made, index: usize) -> OwnedSecret {
    let scope = server.store.scope(&made.organization);
    let credential = made.credentials[index].clone();
    let secret = scope
        .credential_secrets(&credential)
        .await
        .unwrap()
        .remove(0);
    OwnedSecret {
        owner: SecretOwner::Credential {
            vault: made.vault.clone(),
            credential,
        },
        secret,
    }
}

/// Writes into the database what no use case writes.
async fn forge(
    server: &Server,
    made: &Made,
    read: &OwnedSecret,
    secret: bailiwick_store::SealedSecret,
) {
    let mut change = server
        .store
        .change(&made.organization, Timestamp::now())
        .await
        .unwrap();
    assert!(change.replace_secret(read, secret).await.unwrap());
    let event = bailiwick_store::AuditEvent {
        actor_kind: "system",
        actor_id: "forger",
        address: None,
        action: "forge",
        resource_kind: "credential",
        resource_id: "x",
        before: None,
        after: None,
    };
    change.commit(&event).await.unwrap();
}

async fn a_sealed_secret_opens_nowhere_else(server: Server) {
    let made = make(&server).await;
    // Of the same vault, key and length; the one who can write to the database has only exchanged them.
    let path = format!("/v1/vaults/{}/credentials", made.vault);
    let auth = json!({"type": "static_bearer", "mcp_server_url": "https://mine.example.com", "token": "mine-and-known-123"});
    let mine = server.post(&path, json!({"auth": auth})).await;
    let mut made = made;
    made.credentials.push(mine.text("id").parse().unwrap());
    let (theirs, mine) = (
        stored(&server, &made, 1).await,
        stored(&server, &made, 3).await,
    );
    let control = control(&server, &[1]);
    let open = |index: usize| {
        control.unsealed_credential(&made.organization, &made.vault, &made.credentials[index])
    };
    assert_eq!(open(3).await.unwrap()[0].1.reveal(), "mine-and-known-123");
    forge(&server, &made, &mine, theirs.secret.clone()).await;
    forge(&server, &made, &theirs, mine.secret.clone()).await;
    for index in [1, 3] {
        let refused = open(index).await.unwrap_err();
        assert!(
            matches!(refused, ControlError::Unseal(UnsealError::NotAuthentic)),
            "{refused:?}"
        );
    }
    // Undone, both open again.
    let (first, second) = (
        stored(&server, &made, 1).await,
        stored(&server, &made, 3).await,
    );
    forge(&server, &made, &first, theirs.secret).await;
    forge(&server, &made, &second, mine.secret).await;
    assert_eq!(open(1).await.unwrap()[0].1.reveal(), SECRETS[3].1);
    assert_eq!(open(3).await.unwrap()[0].1.reveal(), "mine-and-known-123");
}

async fn a_changed_secret_does_not_open(server: Server) {
    let made = make(&server).await;
    let control = control(&server, &[1]);
    let open =
        || control.unsealed_credential(&made.organization, &made.vault, &made.credentials[1]);
    let read = stored(&server, &made, 1).await;
    let mut changed = read.secret.clone();
    *changed.sealed.last_mut().unwrap() ^= 1;
    forge(&server, &made, &read, changed).await;
    assert!(matches!(
        open().await,
        Err(ControlError::Unseal(UnsealError::NotAuthentic))
    ));
    let read = stored(&server, &made, 1).await;
    let mut unknown = read.secret.clone();
    unknown.key = "0123456789abcdef".to_owned();
    forge(&server, &made, &read, unknown).await;
    let refused = open().await.unwrap_err();
    assert!(
        matches!(&refused, ControlError::Unseal(UnsealError::UnknownKey { key }) if key == "0123456789abcdef")
    );
    assert_eq!(
        control.missing_sealing_keys().await.unwrap(),
        ["0123456789abcdef"]
    );
    // Whoever has the secret can put it there again.
    let path = format!(
        "/v1/vaults/{}/credentials/{}",
        made.vault, made.credentials[1]
    );
    let auth = json!({"type": "static_bearer", "token": "again"});
    server.post(&path, json!({"auth": auth})).await.ok();
    assert_eq!(open().await.unwrap()[0].1.reveal(), "again");
}

async fn a_rotation_reseals_everything_and_reads_hold_before_and_after(server: Server) {
    let made = make(&server).await;
    let (old, both, new) = (
        control(&server, &[1]),
        control(&server, &[2, 1]),
        control(&server, &[2]),
    );
    assert_eq!(opened(&both, &made).await.unwrap(), expected());
    let refused = opened(&new, &made).await.unwrap_err();
    assert!(matches!(
        refused,
        ControlError::Unseal(UnsealError::UnknownKey { .. })
    ));
    assert_eq!(new.missing_sealing_keys().await.unwrap().len(), 1);
    assert_eq!(both.missing_sealing_keys().await.unwrap(), [""; 0]);
    // One of them cannot be opened, and stops nothing.
    let read = stored(&server, &made, 1).await;
    let mut changed = read.secret.clone();
    changed.sealed[20] ^= 1;
    forge(&server, &made, &read, changed.clone()).await;
    let done = both.reseal().await.unwrap();
    assert_eq!((done.secrets, done.unreadable), (4, 1));
    let broken = OwnedSecret {
        secret: changed,
        ..read.clone()
    };
    forge(&server, &made, &broken, read.secret).await;
    let done = both.reseal().await.unwrap();
    assert_eq!((done.secrets, done.unreadable), (1, 0));
    assert_eq!(
        both.reseal().await.unwrap(),
        bailiwick_control::Resealed::default()
    );
    for control in [&both, &new] {
        assert_eq!(opened(control, &made).await.unwrap(), expected());
    }
    assert!(opened(&old, &made).await.is_err());
    assert_eq!(new.missing_sealing_keys().await.unwrap(), [""; 0]);
    let scope = server.store.scope(&made.organization);
    let log = scope.audit_entries(0, 1000).await.unwrap();
    assert_eq!(
        log.iter()
            .filter(|entry| entry.action == "credential.reseal")
            .count(),
        2
    );
    assert!(scope.verify_audit_log().await.unwrap().is_ok());
}
