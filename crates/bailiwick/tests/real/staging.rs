//! The staging servers of the payments team, which its example allows by name.

use bailiwick_model::{Reason, Verdict};
use bailiwick_testkit::{Authority, Bailiwick, BannerServer, HttpsServer, Outcome, Postgres};

use crate::support::{NODE_TEST, PAYMENTS_DEV, everyone, was_denied};

const API: &str = "api.staging.example.com";
const GIT: &str = "git.ci.example.com";
const DATABASE: &str = "database.ci.example.com";

/// The servers, each a real one.
struct Staging {
    authority: Authority,
    api: HttpsServer,
    git: BannerServer,
    database: Postgres,
}

impl Staging {
    fn start() -> Self {
        let authority = Authority::new();
        let api = HttpsServer::start(&authority, &[API]);
        Self {
            authority,
            api,
            git: BannerServer::start(),
            database: Postgres::start(),
        }
    }

    fn run(&self, bailiwick: &Bailiwick, environment: &str, script: &str) -> Outcome {
        let run = bailiwick
            .run()
            .environment(environment)
            .option("--ca")
            .option(self.authority.certificate());
        let run = run
            .resolve(API, self.api.address())
            .resolve(GIT, self.git.address());
        run.resolve(DATABASE, self.database.address())
            .script(script)
    }

    fn reached(&self) -> usize {
        self.api.connections() + self.git.connections() + self.database.connections()
    }

    /// Destination, script, what it prints: over HTTPS, a protocol in which the server speaks first, and one with a handshake of its own.
    fn uses(&self) -> [(String, String, &'static str); 3] {
        let [api, git, database] = [
            self.api.address(),
            self.git.address(),
            self.database.address(),
        ]
        .map(|a| a.port());
        let psql = self.database.psql();
        [
            (
                format!("{API}:{api}"),
                format!(
                    "curl --silent --show-error --max-time 10 https://{API}:{api}/health | grep -o '\"sni\": \"{API}\"'"
                ),
                "\"sni\": \"api.staging.example.com\"",
            ),
            (
                format!("{GIT}:{git}"),
                format!(
                    "timeout 10 bash -c 'exec 3<>/dev/tcp/{GIT}/{git} && IFS= read -r banner <&3 && echo \"${{banner%?}}\" && echo hello >&3 && IFS= read -r echo <&3 && echo \"$echo\"'"
                ),
                "SSH-2.0-bailiwick_test\nhello",
            ),
            (
                format!("{DATABASE}:{database}"),
                format!(
                    "PGCONNECT_TIMEOUT=10 {} --no-psqlrc -h {DATABASE} -p {database} -U postgres -Atc 'select 6 * 7'",
                    psql.display()
                ),
                "42",
            ),
        ]
    }
}

#[test]
fn staging_answers_over_https_ssh_and_postgresql_by_name_and_only_where_it_is_allowed() {
    let staging = Staging::start();
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for (destination, script, printed) in staging.uses() {
            let before = staging.reached();
            let outcome = staging.run(bailiwick, PAYMENTS_DEV, &script).success();
            assert_eq!(outcome.stdout.trim(), printed);
            assert!(staging.reached() > before);
            let flows = outcome.flows_to(&destination);
            assert!(
                flows
                    .iter()
                    .any(|flow| flow.verdict == Verdict::Allow && flow.bytes_in > 0),
                "{:#?}",
                outcome.flows
            );
            assert!(
                outcome.stderr.contains(&destination),
                "the summary names it: {}",
                outcome.stderr
            );

            let before = staging.reached();
            let refused = staging.run(bailiwick, NODE_TEST, &script);
            assert!(!refused.stdout.contains(printed), "{refused:#?}");
            assert_eq!(staging.reached(), before, "{refused:#?}");
            let (name, _port) = destination.split_once(':').expect("a port");
            was_denied(
                &refused,
                name,
                Reason::NoRule,
                &format!("add `{name}` to `allowed_hosts`"),
            );
        }
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_inside_as_outside() {
    let authority = Authority::new();
    let api = HttpsServer::start(&authority, &[API]);
    let (_leaks, all) = everyone();
    let url = format!("https://{API}:{}/", api.address().port());
    for bailiwick in &all {
        let run = || {
            bailiwick
                .run()
                .environment(PAYMENTS_DEV)
                .resolve(API, api.address())
        };
        // curl(1): 60 is a certificate that cannot be verified.
        run()
            .command(["curl", "--silent", "--max-time", "10", &url])
            .exits(60);
        run()
            .option("--ca")
            .option(authority.certificate())
            .command(["curl", "--silent", "--max-time", "10", &url])
            .success();
        let python = format!("import urllib.request; urllib.request.urlopen('{url}', timeout=10)");
        let python = ["/usr/bin/python3", "-c", &python];
        assert_ne!(run().command(python).code, 0);
        run()
            .option("--ca")
            .option(authority.certificate())
            .command(python)
            .success();
        let node = format!(
            "fetch('{url}').then(r => r.json()).then(j => console.log(j.sni), e => {{ console.log(e.cause.code); process.exit(1) }})"
        );
        let told = run()
            .option("--ca")
            .option(authority.certificate())
            .command(["node", "-e", &node])
            .success();
        assert_eq!(told.stdout.trim(), API);
    }
}
