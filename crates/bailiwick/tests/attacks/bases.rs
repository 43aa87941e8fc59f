//! Archives and images that mean harm: what they try when they are unpacked, and what they try when the host looks into them later.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bailiwick_testkit::{
    Bailiwick, Child, LeakCheck, OciRegistry, Outcome, eventually, root_archive,
};
use serde_json::{Value, json};

use crate::support::everyone;

const SECRET: &str = "root:x:0:0:secret of this host:/:/bin/false\n";

fn on(bailiwick: &Bailiwick, base: &str, script: &str) -> Outcome {
    bailiwick.run().option("--base").option(base).script(script)
}

fn unpacked(bailiwick: &Bailiwick, added: &Value, script: &str) -> Outcome {
    let archive = bailiwick.home().join("hostile.tar.gz");
    root_archive(&archive, added);
    on(bailiwick, &format!("tar:{}", archive.display()), script)
}

#[test]
fn an_archive_that_leads_out_of_its_root_is_refused() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        for entry in [
            json!({"name": "../escaped", "content": "x"}),
            json!({"name": "usr/../../../escaped", "content": "x"}),
            json!({"name": "etc/link", "hardlink": "../../../../../etc/hostname"}),
        ] {
            let outcome = unpacked(&bailiwick, &json!([entry]), "true");
            assert_eq!(outcome.code, 125, "{entry}: {outcome:#?}");
            assert!(
                outcome.stderr.contains("leads out of its root"),
                "{entry}: {outcome:#?}"
            );
        }
        let control = unpacked(
            &bailiwick,
            &json!([{"name": "etc/inside", "content": "x"}]),
            "cat /etc/inside",
        );
        assert_eq!(control.success().stdout, "x");
        let listed = bailiwick.execute(["image", "list"]).success();
        assert!(!listed.stdout.contains("escaped"), "{listed:#?}");
    }
}

#[test]
fn a_link_in_an_archive_leads_to_a_place_in_its_root() {
    let _leaks = LeakCheck::begin();
    let outside = tempfile::tempdir().expect("a directory");
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
    let target = outside.path().to_str().expect("text");
    for bailiwick in everyone() {
        let added = json!([
            {"name": "etc/away", "link": target},
            {"name": "etc/away/written", "content": "through a link"},
            {"name": "up", "link": "../../../../../../../.."},
            {"name": "up/etc/written-too", "content": "through another"},
        ]);
        let script = format!("cat {target}/written /etc/written-too 2>&1; readlink /etc/away");
        let outcome = unpacked(&bailiwick, &added, &script);
        // A link that leads nowhere is replaced by a directory of the root, or the unpacking fails: never is anything written out there.
        assert!(!outside.path().join("written").exists(), "{outcome:#?}");
        assert!(!Path::new("/etc/written-too").exists(), "{outcome:#?}");
        if outcome.code == 0 {
            assert!(outcome.stdout.contains("through another"), "{outcome:#?}");
        }
    }
}

#[test]
fn setuid_files_and_devices_of_a_base_are_harmless() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let added = json!([
            {"name": "bin/raise", "content": "#!/bin/sh\nid -u\n", "mode": 0o6755},
            {"name": "bin/null-device", "device": true, "mode": 0o666},
        ]);
        let outcome = unpacked(
            &bailiwick,
            &added,
            "stat -c %a /bin/raise; raise; ls /bin/null-device 2>/dev/null || echo none",
        );
        assert_eq!(outcome.success().stdout, "755\n1000\nnone\n");
    }
}

#[test]
fn what_the_host_reads_of_a_base_is_the_bases_own() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let secret = bailiwick.write(bailiwick.home().join("secret"), SECRET);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("permissions");
        let secret = secret.to_str().expect("text");
        let away = bailiwick.home();
        let away = away.to_str().expect("text");
        // The archive's own entries come first; these take their places.
        let added = json!([
            {"name": "etc/passwd", "link": secret},
            {"name": "etc/group", "link": secret},
            {"name": "etc/ssl/certs/ca-certificates.crt", "link": secret},
            {"name": "var/lib/dpkg", "link": away},
            {"name": "lib", "link": away},
            {"name": "opt", "link": away},
            {"name": "srv", "link": away},
        ]);
        let script = "cat /etc/passwd /etc/group; cat /etc/ssl/certs/* /etc/bailiwick/* 2>/dev/null; find / -name secret 2>/dev/null; echo end";
        for options in [&[][..], &["--root"]] {
            let archive = bailiwick.home().join("hostile.tar.gz");
            root_archive(&archive, &added);
            let mut run = bailiwick
                .run()
                .option("--base")
                .option(format!("tar:{}", archive.display()));
            for option in options {
                run = run.option(*option);
            }
            let outcome = run.script(script).success();
            assert!(outcome.stdout.ends_with("end\n"), "control: {outcome:#?}");
            assert!(
                outcome.stdout.contains("agent:x:1000"),
                "control: {outcome:#?}"
            );
            assert!(!outcome.stdout.contains("secret"), "{outcome:#?}");
        }
    }
}

#[test]
fn an_archive_that_is_replaced_after_its_digest_was_taken_is_not_kept() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let archive = bailiwick.home().join("swapped.tar");
        let file = bailiwick.write(
            bailiwick.home().join("plain.yaml"),
            "name: plain\nconfig: {type: cloud}\n",
        );
        root_archive(
            &archive,
            // Of this run alone: root's images are those of the machine, and one that is there is not built.
            &json!([
                {"name": "etc/marker", "content": "the-good-one"},
                {"name": "etc/run", "content": std::process::id().to_string()},
            ]),
        );
        let good = fs::read(&archive).expect("the archive");
        let at = good
            .windows(12)
            .position(|w| w == b"the-good-one")
            .expect("the marker");
        let mut evil = good.clone();
        evil[at..at + 12].copy_from_slice(b"the-evil-one");
        let base = format!("tar:{}", archive.display());
        let mut command = bailiwick.command(["image", "build", "--base", &base, "-f"]);
        let mut build = Child::start(command.arg(&file));
        // As soon as the build says that it has begun, the digest was taken.
        eventually("the build begins", Duration::from_secs(60), || {
            build.complained().contains("installing").then_some(())
        });
        overwrite(&archive, &evil);
        let code = build.wait(Duration::from_secs(60));
        let said = build.complained();
        assert!(
            code == 0 || code == 125 && said.contains("the archive changed"),
            "{code}: {said}"
        );
        overwrite(&archive, &good);
        let outcome = on(&bailiwick, &base, "cat /etc/marker").success();
        assert_eq!(outcome.stdout, "the-good-one");
    }
}

/// In place, as somebody would who may write the file and not its directory.
fn overwrite(file: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(file)
        .expect("the archive");
    file.write_all(bytes).expect("it is written");
}

#[test]
fn a_directory_that_shows_more_than_a_system_is_no_base() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let home = bailiwick.home();
        let root = home.join("root");
        fs::create_dir_all(root.join("opt")).expect("a directory");
        let listener =
            std::os::unix::net::UnixListener::bind(root.join("opt/agent.sock")).expect("a socket");
        let (home, root) = (home.display().to_string(), root.display().to_string());
        let state = bailiwick.images().display().to_string();
        // Something was built, so it is there.
        unpacked(&bailiwick, &json!([]), "true").success();
        for (directory, why) in [
            ("/", "the root directory of this host"),
            ("/home", "home directory"),
            (&home, "home directory"),
            (&root, "is a unix socket of this host"),
            (&state, "Bailiwick's own state"),
        ] {
            let outcome = on(&bailiwick, &format!("dir:{directory}"), "true");
            assert_eq!(outcome.code, 2, "{directory}: {outcome:#?}");
            assert!(outcome.stderr.contains(why), "{directory}: {outcome:#?}");
        }
        drop(listener);
        fs::remove_file(format!("{root}/opt/agent.sock")).expect("it goes");
        // The control: nothing is wrong with it but that it has no programs.
        let outcome = on(&bailiwick, &format!("dir:{root}"), "true");
        assert_eq!(outcome.code, 127, "{outcome:#?}");
    }
}

#[test]
fn a_layer_that_is_not_what_its_digest_says_is_never_used() {
    let _leaks = LeakCheck::begin();
    let registry = OciRegistry::start();
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root.tar.gz");
    root_archive(&root, &json!([]));
    registry.push("team/base:1", &[&root]);
    let base = format!("oci:{}", registry.reference("team/base:1"));
    for bailiwick in everyone() {
        let control = on(&bailiwick, &base, "cat /etc/base-name").success();
        assert_eq!(control.stdout, "a base of one program\n");
    }
    let hostile = directory.path().join("hostile.tar.gz");
    root_archive(&hostile, &json!([{"name": "etc/hostile", "content": "x"}]));
    registry.push("team/other:1", &[&hostile]);
    let (small, large) = (
        fs::read(&root).expect("a file"),
        fs::read(&hostile).expect("a file"),
    );
    for blob in registry.blobs() {
        if fs::read(&blob).expect("a blob") == large {
            fs::write(&blob, &small).expect("a blob");
        }
    }
    let base = format!("oci:{}", registry.reference("team/other:1"));
    for bailiwick in everyone() {
        let outcome = on(&bailiwick, &base, "touch started");
        assert_eq!(outcome.code, 125, "{outcome:#?}");
        assert!(!bailiwick.workspace().join("started").exists());
    }
}

#[test]
fn a_base_reaches_nothing_but_its_registry_while_it_is_pulled() {
    let _leaks = LeakCheck::begin();
    let registry = OciRegistry::start();
    // A reference that names another service of this machine asks that one, and no redirect leads elsewhere.
    let elsewhere = bailiwick_testkit::HttpServer::start();
    for bailiwick in everyone() {
        for base in [
            format!("oci:localhost:{}/team/nothing:1", registry.port()),
            "oci:--insecure/x:1".to_owned(),
            "oci:localhost:1/x;id:1".to_owned(),
        ] {
            let outcome = on(&bailiwick, &base, "touch started");
            assert!(matches!(outcome.code, 2 | 125), "{base}: {outcome:#?}");
            assert!(!bailiwick.workspace().join("started").exists());
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}
