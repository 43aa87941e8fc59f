//! Layers: what one sandbox writes with a draft, another one has.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_runtime::conformance::Harness;
use bailiwick_runtime::{
    Access, Draft, ExitStatus, Identity, LayerDigest, Mount, MountSource, Profile,
};

use crate::harness::{Local, shell};

const GRACE: std::time::Duration = std::time::Duration::from_millis(100);

/// Runs a script in a build on these layers, and makes a layer of what it wrote.
async fn build(local: &Local, below: &[LayerDigest], digit: char, script: &str) -> LayerDigest {
    let digest: LayerDigest = format!("sha256:{}", digit.to_string().repeat(64))
        .parse()
        .expect("a digest");
    let directory: PathBuf = local.layers().join(digest.digits());
    for name in ["tree", "work"] {
        fs::create_dir_all(directory.join(name)).expect("a draft");
    }
    let mut spec = local.spec();
    (spec.identity, spec.profile) = (Identity::Root, Profile::Build);
    spec.image.layers = below.to_vec();
    spec.draft = Some(Draft {
        directory,
        image: true,
        besides: None,
    });
    let running = local.start(spec).await;
    let (status, said) = shell(&running, script).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    running.sandbox.stop(GRACE).await.expect("it stops");
    digest
}

pub(crate) async fn what_is_written_with_a_draft_is_a_layer(local: &Local) {
    let first = build(
        local,
        &[],
        '1',
        "set -e
         printf '#!/bin/sh\\necho one\\n' > /usr/local/bin/tool; chmod 755 /usr/local/bin/tool
         mkdir -p /usr/local/lib/new/deep; echo one > /usr/local/lib/new/deep/file; echo one > /usr/local/lib/new/gone
         echo setting > /etc/tool.conf; mkdir /var/lib/tool; echo state > /var/lib/tool/state; echo 1 > /opt/one",
    )
    .await;
    let second = build(
        local,
        std::slice::from_ref(&first),
        '2',
        "set -e
         [ $(tool) = one ]
         printf '#!/bin/sh\\necho two\\n' > /usr/local/bin/tool; rm /usr/local/lib/new/gone
         rm -r /usr/local/lib/new/deep; mkdir /usr/local/lib/new/deep; echo two > /usr/local/lib/new/deep/other",
    )
    .await;
    let mut spec = local.spec();
    spec.image.layers = vec![first, second];
    let running = local.start(spec).await;
    let (status, said) = shell(
        &running,
        "tool; ls /usr/local/lib/new /usr/local/lib/new/deep; cat /etc/tool.conf /var/lib/tool/state /opt/one
         id -un; grep -c . /etc/resolv.conf; test -x /usr/bin/env && echo base
         touch /usr/local/bin/x /etc/x /var/lib/x /opt/x 2>/dev/null || echo read-only",
    )
    .await;
    running.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(
        (status, said.as_str()),
        (
            ExitStatus::Exited(0),
            "two\n/usr/local/lib/new:\ndeep\n\n/usr/local/lib/new/deep:\nother\nsetting\nstate\n1\nagent\n1\nbase\nread-only\n"
        )
    );
    assert!(!Path::new("/usr/local/bin/tool").exists());
}

pub(crate) async fn a_link_in_a_layer_does_not_make_the_host_read_its_own_files(local: &Local) {
    // What the host reads of a layer to write /etc for a sandbox: the accounts.
    let secret = local.layers().join("secret-of-the-host");
    fs::create_dir_all(local.layers()).expect("a directory");
    fs::write(&secret, "secret:x:1:1::/:/bin/false\n").expect("a file");
    let script = format!(
        "ln -sf {} /etc/passwd; echo keep > /etc/kept",
        secret.display()
    );
    let layer = build(local, &[], '3', &script).await;
    let link = local.layers().join(layer.digits()).join("tree/etc/passwd");
    assert!(link.is_symlink(), "control");
    let mut spec = local.spec();
    spec.image.layers = vec![layer];
    let running = local.start(spec).await;
    let (status, said) = shell(&running, "cat /etc/kept /etc/passwd").await;
    running.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(status, ExitStatus::Exited(0));
    assert!(
        said.starts_with("keep\n") && said.contains("agent:x:1000"),
        "control: {said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

/// A layer with what a script makes in /workspace/app, as the project of whoever works on it.
pub(crate) async fn project(local: &Local, digit: char, script: &str) -> LayerDigest {
    let digest: LayerDigest = format!("sha256:{}", digit.to_string().repeat(64))
        .parse()
        .expect("a digest");
    let directory = local.layers().join(digest.digits());
    for name in ["tree", "work"] {
        fs::create_dir_all(directory.join(name)).expect("a draft");
    }
    let mut spec = local.spec();
    (spec.identity, spec.profile) = (Identity::Root, Profile::Build);
    spec.draft = Some(Draft {
        directory,
        image: false,
        besides: Some("/workspace/app".into()),
    });
    let running = local.start(spec).await;
    let make = format!(
        "cd /workspace/app && {script}
        [ $(awk 'NR == 1 {{ print $3 }}' /proc/self/uid_map) -lt 1001 ] || chown -R 1000:1000 ."
    );
    let (status, said) = shell(&running, &make).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    running.sandbox.stop(GRACE).await.expect("it stops");
    digest
}

pub(crate) async fn a_directory_of_a_layer_can_be_written_to_in_private(local: &Local) {
    let app = PathBuf::from("/workspace/app");
    let make = "mkdir deep && echo one > deep/file && touch /usr/not-kept";
    let digest = project(local, '3', make).await;
    for _ in 0..2 {
        let mut spec = local.spec();
        spec.mounts = vec![Mount {
            source: MountSource::Layer(digest.clone()),
            target: app.clone(),
            access: Access::ReadWrite,
        }];
        spec.directory = app.clone();
        let running = local.start(spec).await;
        let script = "pwd; id -un; cat deep/file; echo two > deep/file; rm -r deep; echo three > new; ls; ls -d /usr/not-kept 2>/dev/null || echo gone";
        let (status, said) = shell(&running, script).await;
        running.sandbox.stop(GRACE).await.expect("it stops");
        let expected = "/workspace/app\nagent\none\nnew\ngone\n";
        assert_eq!((status, said.as_str()), (ExitStatus::Exited(0), expected));
    }
}

pub(crate) async fn a_layer_that_is_not_there_is_refused(local: &Local) {
    let mut spec = local.spec();
    spec.image.layers = vec![
        format!("sha256:{}", "f".repeat(64))
            .parse()
            .expect("a digest"),
    ];
    let refused = local.runtime().start(spec).await;
    assert!(matches!(
        refused.map(|_| ()),
        Err(bailiwick_runtime::Error::Refused { .. })
    ));
}
