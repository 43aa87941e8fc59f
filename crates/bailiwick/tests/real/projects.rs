//! Projects: a repository at the head of its ref with what its set-up installed, over file, https and ssh.

use std::time::Duration;

use bailiwick_testkit::{
    Authority, Bailiwick, Child, GitHttpsServer, GitRepository, Outcome, Run, SshServer,
};

use crate::support::everyone;

/// Downloads over a slow line.
const PATIENCE: Duration = Duration::from_secs(200);
const NAME: &str = "git.example.com";

/// An environment that reaches nothing, with a project.
fn environment(project: &str) -> String {
    format!(
        "name: projects\nconfig:\n  type: cloud\n  networking: {{type: limited}}\n  project: {project}\n"
    )
}

fn run<'a>(bailiwick: &'a Bailiwick, project: &str) -> Run<'a> {
    bailiwick
        .run()
        .environment(&environment(project))
        .patience(PATIENCE)
}

/// The keys of the layers that a build printed.
fn keys(outcome: Outcome) -> Vec<String> {
    let outcome = outcome.success();
    outcome.stdout.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_project_follows_its_repository_and_a_running_sandbox_keeps_its_own() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let repository = GitRepository::new("app");
        let first = repository.write("version", "one").commit("first");
        let project = format!("{{repository: '{}'}}", repository.url());
        let script = "git log --format=%H -1; cat version; git status --porcelain; git branch --show-current; pwd; id -un; ls /workspace";
        let outcome = run(bailiwick, &project).script(script).success();
        let told = |commit: &str, version: &str| {
            format!("{commit}\n{version}main\n/workspace/app\nagent\napp\n")
        };
        assert_eq!(outcome.stdout, told(&first, "one"));

        let wait = "echo changed > version; echo begun; read line; cat version; git rev-parse HEAD";
        let mut command = run(bailiwick, &project).prepared(["sh", "-c", wait]);
        let (stdin, mut input) = std::io::pipe().expect("a pipe");
        let mut running = Child::start(command.stdin(stdin));
        drop(command);
        running.wait_for("the start", |line| (line == "begun").then_some(()));

        let second = repository.write("version", "two").commit("second");
        let outcome = run(bailiwick, &project).script(script).success();
        assert_eq!(outcome.stdout, told(&second, "two"), "writes are private");
        let offline = run(bailiwick, &project).option("--offline");
        assert_eq!(
            offline.script(script).success().stdout,
            told(&second, "two")
        );

        std::io::Write::write_all(&mut input, b"go\n").expect("it reads");
        drop(input);
        assert_eq!(running.wait(PATIENCE), 0);
        let kept = format!("begun\nchanged\n{first}\n");
        assert_eq!(running.printed(), kept);
    }
}

#[test]
fn branches_tags_and_commits_are_refs() {
    let (_leaks, all) = everyone();
    let repository = GitRepository::new("app.git");
    let first = repository.write("file", "one").commit("first");
    repository.git(["tag", "-a", "-m", "a release", "v1"]);
    repository.git(["checkout", "--quiet", "-b", "feature/x"]);
    let second = repository.write("file", "two").commit("second");
    repository.git(["checkout", "--quiet", "main"]);
    for bailiwick in &all {
        let head = |git_ref: &str| {
            let url = format!("{}{git_ref}", repository.url());
            let run = bailiwick.run().option("--project").option(url);
            run.script("git rev-parse HEAD; git branch --show-current; git rev-parse --abbrev-ref @{u} 2>/dev/null")
        };
        let told = |git_ref: &str| head(git_ref).stdout;
        assert_eq!(told(""), format!("{first}\nmain\norigin/main\n"));
        assert_eq!(told("#main"), format!("{first}\nmain\norigin/main\n"));
        assert_eq!(
            told("#feature/x"),
            format!("{second}\nfeature/x\norigin/feature/x\n")
        );
        let detached = |commit: &str| format!("{commit}\n");
        for git_ref in ["#v1", "#refs/tags/v1", &format!("#{first}")] {
            assert_eq!(told(git_ref), detached(&first), "{git_ref}");
        }
        assert_eq!(told(&format!("#{second}")), detached(&second));
        let missing = head("#absent").exits(125);
        assert!(
            missing
                .stderr
                .contains("has no absent: it is neither a branch nor a tag"),
            "{missing:#?}"
        );
    }
}

#[test]
fn a_set_up_installs_from_the_registries_and_a_limited_sandbox_has_it() {
    let (_leaks, all) = everyone();
    let repository = GitRepository::new("app");
    repository
        .write(
            "package.json",
            r#"{"name": "app", "version": "1.0.0", "dependencies": {"is-odd": "3.0.1"}}"#,
        )
        .write("requirements.txt", "six==1.16.0\n")
        .write(".gitignore", "node_modules/\npackage-lock.json\nbuilt\n")
        .commit("first");
    let setup = "['npm install --no-audit --no-fund', 'pip install -r requirements.txt', 'echo $((6*7)) > built']";
    let project = format!(
        "{{repository: '{}', name: tool, setup: {setup}}}",
        repository.url()
    );
    let script = "node -e 'console.log(require(\"is-odd\")(3))'; python3 -c 'import six; print(six.__version__)'; cat built; git status --porcelain; touch node_modules/mine; pwd; curl -s --max-time 5 https://registry.npmjs.org/ || echo denied";
    for bailiwick in &all {
        for already_built in [false, true] {
            let outcome = run(bailiwick, &project).script(script).success();
            let expected = "true\n1.16.0\n42\n/workspace/tool\ndenied\n";
            assert_eq!(outcome.stdout, expected);
            if already_built {
                assert!(!outcome.stderr.contains("setting up"), "{outcome:#?}");
            }
        }
        let as_root = run(bailiwick, &project)
            .option("--root")
            .script("git status --porcelain; echo x > built; id -u");
        assert_eq!(as_root.success().stdout, "0\n");
    }
}

#[test]
fn a_set_up_that_fails_is_told_with_its_log_and_nothing_is_started() {
    let (_leaks, all) = everyone();
    let repository = GitRepository::new("app");
    repository.write("file", "").commit("first");
    let setup = "['echo fine', 'echo half of it; exit 7', 'echo never']";
    let project = format!("{{repository: '{}', setup: {setup}}}", repository.url());
    for bailiwick in &all {
        let outcome = run(bailiwick, &project).script("echo started").exits(125);
        assert!(!outcome.stdout.contains("started"));
        let reason = "command 2 of the set-up ended with exit code 7";
        assert!(outcome.stderr.contains(reason), "{outcome:#?}");
        let (_, key) = outcome
            .stderr
            .split_once("bailiwick image log ")
            .expect("the way to the log");
        let key: String = key.chars().take_while(char::is_ascii_hexdigit).collect();
        let log = bailiwick.execute(["image", "log", &key]).success().stdout;
        assert!(log.contains("$ echo fine\nfine\n$ echo half"), "{log}");
        assert!(!log.contains("never"), "{log}");
    }
}

#[test]
fn over_https_only_what_is_new_is_fetched_and_without_the_server_the_last_state_is_used() {
    let (_leaks, all) = everyone();
    let authority = Authority::new();
    for bailiwick in &all {
        let repository = GitRepository::new("app");
        let mut noise = vec![0; 3 << 20];
        rustix::rand::getrandom(&mut noise, rustix::rand::GetRandomFlags::empty())
            .expect("random bytes");
        let first = repository.write("large", &noise).commit("first");
        let credentials = "reader:secret";
        let server = GitHttpsServer::start(&authority, &[NAME], repository.root(), credentials);
        let port = server.address().port();
        let url = format!("https://{NAME}:{port}/app/.git");
        let file = bailiwick.write(
            bailiwick.home().join("credentials"),
            format!("https://{credentials}@{NAME}%3a{port}\n"),
        );
        let run = || {
            let run = bailiwick.run().option("--project").option(&url);
            let run = run.option("--ca").option(authority.certificate());
            run.resolve(NAME, server.address())
        };
        let refused = run().script("true").exits(125);
        let reason = "could not read Username";
        assert!(refused.stderr.contains(reason), "{refused:#?}");
        let with_credentials = || run().option("--git-credentials").option(&file);
        let script =
            "git rev-parse HEAD; env; cat /bailiwick/* ~/.git-credentials 2>/dev/null; true";
        let outcome = with_credentials().script(script).success();
        assert!(outcome.stdout.starts_with(&first), "{outcome:#?}");
        assert!(!outcome.stdout.contains("secret"), "{outcome:#?}");
        let before = server.answers();
        assert!(before.iter().sum::<u64>() > 3 << 20, "{before:?}");

        let second = repository.write("small", "x").commit("second");
        let outcome =
            with_credentials().script("git rev-parse HEAD; ls; git log --oneline | wc -l");
        assert_eq!(
            outcome.success().stdout,
            format!("{second}\nlarge\nsmall\n2\n")
        );
        let new: u64 = server.answers()[before.len()..].iter().sum();
        assert!(new < 20_000, "{new} bytes for one small file");

        let address = server.address();
        drop(server);
        let run = bailiwick.run().option("--project").option(&url);
        let run = run.option("--ca").option(authority.certificate());
        let outcome = run
            .resolve(NAME, address)
            .script("git rev-parse HEAD")
            .success();
        assert_eq!(outcome.stdout.trim(), second);
        assert!(
            outcome.stderr.contains("the project is what it was last"),
            "{outcome:#?}"
        );
    }
}

#[test]
fn over_ssh_the_key_is_only_for_the_fetch_and_only_a_known_host_is_asked() {
    let (_leaks, all) = everyone();
    let server = SshServer::start();
    let stranger = SshServer::start();
    let repository = GitRepository::new("app");
    let commit = repository.write("file", "x").commit("first");
    let (user, port) = (SshServer::user(), server.address().port());
    let url = format!("ssh://{user}@{NAME}:{port}{}", repository.path().display());
    for bailiwick in &all {
        let key = bailiwick.write(bailiwick.home().join("key"), server.key());
        let known = |name: &str, line: String| bailiwick.write(bailiwick.home().join(name), line);
        let right = known("known", server.known_host(NAME));
        let port_of =
            |line: String| line.replace(&stranger.address().port().to_string(), &port.to_string());
        let wrong = known("wrong", port_of(stranger.known_host(NAME)));
        let run = || {
            let run = bailiwick.run().option("--project").option(&url);
            run.resolve(NAME, server.address())
        };
        assert!(run().script("true").exits(2).stderr.contains("--ssh-key"));
        let with_key = || run().option("--ssh-key").option(&key);
        let without_hosts = with_key().script("true").exits(2);
        assert!(without_hosts.stderr.contains("--ssh-known-hosts"));
        let refused = with_key()
            .option("--ssh-known-hosts")
            .option(&wrong)
            .script("true")
            .exits(125);
        assert!(
            refused.stderr.contains("could not be fetched"),
            "{refused:#?}"
        );
        let script = "git rev-parse HEAD; cat /bailiwick/* /tmp/ssh/* 2>/dev/null; ls -A / /tmp";
        let outcome = with_key()
            .option("--ssh-known-hosts")
            .option(&right)
            .script(script)
            .success();
        assert!(outcome.stdout.starts_with(&commit), "{outcome:#?}");
        assert!(!outcome.stdout.contains("KEY") && !outcome.stdout.contains("bailiwick\n"));
    }
}

#[test]
fn an_image_is_built_refreshed_shown_and_removed_with_its_project() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let repository = GitRepository::new("app");
        repository.write("file", "one").commit("first");
        let url = repository.url();
        let build = || keys(bailiwick.execute(["image", "build", "-q", "--project", &url]));
        let first = build();
        assert_eq!(first.len(), 1);
        assert_eq!(build(), first, "nothing is new");
        let second = repository.write("file", "two").commit("second");
        let told = bailiwick.execute(["image", "refresh", "-q", "--project", &url]);
        assert!(told.success().stdout.contains(&second));
        let refreshed = build();
        assert_ne!(refreshed, first);
        let shown = bailiwick
            .execute(["image", "show", &refreshed[0]])
            .success();
        assert!(shown.stdout.contains(&second), "{shown:#?}");
        for key in [&first[0], &refreshed[0]] {
            bailiwick.execute(["image", "remove", key]).success();
        }
        let neither = bailiwick.execute(["image", "build"]).exits(2);
        assert!(neither.stderr.contains("--file"), "{neither:#?}");
    }
}

#[test]
fn a_dry_run_fetches_nothing_and_shows_what_is_there() {
    let (_leaks, all) = everyone();
    let repository = GitRepository::new("app");
    repository.write("file", "one").commit("first");
    for bailiwick in &all {
        let run = || bailiwick.run().option("--project").option(repository.url());
        let dry = || run().option("--dry-run").script("true").success().stdout;
        let before = dry();
        assert!(before.contains("the image is not built yet"), "{before}");
        assert!(!before.contains("/workspace/app"), "{before}");
        run().script("true").success();
        let after = dry();
        assert!(after.contains("overlay    /workspace/app"), "{after}");
    }
}

#[test]
fn runs_that_begin_at_once_build_the_project_once() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let repository = GitRepository::new("app");
        let commit = repository.write("file", "one").commit("first");
        let project = format!(
            "{{repository: '{}', setup: ['sleep 1; cat /proc/sys/kernel/random/uuid > built']}}",
            repository.url()
        );
        let mut children: Vec<_> = (0..4)
            .map(|_| run(bailiwick, &project).start(["sh", "-c", "cat built; git rev-parse HEAD"]))
            .collect();
        let told: Vec<String> = children
            .iter_mut()
            .map(|child| {
                assert_eq!(child.wait(PATIENCE), 0, "{}", child.complained());
                child.printed()
            })
            .collect();
        assert!(told[0].ends_with(&format!("{commit}\n")), "{told:?}");
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    }
}

#[test]
fn a_work_directory_beside_a_project_is_refused() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let run = bailiwick
            .run()
            .option("--project")
            .option("file:///srv/app");
        let outcome = run.option("--workdir").option(".").script("true").exits(2);
        assert!(
            outcome
                .stderr
                .contains("at /workspace/app: leave out --workdir"),
            "{outcome:#?}"
        );
    }
}
