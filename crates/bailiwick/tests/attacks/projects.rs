//! Repositories that mean harm, and set-ups that reach for what is not theirs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Child, GitRepository, HttpServer, LeakCheck, Outcome, Run};

use crate::support::everyone;

/// A set-up, on a slow day.
const PATIENCE: Duration = Duration::from_secs(120);

fn project<'a>(bailiwick: &'a Bailiwick, repository: &GitRepository) -> Run<'a> {
    let run = bailiwick.run().option("--project").option(repository.url());
    run.patience(PATIENCE)
}

/// A run of a project with a set-up, in an environment that reaches nothing.
fn with_setup<'a>(bailiwick: &'a Bailiwick, repository: &GitRepository, setup: &[&str]) -> Run<'a> {
    let setup = serde_json::to_string(setup).expect("JSON, which is YAML");
    let text = format!(
        "name: hostile\nconfig:\n  type: cloud\n  networking: {{type: limited}}\n  project: {{repository: '{}', setup: {setup}}}\n",
        repository.url()
    );
    bailiwick.run().environment(&text).patience(PATIENCE)
}

/// Makes a tree of these entries (mode, kind, object, name), whatever git thinks of their names.
fn tree(repository: &GitRepository, entries: &[(&str, &str, &str)]) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut bytes = Vec::new();
    for (mode, object, name) in entries {
        bytes.extend(format!("{mode} {name}\0").as_bytes());
        let digit = |at| u8::from_str_radix(&object[at..at + 2], 16).expect("hexadecimal");
        bytes.extend((0..object.len()).step_by(2).map(digit));
    }
    let mut git = repository.command();
    git.args(["hash-object", "-t", "tree", "--literally", "-w", "--stdin"]);
    let mut child = git
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&bytes).expect("git reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn blob(repository: &GitRepository, content: &str) -> String {
    repository.write("blob.tmp", content);
    let hash = repository.git(["hash-object", "-w", "blob.tmp"]);
    std::fs::remove_file(repository.path().join("blob.tmp")).expect("a file");
    hash
}

/// Makes a commit of this tree the head of `main`.
fn head_is(repository: &GitRepository, tree: &str) {
    let commit = repository.git(["commit-tree", "-m", "crafted", tree]);
    repository.git(["update-ref", "refs/heads/main", &commit]);
}

#[track_caller]
fn is_refused(outcome: Outcome, because: &[&str]) {
    let outcome = outcome.exits(125);
    assert!(
        because.iter().any(|reason| outcome.stderr.contains(reason)),
        "{outcome:#?}"
    );
}

#[test]
fn a_repository_with_names_that_git_must_not_check_out_is_refused() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        for (mode, name) in [
            ("120000", ".git"),
            ("120000", ".GIT"),
            ("100644", ".git"),
            ("40000", ".."),
            ("40000", "."),
            ("100644", "a/../../b"),
        ] {
            let repository = GitRepository::new("app");
            let content = blob(&repository, "../../../etc");
            let inner = tree(&repository, &[("100644", &content, "file")]);
            let object = if mode == "40000" { &inner } else { &content };
            head_is(&repository, &tree(&repository, &[(mode, object, name)]));
            let outcome = project(&bailiwick, &repository).script("ls -lA; echo started");
            assert!(!outcome.stdout.contains("started"), "{name}: {outcome:#?}");
            is_refused(outcome, &["could not be fetched"]);
            // The control: the same under another name.
            head_is(&repository, &tree(&repository, &[(mode, object, "fine")]));
            let outcome = project(&bailiwick, &repository).script("ls").success();
            assert_eq!(outcome.stdout, "fine\n");
        }
    }
}

#[test]
fn a_link_that_leads_out_leads_to_nothing_of_the_host() {
    for bailiwick in everyone() {
        let secret = bailiwick.write(bailiwick.home().join("secret"), "the host's secret");
        let repository = GitRepository::new("app");
        for (link, target) in [
            ("absolute", secret.as_path()),
            ("upwards", Path::new("../../../../../../../../etc/shadow")),
            ("directory", bailiwick.home().as_path()),
        ] {
            std::os::unix::fs::symlink(target, repository.path().join(link)).expect("a link");
        }
        repository.write("file", "x").commit("links");
        let setup = [
            "echo overwritten > absolute || true; echo x > directory/planted || true; cat upwards > /workspace/app/shadow || true",
        ];
        let script =
            "cat absolute directory/secret 2>&1; cat file; ls -l | grep -c ' -> '; cat shadow";
        let outcome = with_setup(&bailiwick, &repository, &setup).script(script);
        assert!(
            !outcome.stdout.contains("the host's secret"),
            "{outcome:#?}"
        );
        assert!(outcome.stdout.contains("x3\n"), "the control: {outcome:#?}");
        let hashes = std::fs::read_to_string("/etc/shadow").unwrap_or_default();
        for line in hashes.lines() {
            assert!(!outcome.stdout.contains(line), "{outcome:#?}");
        }
        let content = std::fs::read_to_string(&secret).expect("a file");
        assert_eq!(content, "the host's secret");
        assert!(!bailiwick.home().join("planted").exists());
    }
}

#[test]
fn filters_hooks_and_configuration_of_a_repository_do_nothing() {
    for bailiwick in everyone() {
        let repository = GitRepository::new("app");
        let evil = "sh -c 'cat > /dev/null; echo REPLACED'";
        repository
            .write(".gitattributes", "* filter=evil\n*.c ident\n")
            .write(
                ".gitconfig",
                format!("[filter \"evil\"]\n\tsmudge = \"{evil}\"\n"),
            )
            .write("hooks/post-checkout", "#!/bin/sh\necho HOOK > hooked\n")
            .write("file", "content\n");
        let hook = repository.path().join("hooks/post-checkout");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&hook, executable).expect("permissions");
        repository.commit("first");
        // A repository of this machine has a configuration of its own, which others wrote.
        let own = repository.path().join(".git/hooks");
        std::fs::create_dir_all(&own).expect("a directory");
        for name in [
            "post-checkout",
            "pre-receive",
            "reference-transaction",
            "post-index-change",
        ] {
            std::fs::copy(&hook, own.join(name)).expect("a file");
        }
        for (key, value) in [
            ("filter.evil.smudge", evil),
            ("filter.evil.clean", "cat"),
            ("filter.evil.required", "true"),
            ("core.fsmonitor", "touch hooked"),
            ("core.hooksPath", "hooks"),
            ("core.sshCommand", "touch hooked"),
            ("uploadpack.packObjectsHook", "touch hooked"),
            ("include.path", "../.gitconfig"),
        ] {
            repository.git(["config", key, value]);
        }
        let script = "cat file; ls; ls .git; git config --list --local | grep -c evil";
        let outcome = project(&bailiwick, &repository).script(script);
        assert!(
            outcome.stdout.starts_with("content\nfile\nhooks\n"),
            "{outcome:#?}"
        );
        assert!(outcome.stdout.ends_with("0\n"), "{outcome:#?}");
        for word in ["REPLACED", "hooked"] {
            assert!(!outcome.stdout.contains(word), "{outcome:#?}");
        }
        // The control: git of the host, in the repository itself.
        std::fs::remove_file(repository.path().join("file")).expect("a file");
        repository.git(["checkout", "--quiet", "--", "file"]);
        let replaced = std::fs::read_to_string(repository.path().join("file")).expect("a file");
        assert_eq!(replaced, "REPLACED\n");
        assert!(repository.path().join("hooked").exists());
    }
}

#[test]
fn submodules_are_not_followed_wherever_they_lead() {
    for bailiwick in everyone() {
        let private = GitRepository::new("private");
        private
            .write("secret", "of another repository")
            .commit("first");
        let repository = GitRepository::new("app");
        repository.write("file", "x").commit("first");
        let marker = bailiwick.home().join("marker");
        let program = format!("ext::sh -c touch% {}", marker.display());
        let local = private.url();
        let modules = [("one", program.as_str()), ("two", local.as_str())];
        let mut text = String::new();
        for (name, url) in modules {
            text += &format!(
                "[submodule \"{name}\"]\n\tpath = {name}\n\turl = {url}\n\tupdate = checkout\n"
            );
            let commit = private.git(["rev-parse", "HEAD"]);
            let entry = format!("160000,{commit},{name}");
            repository.git(["update-index", "--add", "--cacheinfo", &entry]);
        }
        repository
            .write(".gitmodules", text)
            .git(["add", ".gitmodules"]);
        repository.git(["commit", "--quiet", "-m", "submodules"]);
        let setup = ["git submodule update --init --recursive || true"];
        let outcome = with_setup(&bailiwick, &repository, &setup).script("find . -name secret; ls");
        let outcome = outcome.success();
        assert_eq!(outcome.stdout, "file\none\ntwo\n", "{outcome:#?}");
        assert!(!marker.exists());
        // The control: git of the host, told to follow them.
        let target = bailiwick.home().join("clone");
        let mut git = repository.command();
        git.args([
            "-c",
            "protocol.allow=always",
            "clone",
            "--quiet",
            "--recurse-submodules",
        ]);
        let _ = git
            .arg(repository.path())
            .arg(&target)
            .output()
            .expect("git");
        let allowed = |name: &str| target.join(name).exists();
        assert!(marker.exists() || allowed("two/secret"), "the control");
    }
}

#[test]
fn a_repository_that_borrows_from_another_directory_of_the_host_gets_nothing() {
    for bailiwick in everyone() {
        let private = GitRepository::new("private");
        let commit = private
            .write("secret", "of another repository")
            .commit("first");
        let repository = GitRepository::new("app");
        repository.write("file", "x").commit("first");
        let objects = private.path().join(".git/objects");
        let file = ".git/objects/info/alternates";
        repository.write(file, format!("{}\n", objects.display()));
        repository.git(["update-ref", "refs/heads/main", &commit]);
        // The control: git of the host reads it.
        assert_eq!(
            repository.git(["show", "main:secret"]),
            "of another repository"
        );
        let outcome = project(&bailiwick, &repository).script("cat secret");
        assert!(!outcome.stdout.contains("another"), "{outcome:#?}");
        is_refused(outcome, &["could not be fetched"]);
    }
}

/// What git could take for something else than a repository.
const REPOSITORIES: &[&str] = &[
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=x",
    "ext::sh -c id",
    "fd::3",
    "file:///srv/a?b",
    "file://relative/path",
    "file:///srv/../etc",
    "ssh://-oProxyCommand=x/y",
    "ssh://git@-oProxyCommand=x/y",
    "git@-oProxyCommand=x:y",
    "git@host.example.com:-x",
    "ssh://-l@host.example.com/y",
    "ssh://git@host.example.com:22x/y",
    "https://user:secret@host.example.com/y",
    "https://host.example.com/a%0ab",
    "https://host.example.com/%2e%2e/b",
    "https://host.example.com",
    "http://host.example.com/y",
    "git://host.example.com/y",
    "/srv/app",
    "./app",
    "https://host.example.com/a b",
    "https://host.example.com/$(id)",
    "https://host.example.com/a\u{202e}b",
];

/// What it could take for something else than a ref.
const REFS: &[&str] = &[
    "--upload-pack=x",
    "-x",
    "a..b",
    "a b",
    "a:b",
    "a^{commit}",
    "@{u}",
    "",
    "a.lock",
    "../x",
    "a\u{1b}b",
];

#[test]
fn what_git_could_take_for_an_option_or_a_program_is_refused_before_anything_runs() {
    for bailiwick in everyone() {
        let good = GitRepository::new("app");
        good.write("file", "x").commit("first");
        let texts = REPOSITORIES.iter().map(|text| (*text).to_owned());
        let with_ref = REFS.iter().map(|name| format!("{}#{name}", good.url()));
        for text in texts.chain(with_ref) {
            let option = format!("--project={text}");
            let outcome = bailiwick.run().option(option).script("echo started");
            assert_eq!(outcome.code, 2, "{text}: {outcome:#?}");
        }
        for (field, value) in [
            ("repository", REPOSITORIES[0]),
            ("ref", REFS[0]),
            ("name", "../x"),
            ("name", ".git"),
        ] {
            let mut fields = vec![("repository", good.url()), (field, value.to_owned())];
            if field == "repository" {
                fields.remove(0);
            }
            let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}: {v:?}")).collect();
            let text = format!(
                "name: x\nconfig: {{type: cloud, project: {{{}}}}}\n",
                fields.join(", ")
            );
            let outcome = bailiwick
                .run()
                .environment(&text)
                .script("echo started")
                .exits(2);
            let place = format!("config.project.{field}");
            assert!(outcome.stderr.contains(&place), "{place}: {outcome:#?}");
        }
        project(&bailiwick, &good).script("cat file").success();
    }
}

#[test]
fn a_set_up_reaches_registries_alone_and_sees_neither_the_host_nor_the_mirror() {
    let mut leaks = LeakCheck::begin();
    let (production, registry) = (HttpServer::start(), HttpServer::start());
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        bailiwick.write("secret", "secret");
        let repository = GitRepository::new("app");
        repository.write("file", "x").commit("first");
        let port = registry.address().port();
        let setup = [
            &format!("curl -sS http://host.internal:{port}/control > control"),
            "curl -sS --max-time 5 https://api.production.example.com/ > name 2>&1 || true",
            &format!(
                "curl -sS --max-time 5 http://host.internal:{}/ > service 2>&1 || true",
                production.address().port()
            ),
            &format!(
                "curl -sS --max-time 5 http://{}/ > loopback 2>&1 || true",
                production.address()
            ),
            "curl -sS --max-time 5 http://169.254.169.254/ > metadata 2>&1 || true",
            &format!(
                "ls -d /repository /source /bailiwick {} {} > seen 2>/dev/null || true",
                bailiwick.workspace().display(),
                repository.path().display()
            ),
            "ls -A /workspace > workspace; env > variables",
        ];
        let run = with_setup(&bailiwick, &repository, &setup)
            .option("--registry")
            .option(format!("npm=http://host.internal:{port}/"))
            .host_variable("HOST_SECRET", "secret");
        let script = "wc -c < control; cat seen workspace; grep -c HOST_SECRET variables; cat name service loopback metadata";
        let outcome = run.script(script).success();
        let mut lines = outcome.stdout.lines();
        let control: usize = lines
            .next()
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(0);
        assert!(control > 0, "the control: {outcome:#?}");
        assert_eq!(lines.next(), Some("app"), "{outcome:#?}");
        assert_eq!(lines.next(), Some("0"), "{outcome:#?}");
        let listed = bailiwick
            .execute(["image", "list", "--format", "json"])
            .success();
        let layers: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).expect("JSON");
        let own = layers
            .iter()
            .find(|layer| layer["layer"]["inputs"]["content"]["repository"] == repository.url());
        let key = own
            .and_then(|layer| layer["key"].as_str())
            .expect("a layer");
        let log = bailiwick.execute(["image", "log", key]).success().stdout;
        for denied in ["api.production.example.com", "169.254.169.254"] {
            assert!(
                log.contains(&format!("bailiwick: denied {denied}")),
                "{log}"
            );
        }
    }
    assert_eq!(production.connections(), 0);
    assert!(registry.connections() > 0);
}

#[test]
fn a_sandbox_of_one_project_sees_nothing_of_another() {
    for bailiwick in everyone() {
        let names = ["alpha", "omega"];
        let repositories = names.map(|name| {
            let repository = GitRepository::new(name);
            repository
                .write(&format!("only-in-{name}"), name)
                .commit("first");
            repository
        });
        let search = "find / -xdev -name 'only-in-*' 2>/dev/null; find / -name 'only-in-*' -not -path '/proc/*' 2>/dev/null | sort -u; ls /workspace";
        for (repository, name) in repositories.iter().zip(names) {
            let setup = [
                &*format!("echo {name} > /usr/local/only-in-{name}; ({search}) > found"),
                "true",
            ];
            let outcome = with_setup(&bailiwick, repository, &setup);
            let outcome = outcome.script(&format!("{search}; cat found")).success();
            let other = if name == names[0] { names[1] } else { names[0] };
            let own = format!("/workspace/{name}/only-in-{name}\n");
            assert!(outcome.stdout.contains(&own), "the control: {outcome:#?}");
            assert!(!outcome.stdout.contains(other), "{outcome:#?}");
        }
    }
}

#[test]
fn a_tree_without_end_is_refused_and_does_not_fill_the_disk() {
    for bailiwick in everyone() {
        let repository = GitRepository::new("app");
        let mut object = blob(&repository, "x");
        let mut mode = "100644";
        // Ten to the ninth files of one byte, in nine objects.
        for _ in 0..9 {
            let names: Vec<_> = (0..10).map(|n| format!("n{n}")).collect();
            let entries: Vec<_> = names.iter().map(|name| (mode, &*object, &**name)).collect();
            object = tree(&repository, &entries);
            mode = "40000";
        }
        let small = tree(&repository, &[("100644", &blob(&repository, "x"), "file")]);
        head_is(&repository, &object);
        let outcome = project(&bailiwick, &repository).script("echo started");
        assert!(!outcome.stdout.contains("started"), "{outcome:#?}");
        is_refused(outcome, &["the project has more than 1000000 files"]);
        head_is(&repository, &small);
        let outcome = project(&bailiwick, &repository)
            .script("cat file")
            .success();
        assert_eq!(outcome.stdout, "x", "the control");
    }
}

#[test]
fn a_fetch_that_is_killed_at_any_moment_leaves_a_mirror_that_can_be_used() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        let repository = GitRepository::new("app");
        let noise: String = (0..400_000)
            .map(|n: u32| n.wrapping_mul(2_654_435_761).to_string() + "\n")
            .collect();
        let mut expected = repository.write("large", &noise).commit("first");
        for number in 0..12 {
            let file = format!("file-{number}");
            expected = repository
                .write(&file, format!("{noise}{number}"))
                .commit(&file);
            let url = repository.url();
            let mut command: Command =
                bailiwick.command(["image", "build", "-q", "--project", &url]);
            let build = Child::start(&mut command);
            std::thread::sleep(Duration::from_millis(15) * number);
            build.signal(rustix::process::Signal::KILL);
            drop(build);
        }
        let outcome = project(&bailiwick, &repository)
            .script("git rev-parse HEAD; git fsck 2>&1; git status --porcelain");
        assert_eq!(outcome.success().stdout.trim(), expected);
    }
}

#[test]
fn a_damaged_mirror_is_thrown_away_and_made_anew() {
    for bailiwick in everyone() {
        let repository = GitRepository::new("app");
        repository.write("file", "one").commit("first");
        project(&bailiwick, &repository)
            .script("cat file")
            .success();
        let store = bailiwick.sandboxes().with_file_name("images/repositories");
        let mirrors = std::fs::read_dir(&store).expect("the mirrors");
        let own = mirrors.flatten().map(|entry| entry.path()).find(|mirror| {
            let log = std::fs::read_to_string(mirror.join("log"));
            log.is_ok_and(|log| log.contains(&repository.url()))
        });
        let mirror = own.expect("a mirror").join("tree/repository");
        let url = format!("file://{}", mirror.display());
        let clone = bailiwick.run().option("--project").option(url);
        is_refused(clone.script("true"), &["Bailiwick's own state"]);
        let objects = mirror.join("objects");
        std::fs::remove_dir_all(&objects).expect("it can be damaged");
        let second = repository.write("file", "two").commit("second");
        let outcome = project(&bailiwick, &repository).script("git rev-parse HEAD; cat file");
        assert_eq!(outcome.success().stdout, format!("{second}\ntwo"));
    }
}
