//! What sandboxes stand on besides this machine's own programs: archives, images of a real registry, directories, Debian releases.

use std::time::Duration;

use bailiwick_testkit::{Bailiwick, OciRegistry, Outcome, root_archive};
use serde_json::{Value, json};

use crate::support::{everyone, on_host};

/// A Debian release is downloaded and put together.
const PATIENCE: Duration = Duration::from_secs(300);

fn on(bailiwick: &Bailiwick, base: &str, script: &str) -> Outcome {
    bailiwick
        .run()
        .option("--base")
        .option(base)
        .patience(PATIENCE)
        .script(script)
}

#[test]
fn an_archive_is_unpacked_once_and_another_one_by_its_name_is_another_base() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for (name, file) in [
            ("one", "root.tar"),
            ("two", "root.tar"),
            ("one", "root.tar.gz"),
        ] {
            let archive = bailiwick.home().join(file);
            root_archive(
                &archive,
                &json!([{"name": "etc/edition", "content": name, "mode": 0o644}]),
            );
            let base = format!("tar:{}", archive.display());
            let script = "cat /etc/edition; echo; id -u; ls /usr/bin/env 2>/dev/null || echo 'nothing of the host'; touch /bin/x 2>/dev/null || echo read-only";
            let outcome = on(bailiwick, &base, script).success();
            assert_eq!(
                outcome.stdout,
                format!("{name}\n1000\nnothing of the host\nread-only\n"),
                "{outcome:#?}"
            );
            let again = on(bailiwick, &base, "cat /etc/base-name").success();
            assert_eq!(again.stdout, "a base of one program\n");
            assert!(!again.stderr.contains("installing"), "{again:#?}");
        }
        let missing = on(bailiwick, "tar:/no/such/archive", "true");
        assert_eq!(missing.code, 125, "{missing:#?}");
        assert!(missing.stderr.contains("/no/such/archive"), "{missing:#?}");
    }
}

#[test]
fn a_manager_that_a_base_lacks_and_cannot_get_is_named() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let archive = bailiwick.home().join("root.tar");
        root_archive(&archive, &json!([]));
        let outcome = bailiwick
            .run()
            .environment(
                "name: bare\nconfig:\n  type: cloud\n  networking: {type: limited, allow_package_managers: true}\n  packages: {npm: [tsx]}\n",
            )
            .option("--base")
            .option(format!("tar:{}", archive.display()))
            .patience(PATIENCE)
            .script("touch started");
        assert_eq!(outcome.code, 125, "{outcome:#?}");
        assert!(
            outcome.stderr.contains("this base has no npm"),
            "{outcome:#?}"
        );
        assert!(!bailiwick.workspace().join("started").exists());
    }
}

#[test]
fn an_image_is_pulled_from_a_registry_by_name_and_kept_by_digest() {
    let (_leaks, all) = everyone();
    let registry = OciRegistry::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (root, first, second) = (path("root.tar.gz"), path("1.tar.gz"), path("2.tar.gz"));
    root_archive(
        &root,
        &json!([{"name": "etc/gone", "content": ""}, {"name": "srv/old/file", "content": ""}]),
    );
    let above = |edition: &str| {
        json!([{"bare": true},
            {"name": "etc/edition", "content": edition, "mode": 0o644},
            {"name": "etc/.wh.gone", "content": ""},
            {"name": "srv/old/.wh..wh..opq", "content": ""},
            {"name": "srv/old/new", "content": ""}])
    };
    root_archive(&first, &above("first"));
    root_archive(&second, &above("second"));
    let script =
        "cat /etc/edition /etc/base-name; echo; ls /etc/gone 2>/dev/null || echo gone; ls /srv/old";
    let shown = |edition: &str| format!("{edition}a base of one program\n\ngone\nnew\n");
    for bailiwick in &all {
        let digest = registry.push("team/base:1", &[&root, &first]);
        let base = format!("oci:{}", registry.reference("team/base:1"));
        let outcome = on(bailiwick, &base, script).success();
        assert_eq!(outcome.stdout, shown("first"), "{outcome:#?}");
        // The tag moves, and only a refresh follows it.
        registry.push("team/base:1", &[&root, &second]);
        let kept = on(bailiwick, &base, script).success();
        assert_eq!(kept.stdout, shown("first"), "{kept:#?}");
        let file = bailiwick.write(
            bailiwick.home().join("plain.yaml"),
            "name: plain\nconfig: {type: cloud}\n",
        );
        let refresh = ["image", "refresh", "--base", &base, "-f"].map(str::to_owned);
        let file = file.to_str().expect("text").to_owned();
        bailiwick
            .execute(refresh.into_iter().chain([file]))
            .success();
        let fresh = on(bailiwick, &base, script).success();
        assert_eq!(fresh.stdout, shown("second"), "{fresh:#?}");
        // By digest it is the same for ever.
        let pinned = format!("oci:localhost:{}/team/base@{digest}", registry.port());
        let pinned = on(bailiwick, &pinned, script).success();
        assert_eq!(pinned.stdout, shown("first"), "{pinned:#?}");
    }
}

/// What lies over the base of one program in an edition of it: a `go` whose only module has the edition as its version.
fn with_go(edition: &str, works: bool) -> Value {
    let install = if works {
        "cp /etc/edition $GOBIN/words"
    } else {
        "echo 'error: no such module' >&2; exit 1"
    };
    let module =
        r"printf '\tpath\texample.com/words\n\tmod\texample.com/words\t%s\n' $(cat /etc/edition)";
    let go = format!("#!/bin/sh\ncase $1 in install) {install} ;; version) {module} ;; esac\n");
    let mut entries = vec![
        json!({"bare": true}),
        json!({"name": "etc/edition", "content": edition, "mode": 0o644}),
        json!({"name": "usr/bin/go", "content": go}),
        json!({"name": "usr/local", "directory": true}),
        json!({"name": "usr/local/bin", "directory": true}),
    ];
    let of_busybox = ["awk", "cp", "mkdir", "sort"];
    entries
        .extend(of_busybox.map(|name| json!({"name": format!("bin/{name}"), "link": "busybox"})));
    entries.into()
}

#[test]
fn a_refresh_that_fails_leaves_the_base_what_it_was_and_one_that_succeeds_tells_what_changed() {
    const ENVIRONMENT: &str =
        "name: words\nconfig:\n  type: cloud\n  packages: {go: [example.com/words]}\n";
    let (_leaks, all) = everyone();
    let registry = OciRegistry::start();
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root.tar.gz");
    root_archive(&root, &json!([]));
    let push = |edition: &str, works: bool| {
        let above = directory.path().join("above.tar.gz");
        root_archive(&above, &with_go(edition, works));
        registry.push("team/words:1", &[&root, &above])
    };
    let base = format!("oci:{}", registry.reference("team/words:1"));
    for bailiwick in &all {
        let file = bailiwick.write(bailiwick.home().join("words.yaml"), ENVIRONMENT);
        let file = file.to_str().expect("text");
        let image = |command: &str| {
            bailiwick.execute([
                "image", command, "--format", "json", "--base", &base, "-f", file,
            ])
        };
        let refresh = || bailiwick.execute(["image", "refresh", "--base", &base, "-f", file]);
        let run = || {
            let run = bailiwick.run().environment(ENVIRONMENT);
            let run = run.option("--base").option(&base).patience(PATIENCE);
            run.script("cat /usr/local/bin/words; echo; cat /etc/edition")
        };
        push("1", true);
        assert_eq!(run().success().stdout, "1\n1");
        let built = image("build").success();

        push("2", false);
        let failed = refresh();
        assert_eq!(failed.code, 125, "{failed:#?}");
        assert!(failed.stderr.contains("no such module"), "{failed:#?}");
        let kept = run().success();
        assert_eq!(kept.stdout, "1\n1", "{kept:#?}");
        assert!(!kept.stderr.contains("installing"), "{kept:#?}");
        assert_eq!(image("build").success().stdout, built.stdout);

        push("3", true);
        let refreshed = refresh().success();
        assert!(
            refreshed
                .stdout
                .starts_with("go     example.com/words 1 -> 3\n"),
            "{refreshed:#?}"
        );
        assert_eq!(run().success().stdout, "3\n3");
        // What was replaced is gone.
        let layers: Value = serde_json::from_str(&built.stdout).expect("JSON");
        let layers = layers["layers"].as_array().expect("keys");
        assert_eq!(layers.len(), 2);
        for key in layers {
            let gone = bailiwick.execute(["image", "show", key.as_str().expect("a key")]);
            assert_eq!(gone.code, 125, "{gone:#?}");
        }
    }
}

#[test]
fn a_program_that_keeps_passwords_for_docker_is_not_executed() {
    let (_leaks, all) = everyone();
    let registry = OciRegistry::start();
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root.tar.gz");
    root_archive(&root, &json!([]));
    for (number, bailiwick) in all.iter().enumerate() {
        // An image that is not there yet for any of them.
        let name = format!("public/base:{number}");
        registry.push(&name, &[&root]);
        let base = format!("oci:{}", registry.reference(&name));
        let programs = bailiwick.home().join("bin");
        let program = bailiwick.write(
            programs.join("docker-credential-x"),
            "#!/bin/sh\necho executed > ~/mark\necho '{\"Username\": \"a\", \"Secret\": \"b\"}'\n",
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("permissions");
        let config = bailiwick.home().join(".docker/config.json");
        bailiwick.write(&config, json!({"credsStore": "x"}).to_string());
        let run = || {
            let run = bailiwick.run().option("--base").option(&base);
            let path = format!("{}:/usr/bin:/bin", programs.display());
            run.host_variable("PATH", path).script("cat /etc/base-name")
        };
        let outcome = run().success();
        assert_eq!(outcome.stdout, "a base of one program\n");
        let told = outcome.stderr.matches("BAILIWICK_REGISTRY_PASSWORD");
        assert_eq!(told.count(), 1, "{outcome:#?}");
        let mark = bailiwick.home().join("mark");
        assert!(!mark.exists(), "it was executed");
        // What is there already takes no login: not even one that cannot be read.
        bailiwick.write(&config, "{");
        let again = run().success();
        assert!(!again.stderr.contains("BAILIWICK_REGISTRY"), "{again:#?}");
        // The control: the program would have left a mark.
        let home = bailiwick.home().display().to_string();
        on_host(&format!("HOME={home} {}", program.display()));
        assert!(mark.exists());
    }
}

#[test]
fn a_layer_with_more_behind_its_end_than_a_pipe_holds_is_pulled_whole() {
    let (_leaks, all) = everyone();
    let registry = OciRegistry::start();
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root.tar");
    // Of this run alone: root's images are those of the machine, and one that is there is not pulled.
    let run = std::process::id().to_string();
    root_archive(&root, &json!([{"name": "etc/run", "content": run}]));
    // An archive ends with two blocks of zeros, and what writes one may add as many as it likes.
    let mut bytes = std::fs::read(&root).expect("the archive");
    bytes.resize(bytes.len() + (8 << 20), 0);
    std::fs::write(&root, bytes).expect("a longer one");
    registry.push("padded/base:1", &[&root]);
    let base = format!("oci:host.internal:{}/padded/base:1", registry.port());
    for bailiwick in &all {
        let outcome = on(bailiwick, &base, "cat /etc/base-name").success();
        assert_eq!(outcome.stdout, "a base of one program\n", "{outcome:#?}");
    }
}

#[test]
fn a_registry_that_asks_who_pulls_is_told_what_dockers_configuration_says() {
    let (_leaks, all) = everyone();
    let registry = OciRegistry::start_with_login();
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root.tar.gz");
    root_archive(&root, &json!([]));
    registry.push("private/base:1", &[&root]);
    let base = format!("oci:{}", registry.reference("private/base:1"));
    for bailiwick in &all {
        let refused = on(bailiwick, &base, "true");
        assert_eq!(refused.code, 125, "{refused:#?}");
        // "puller:secret", base64 as docker keeps it (RFC 7617).
        let config = json!({"auths": {format!("localhost:{}", registry.port()): {"auth": "cHVsbGVyOnNlY3JldA=="}}});
        bailiwick.write(
            bailiwick.home().join(".docker/config.json"),
            config.to_string(),
        );
        let outcome = on(bailiwick, &base, "cat /etc/base-name; env").success();
        assert!(
            outcome.stdout.starts_with("a base of one program\n"),
            "{outcome:#?}"
        );
        assert!(!outcome.stdout.contains("secret"), "{outcome:#?}");
    }
}

#[test]
fn a_debian_release_has_its_own_packages_also_for_an_ordinary_user_with_subordinate_ids() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = bailiwick
            .run()
            .environment(
                "name: debian\nconfig:\n  type: cloud\n  networking: {type: limited, allow_package_managers: true}\n  packages: {apt: [hello, sudo]}\n",
            )
            .option("--base")
            .option("debian:bookworm")
            .patience(PATIENCE)
            .script("hello; stat -c '%A' /usr/bin/sudo; ls /usr/bin/npm 2>/dev/null || echo 'nothing of the host'");
        let user = bailiwick.user();
        if user.is_root() || user.has_subordinate_ids() {
            assert_eq!(
                outcome.success().stdout,
                "Hello, world!\n-rwxr-xr-x\nnothing of the host\n"
            );
        } else {
            assert_eq!(outcome.code, 125, "{outcome:#?}");
            assert!(outcome.stderr.contains("--add-subuids"), "{outcome:#?}");
        }
        // What belongs to subordinate ids goes away too. Root's store is that of the whole machine: what goes there, another test counts on.
        if !user.is_root() {
            bailiwick
                .execute(["image", "gc", "--unused-for", "1h", "--budget", "1KiB"])
                .success();
        }
    }
}
