//! `bailiwick up`: the keys that secrets are sealed with.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bailiwick_control::{Control, Credentials};
use bailiwick_store::{DatabaseUrl, Store};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{bailiwick, bailiwick_with};

/// The administrator's.
const ADMINISTRATOR: &str = "0123456789abcdef0123456789abcdef";

/// A server that listens; it is killed when this is dropped.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Up {
    /// Starts it, and waits until it listens.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test starts the program itself"
    )]
    fn start(data: &Path, further: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(further)
            .env_clear()
            .env("BAILIWICK_BOOTSTRAP_KEY", ADMINISTRATOR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = Self(child);
        let mut lines = BufReader::new(up.0.stdout.take().unwrap()).lines();
        let is_listening = lines.any(|line| line.unwrap().starts_with("listening on"));
        if !is_listening {
            let mut told = String::new();
            let _ = up.0.stderr.take().unwrap().read_to_string(&mut told);
            panic!("it ended: {told}");
        }
        up
    }

    /// The next line on standard error.
    fn told(&mut self) -> String {
        let mut line = String::new();
        let stderr = self.0.stderr.as_mut().unwrap();
        BufReader::new(stderr).read_line(&mut line).unwrap();
        line
    }
}

fn map(value: Value) -> serde_json::Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// Makes a credential, as a request to the server would.
fn make_a_credential(data: &Path) {
    let keys = fs::read_to_string(data.join("secret.key")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = DatabaseUrl::Sqlite(data.join("bailiwick.db"));
        let store = Store::open(&url).await.unwrap();
        let control = Control::new(store.clone(), keys.parse().unwrap());
        let shown = Credentials {
            key: ADMINISTRATOR,
            address: None,
        };
        let caller = control.authenticate(shown).await.unwrap();
        let vault = map(json!({"display_name": "v"}));
        let vault = control.create_vault(&caller, &vault).await.unwrap();
        let auth = json!({"type": "static_bearer", "mcp_server_url": "https://mcp.example.com", "token": "t"});
        let body = map(json!({"auth": auth}));
        let made = control.create_credential(&caller, &vault.id, &body);
        made.await.unwrap();
        store.close().await;
    });
}

fn refused(data: &Path, further: &[&str]) -> String {
    let data_text = data.to_str().unwrap();
    let arguments = [
        &["up", "--listen", "127.0.0.1:0", "--data", data_text],
        further,
    ]
    .concat();
    let outcome = bailiwick(&arguments);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    outcome.stderr.replace(data_text, "DIR")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_first_start_makes_a_key_and_secrets_outlive_no_key_silently() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = directory.path();
    let own = data.join("secret.key");
    drop(Up::start(data, &[]));
    assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o600);
    let first = fs::read_to_string(&own).unwrap();
    make_a_credential(data);
    drop(Up::start(data, &[]));
    assert_eq!(fs::read_to_string(&own).unwrap(), first);

    fs::remove_file(&own).unwrap();
    assert_snapshot!(refused(data, &[]), @"error: DIR/secret.key is missing, and the database holds secrets that are sealed with it: put it back from the backup, or give it with --secret-key-file FILE");
    assert!(!own.exists());
    let keys = data.join("keys");
    let second = "5a".repeat(32);
    write(&keys, &second);
    let given = ["--secret-key-file", keys.to_str().unwrap()];
    let missing = refused(data, &given);
    assert!(
        missing.contains("sealed with keys that were not given ("),
        "{missing}"
    );
    // A rotation.
    write(&keys, &format!("{second}\n{first}"));
    let mut up = Up::start(data, &given);
    assert_snapshot!(up.told(), @"1 secrets were sealed anew: nothing is sealed with an older key any more");
    drop(up);
    write(&keys, &second);
    drop(Up::start(data, &given));
}

#[test]
fn postgresql_without_a_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let url = ["--database-url", "postgres://nobody@127.0.0.1:1/nothing"];
    assert_snapshot!(refused(directory.path(), &url), @"error: the key that seals secrets must be given with PostgreSQL, which several servers can share: --secret-key-file FILE, --secret-key-command COMMAND or BAILIWICK_SECRET_KEY, the same for all (`openssl rand -hex 32` makes one)");
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let almost = "5a".repeat(31);
    write(&keys, &almost);
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let outcome = bailiwick(&[
        "up",
        "--data",
        data,
        "--secret-key-file",
        keys.to_str().unwrap(),
    ]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("line 1 is not a key"), "{outcome}");
    assert!(!outcome.stderr.contains(&almost));
    let variable = [("BAILIWICK_SECRET_KEY", almost.as_str())];
    let outcome = bailiwick_with(&["up", "--data", data], &variable);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("BAILIWICK_SECRET_KEY does not hold the keys"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains(&almost));
    write(&keys, &"5a".repeat(32));
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = bailiwick(&[
        "up",
        "--data",
        data,
        "--secret-key-file",
        keys.to_str().unwrap(),
    ]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(
        outcome.stderr.contains("can be read or written by others"),
        "{outcome}"
    );
}

#[test]
fn a_command_may_print_the_keys_and_says_why_it_does_not() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = directory.path();
    let key = "5a".repeat(32);
    // It is given none of the secrets that the server was given.
    let command = format!("test -z \"$BAILIWICK_BOOTSTRAP_KEY\" && echo {key}");
    let given = ["--secret-key-command", command.as_str()];
    drop(Up::start(data, &given));
    assert!(!data.join("secret.key").exists());
    let denied = ["--secret-key-command", "echo access denied >&2; exit 3"];
    assert_snapshot!(refused(data, &denied), @"error: --secret-key-command gives no keys: it ended with exit code 3; it complained: access denied");
    let config = data.join("server.yaml");
    write(&config, "secret_key_command: exit 4\n");
    let named = ["--config", config.to_str().unwrap()];
    assert!(refused(data, &named).contains("exit code 4"));
    // The option comes before the file.
    drop(Up::start(data, &[named, given].concat()));
}

#[test]
fn settings_that_cannot_be_used_are_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let config = directory.path().join("server.yaml");
    write(&config, "trusted_proxies: [10.0.0.1/8]\n");
    let named = ["--config", config.to_str().unwrap()];
    let told = refused(&data, &named).replace(directory.path().to_str().unwrap(), "DIR");
    assert_snapshot!(told, @r#"error: DIR/server.yaml cannot be used: trusted_proxies cannot be used: "10.0.0.1/8" has bits beyond its length: write 10.0.0.0/8"#);
    let everybody = ["--trusted-proxy", "::/0"];
    assert!(refused(&data, &everybody).contains("everybody"));
}
