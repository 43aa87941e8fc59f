//! What a checkpoint keeps, what it must not, and how it can be misused.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_policy::InForce;
use bailiwick_runtime::conformance::Harness;
use bailiwick_runtime::{
    Access, Checkpoint, Command, Error, ExitStatus, Identity, Mount, MountSource, Profile, Running,
};

use crate::harness::{Local, policy_that_allows, run, shell, until_ready};
use crate::layers::project;

const GRACE: Duration = Duration::from_millis(100);

/// Everything that a program can see of what is there: kind, mode, owner, size, links, target, time and contents.
const LOOK: &str = r#"
    for place in $PLACES; do
        cd "$place" || exit 1
        find . -printf '%p|%y|%m|%U:%G|%n|%l|%T@\n' -o -printf 'unreadable %p\n' | LC_ALL=C sort
        find . -type f -perm -u+r -exec sha256sum {} + | LC_ALL=C sort
        find . -type f -printf '%s %b %p\n' | LC_ALL=C sort
    done
    [ ! -e /workspace/attributes ] || python3 -c '
import os
for name in ("/workspace/attributes", "/workspace/deep"):
    print([(key, os.getxattr(name, key)) for key in sorted(os.listxattr(name))])'
"#;

/// As odd as an unprivileged program can make it.
const ODDITIES: &str = r#"
    set -e
    cd /workspace
    mkdir -p deep/er/still 'with space' empty
    printf alpha > deep/a; ln deep/a deep/er/same; ln deep/a 'with space/same again'
    printf x > "$(printf 'new\nline')"; printf x > "$(printf 'not \377 utf-8')"; printf x > '-rf *'
    ln -s /etc/passwd absolute; ln -s ../../../../etc upwards; ln -s nowhere dangling; ln -s . itself
    ln -s "$(printf 'to\nthere')" odd-target
    mkfifo fifo; chmod 640 fifo
    truncate -s 20M sparse; printf middle | dd of=sparse bs=1 seek=9000000 conv=notrunc 2>/dev/null
    : > nothing; head -c 300000 /dev/urandom > random
    printf secret > unreadable; chmod 000 unreadable; printf x > executable; chmod 755 executable
    mkdir locked; printf x > locked/in; ln locked/in linked-to-locked; chmod 000 locked; chmod 1777 'with space'; mkdir read-only; printf x > read-only/in; chmod 555 read-only
    printf x > attributes
    python3 -c '
import os, socket
os.setxattr("attributes", "user.note", b"a\0b"); os.setxattr("deep", "user.of-a-directory", b"c")
socket.socket(socket.AF_UNIX).bind("socket")'
    printf home > ~/.profile-of-mine; mkdir -p ~/.cache/x; printf x > ~/.cache/x/y
    printf t > /tmp/t; printf t > /var/tmp/t
    touch -h -d @1234567890.123456789 dangling; touch -d @1.5 deep/a; touch -d @-5 deep/er; touch -d @99.25 .
"#;

async fn checked(running: &Running<InForce>, script: &str) -> String {
    let (status, said) = shell(running, script).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    said
}

fn looking(places: &str) -> String {
    // What is locked is looked at by its owner for a moment, which changes no time that is kept.
    format!("PLACES='{places}'; [ ! -e /workspace/locked ] || chmod 700 /workspace/locked; {LOOK}")
}

async fn kept(running: Running<InForce>) -> Checkpoint {
    let checkpoint = running.sandbox.checkpoint().await;
    checkpoint.expect("a checkpoint")
}

pub(crate) async fn a_checkpoint_keeps_what_a_program_can_make(local: &Local) {
    let running = local.start(local.spec()).await;
    checked(&running, ODDITIES).await;
    checked(&running, "chmod 000 /workspace/locked").await;
    let checkpoint = kept(running).await;
    let restored = local.runtime().restore(local.spec(), &checkpoint).await;
    let restored = restored.expect("it comes back");
    let modes = "cd /workspace; stat -c '%a %n' locked unreadable read-only fifo; ls -d socket 2>&1; ls /run /dev/shm";
    let modes = checked(&restored, modes).await;
    assert!(
        modes.starts_with("0 locked\n0 unreadable\n555 read-only\n640 fifo\n"),
        "{modes}"
    );
    let places = "/workspace /home/agent /tmp /var/tmp";
    let after = checked(&restored, &looking(places)).await;
    restored.sandbox.stop(GRACE).await.expect("it stops");

    let again = local.start(local.spec()).await;
    checked(&again, ODDITIES).await;
    checked(&again, "cd /workspace; rm socket; touch -d @99.25 .").await;
    let control = checked(&again, &looking(places)).await;
    again.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(comparable(&after), comparable(&control));
    assert!(
        after.contains("user.note") && after.contains("|99.2500000000"),
        "{after}"
    );
    let unread = after.lines().any(|line| line.starts_with("unreadable"));
    assert!(!unread, "control: {after}");
}

/// Without what differs between two runs of the same script: random contents, and the time of what was not given one.
fn comparable(look: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split('|').collect();
        if fields.len() > 1 && fields.last().is_some_and(|time| time.starts_with("17")) {
            fields.pop();
        }
        fields.join("|")
    };
    let lines = look.lines().filter(|line| !line.ends_with("./random"));
    lines.map(line).collect()
}

pub(crate) async fn root_inside_finds_its_system_as_it_left_it(local: &Local) {
    let as_root = || {
        let mut spec = local.spec();
        (spec.identity, spec.profile) = (Identity::Root, Profile::Build);
        spec
    };
    let running = match local.runtime().start(as_root()).await {
        Ok(running) => running,
        // An ordinary user without the means for it is told so, and has nothing to keep.
        Err(Error::Refused { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    // Where the base's ids are not mapped, its directories are nobody's.
    let change = "set -e
        sleep 0.1
        if [ -w /usr/local/bin ]; then
            printf '#!/bin/sh\\necho mine\\n' > /usr/local/bin/mine; chmod 755 /usr/local/bin/mine; rm -f /usr/bin/yes
        else
            mkdir -p ~/bin; printf 'echo mine\\n' > ~/bin/mine
        fi
        printf keep > /root/file; mkdir -p /data/new; printf x > /data/new/x; printf 'x 1\\n' > /etc/of-mine
        printf '192.0.2.9 added\\n' >> /etc/hosts; cp /etc/nsswitch.conf /tmp/before";
    checked(&running, change).await;
    let checkpoint = kept(running).await;
    let restored = local.runtime().restore(as_root(), &checkpoint).await;
    let restored = restored.expect("it comes back");
    let look = "if [ -w /usr/local/bin ]; then mine; ls /usr/bin/yes 2>/dev/null && echo still there; else sh ~/bin/mine; fi
        cat /root/file /data/new/x /etc/of-mine; grep -c added /etc/hosts; cmp /etc/nsswitch.conf /tmp/before; ls /usr/bin/env";
    let seen = checked(&restored, look).await;
    restored.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(seen, "mine\nkeepxx 1\n1\n/usr/bin/env\n");
}

pub(crate) async fn a_project_comes_back_as_it_was_changed(local: &Local) {
    let layer = project(
        local,
        '4',
        "mkdir -p deep/er replaced; echo one > deep/file; echo gone > deep/er/gone; echo old > replaced/old; echo as-it-was > same",
    )
    .await;
    let with_project = || {
        let mut spec = local.spec();
        spec.mounts = vec![Mount {
            source: MountSource::Layer(layer.clone()),
            target: "/workspace/app".into(),
            access: Access::ReadWrite,
        }];
        spec
    };
    let running = local.start(with_project()).await;
    let change = "cd /workspace/app; echo two > deep/file; rm deep/er/gone; rm -r replaced; mkdir replaced; echo new > replaced/new; echo beside > ../beside";
    checked(&running, change).await;
    let checkpoint = kept(running).await;
    let restored = local.runtime().restore(with_project(), &checkpoint).await;
    let restored = restored.expect("it comes back");
    let look =
        "cd /workspace/app; find . -type f | sort; cat deep/file replaced/new same ../beside";
    let seen = checked(&restored, look).await;
    restored.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(
        seen,
        "./deep/file\n./replaced/new\n./same\ntwo\nnew\nas-it-was\nbeside\n"
    );
}

/// Nothing that is mounted into a place is kept or written to.
pub(crate) async fn what_is_mounted_is_neither_kept_nor_changed(local: &Local) {
    let upload = tempfile::NamedTempFile::new().expect("a file");
    let give = |contents: &str| {
        fs::write(upload.path(), contents).expect("a file");
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(upload.path(), permissions).expect("readable");
    };
    let with_upload = || {
        let mut spec = local.spec();
        spec.mounts = vec![Mount {
            source: MountSource::Host(upload.path().into()),
            target: "/workspace/uploads/one".into(),
            access: Access::ReadOnly,
        }];
        spec
    };
    give("first");
    let running = local.start(with_upload()).await;
    checked(
        &running,
        "cat /workspace/uploads/one; echo x > /workspace/own",
    )
    .await;
    let checkpoint = kept(running).await;
    let archive = fs::read(archive_of(local, &checkpoint)).expect("an archive");
    assert!(!archive.windows(5).any(|bytes| bytes == b"first"));
    give("second");
    let restored = local.runtime().restore(with_upload(), &checkpoint).await;
    let restored = restored.expect("it comes back");
    let seen = checked(&restored, "cat /workspace/uploads/one /workspace/own").await;
    restored.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(seen, "secondx\n");
}

fn archive_of(local: &Local, checkpoint: &Checkpoint) -> PathBuf {
    local.state().join("checkpoints").join(&*checkpoint.0)
}

/// Nobody else reads an archive, and one that was changed starts nothing; as it was, it is as good as ever.
pub(crate) async fn a_tampered_checkpoint_starts_nothing_and_stays(local: &Local) {
    let running = local.start(local.spec()).await;
    checked(&running, "printf original > /tmp/x; printf x > /tmp/y").await;
    let checkpoint = kept(running).await;
    let path = archive_of(local, &checkpoint);
    let mode = |path: &Path| {
        let metadata = fs::metadata(path).expect("it is there");
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    let whole = fs::read(&path).expect("an archive");
    let original = whole.windows(8).position(|bytes| bytes == b"original");
    let original = original.expect("control: contents are in it") as u64;
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("the archive");
    let refused = async |what: &str| {
        let refused = local
            .runtime()
            .restore(local.spec(), &checkpoint)
            .await
            .err();
        assert!(
            matches!(&refused, Some(Error::CheckpointDamaged(damaged)) if *damaged == checkpoint),
            "{what}: {refused:?}"
        );
        let running = local.runtime().list().await.expect("a list");
        assert!(running.is_empty(), "{what}: {running:?}");
    };
    file.write_all_at(b"tampered", original).expect("changed");
    refused("contents").await;
    file.write_all_at(b"original", original).expect("changed");
    file.set_len(whole.len() as u64 - 1).expect("cut");
    refused("cut").await;
    file.write_all_at(&whole, 0).expect("as it was");
    let restored = local.runtime().restore(local.spec(), &checkpoint).await;
    let restored = restored.expect("control: it comes back");
    assert_eq!(checked(&restored, "cat /tmp/x").await, "original");
    restored.sandbox.stop(GRACE).await.expect("it stops");
}

/// A directory that becomes a link to process 1, whose environment is the launcher's, and back, as fast as it can.
pub(crate) async fn a_swapped_directory_does_not_lead_a_checkpoint_out(local: &Local) {
    let swapping = r#"
import ctypes, os, signal
libc = ctypes.CDLL(None)
os.chdir("/workspace")
os.mkdir("a"); open("a/environ", "w").write("mine"); os.symlink("/proc/1", "b")
os.mkdir("c"); open("c/passwd", "w").write("mine"); os.symlink("/etc", "d")
# What goes on although it is stopped: the kernel itself continues it, again and again.
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
open("/tmp/ready", "w").close()
while True:
    libc.renameat2(-100, b"a", -100, b"b", 2)
    libc.renameat2(-100, b"c", -100, b"d", 2)
"#;
    for _ in 0..5 {
        let running = local.start(local.spec()).await;
        let command = Command::new(["python3", "-c", swapping]);
        let execution = running.sandbox.exec(command).await.expect("it starts");
        until_ready(&running).await;
        // One that a swap keeps from being whole is refused, which is right as well.
        let mut checkpoint = Err(Error::Full);
        for _ in 0..20 {
            checkpoint = running.sandbox.checkpoint().await;
            if checkpoint.is_ok() {
                break;
            }
        }
        let checkpoint = checkpoint.expect("a checkpoint");
        drop(execution);
        let archive = fs::read(archive_of(local, &checkpoint)).expect("an archive");
        let holds = |text: &[u8]| archive.windows(text.len()).any(|bytes| bytes == text);
        assert!(holds(b"mine"), "control");
        assert!(!holds(b"PATH=") && !holds(b"root:x:"), "it led out");
        local.runtime().discard(&checkpoint).await.expect("it goes");
    }
}

pub(crate) async fn after_an_error_the_sandbox_goes_on(local: &Local) {
    let running = local.start(local.spec()).await;
    let deep = r#"
import os
os.chdir("/tmp")
for _ in range(300):
    os.mkdir("d"); os.chdir("d")"#;
    let counting = "i=0; while :; do i=$((i + 1)); echo $i > /tmp/count; sleep 0.01; done";
    let counting = running
        .sandbox
        .exec(Command::new(["sh", "-c", counting]))
        .await;
    let (status, said) = run(&running, Command::new(["python3", "-c", deep])).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    let refused = running.sandbox.checkpoint().await.err();
    assert!(matches!(refused, Some(Error::Backend(_))), "{refused:?}");
    let still_counts =
        "a=$(cat /tmp/count); while [ \"$a\" = \"$(cat /tmp/count)\" ]; do sleep 0.01; done";
    checked(&running, still_counts).await;
    checked(&running, "rm -r /tmp/d").await;
    let checkpoint = kept(running).await;
    let status = counting.expect("it started").control.wait().await;
    assert_eq!(status.expect("a status"), ExitStatus::Signaled(9));
    let left = fs::read_dir(local.state().join("checkpoints")).expect("checkpoints");
    assert_eq!(left.count(), 1, "of the refused one nothing is left");
    local.runtime().discard(&checkpoint).await.expect("it goes");
}

/// What a restore would refuse is refused while there is still something to lose.
pub(crate) async fn attributes_that_could_not_come_back_end_nothing(local: &Local) {
    let set = r#"
import os
open("/tmp/many", "w").write("mine")
for number in range(257):
    os.setxattr("/tmp/many", f"user.{number}", b"x")"#;
    let running = local.start(local.spec()).await;
    let (status, said) = run(&running, Command::new(["python3", "-c", set])).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    let refused = running.sandbox.checkpoint().await.err();
    assert!(matches!(refused, Some(Error::Backend(_))), "{refused:?}");
    assert_eq!(checked(&running, "cat /tmp/many").await, "mine");
    let remove = r#"import os; os.removexattr("/tmp/many", "user.0")"#;
    let (status, said) = run(&running, Command::new(["python3", "-c", remove])).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    let checkpoint = kept(running).await;
    let restored = local.runtime().restore(local.spec(), &checkpoint).await;
    let restored = restored.expect("control: it comes back with one less");
    let count = r#"
import os
print(len([name for name in os.listxattr("/tmp/many") if name.startswith("user.")]))"#;
    let (_, counted) = run(&restored, Command::new(["python3", "-c", count])).await;
    assert_eq!(counted, "256\n");
    restored.sandbox.stop(GRACE).await.expect("it stops");
}

/// The way to the file is 20 kB long; with one for each link the archive would have 40 MB.
pub(crate) async fn hard_links_take_no_room_for_the_way_to_their_file(local: &Local) {
    let link = r#"
import os
os.chdir("/tmp")
for _ in range(200):
    os.mkdir("d" * 100); os.chdir("d" * 100)
open("file", "w").write("mine")
for number in range(2000):
    os.link("file", f"link-{number}")"#;
    let look = r#"
import os
os.chdir("/tmp")
for _ in range(200):
    os.chdir("d" * 100)
print(os.stat("link-1999").st_nlink, len(os.listdir(".")), open("file").read())"#;
    let seen = async |running: &Running<InForce>| {
        let (status, said) = run(running, Command::new(["python3", "-c", look])).await;
        assert_eq!(status, ExitStatus::Exited(0), "{said}");
        said
    };
    let running = local.start(local.spec()).await;
    let (status, said) = run(&running, Command::new(["python3", "-c", link])).await;
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    assert_eq!(seen(&running).await, "2001 2001 mine\n");
    let checkpoint = kept(running).await;
    let bytes = local.runtime().checkpoint_bytes(&checkpoint).await;
    assert!(matches!(bytes, Ok(..500_000)), "{bytes:?}");
    let restored = local.runtime().restore(local.spec(), &checkpoint).await;
    let restored = restored.expect("it comes back");
    assert_eq!(seen(&restored).await, "2001 2001 mine\n");
    restored.sandbox.stop(GRACE).await.expect("it stops");
}

pub(crate) async fn a_restore_that_fails_keeps_the_checkpoint(local: &Local) {
    let running = local.start(local.spec()).await;
    checked(&running, "printf x > /workspace/x").await;
    let checkpoint = kept(running).await;
    let other = tempfile::tempdir().expect("a directory");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(other.path(), permissions).expect("readable");
    let mut elsewhere = local.spec();
    elsewhere.mounts = vec![Mount {
        source: MountSource::Host(other.path().into()),
        target: "/workspace".into(),
        access: Access::ReadWrite,
    }];
    // The files of /workspace were the sandbox's own, and now the host's would be overwritten.
    let refused = local.runtime().restore(elsewhere, &checkpoint).await.err();
    assert!(matches!(refused, Some(Error::Backend(_))), "{refused:?}");
    assert!(!other.path().join("x").exists());
    let mut small = local.spec();
    small.limits.disk_bytes = Some(0);
    let refused = local.runtime().restore(small, &checkpoint).await.err();
    assert!(
        matches!(refused, Some(Error::InvalidSpec { .. })),
        "{refused:?}"
    );
    let first = local.runtime();
    let second = local.runtime();
    let (one, two) = tokio::join!(
        first.restore(local.spec(), &checkpoint),
        second.restore(local.spec(), &checkpoint)
    );
    let (won, lost): (Vec<_>, Vec<_>) = [one, two].into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "of two, one gets it");
    assert!(matches!(lost[0], Err(Error::CheckpointNotFound(_))));
    for restored in won.into_iter().flatten() {
        assert_eq!(checked(&restored, "cat /workspace/x").await, "x");
        restored.sandbox.stop(GRACE).await.expect("it stops");
    }
}

pub(crate) async fn a_checkpoint_outlives_its_server(local: &Local) {
    let running = local.start(local.spec()).await;
    checked(&running, "printf x > /workspace/x").await;
    let checkpoint = kept(running).await;
    local.end().await;
    let restarted = local.once_more();
    let restored = restarted.runtime().restore(local.spec(), &checkpoint).await;
    let restored = restored.expect("it comes back");
    assert_eq!(checked(&restored, "cat /workspace/x").await, "x");
    restored.sandbox.stop(GRACE).await.expect("it stops");
    restarted.end().await;
}

/// What the resolver of the sandbox says of a name that only one of two policies allows.
async fn resolves(running: &Running<InForce>) -> bool {
    let (status, _) = shell(running, "getent hosts allowed.example").await;
    status == ExitStatus::Exited(0)
}

pub(crate) async fn a_resumed_sandbox_has_the_rules_that_it_is_given(local: &Local) {
    let allows = || {
        let mut spec = local.spec();
        spec.network.policy = policy_that_allows("allowed.example");
        spec
    };
    for (before, after) in [(true, false), (false, true)] {
        let spec = |allowed: bool| if allowed { allows() } else { local.spec() };
        let running = local.start(spec(before)).await;
        assert_eq!(resolves(&running).await, before, "control");
        let checkpoint = kept(running).await;
        let restored = local.runtime().restore(spec(after), &checkpoint).await;
        let restored = restored.expect("it comes back");
        assert_eq!(resolves(&restored).await, after);
        restored.sandbox.stop(GRACE).await.expect("it stops");
    }
}

/// The same id, host ids and host process, and nothing of the tenant before.
pub(crate) async fn a_slot_that_is_used_again_has_nothing_of_its_last_tenant(local: &Local) {
    let mut spec = local.spec();
    spec.network.policy = policy_that_allows("allowed.example");
    spec.env.insert("TOKEN".into(), "of-the-first".into());
    let id = spec.id.clone();
    let running = local.start(spec).await;
    checked(&running, "echo first > /tmp/x; echo first > /workspace/x; echo first > /dev/shm/x; echo $TOKEN > ~/x").await;
    assert!(resolves(&running).await, "control");
    running.sandbox.stop(GRACE).await.expect("it stops");
    let mut spec = local.spec();
    spec.id = id;
    let running = local.start(spec).await;
    assert!(!resolves(&running).await);
    let look = "find /tmp /workspace /dev/shm /home/agent -type f; echo \"<$TOKEN>\"";
    assert_eq!(checked(&running, look).await, "<>\n");
    running.sandbox.stop(GRACE).await.expect("it stops");
}
