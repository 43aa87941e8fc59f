//! Runs a piece of a test in a network namespace of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::network::{NetworkPlan, NetworkSockets, set_up};

/// Any user who is not root; it needs no entry in /etc/passwd.
const ORDINARY_USER: libc::uid_t = 12345;
/// A test that hangs ends here.
const PATIENCE_SECONDS: u32 = 30;

/// Runs `body` in a fresh namespace with `plan` applied, as the user who runs the test and, if that is root, as an ordinary user too.
pub(super) fn inside(plan: &NetworkPlan, body: impl Fn(&NetworkPlan, NetworkSockets)) {
    bare(|| body(plan, set_up(plan).expect("the plan can be applied")));
}

/// Runs `body` in a fresh namespace.
pub(super) fn bare(body: impl Fn()) {
    forked(None, &body);
    if rustix::process::getuid().is_root() {
        forked(Some(ORDINARY_USER), &body);
    }
}

fn forked(user: Option<libc::uid_t>, body: &impl Fn()) {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    // SAFETY: the child uses only its own thread and leaves with _exit; glibc makes the allocator usable after a fork.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        drop(ours);
        std::panic::set_hook(Box::new(|_| {}));
        let said = catch_unwind(AssertUnwindSafe(|| {
            enter(user);
            body();
        }));
        let text = match said {
            Ok(()) => String::from("passed"),
            Err(panic) => panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_default(),
        };
        let _ = theirs.write_all(text.as_bytes());
        // SAFETY: ends the child at once, without running what the parent registered.
        unsafe { libc::_exit(0) };
    }
    drop(theirs);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    // SAFETY: waits for the child made above; no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(text, "passed", "in a namespace of user {user:?}");
}

fn enter(user: Option<libc::uid_t>) {
    // SAFETY: sets a timer that kills this child.
    unsafe { libc::alarm(PATIENCE_SECONDS) };
    if let Some(user) = user {
        // SAFETY: takes an integer; there is one thread.
        assert_eq!(unsafe { libc::setgid(user) }, 0, "setgid");
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setuid(user) }, 0, "setuid");
        // A change of user makes the process undumpable, and its files in /proc root's.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
            .unwrap();
    }
    let outside = rustix::process::getuid().as_raw();
    // SAFETY: takes flags; there is one thread.
    let entered = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "unshare: {}", std::io::Error::last_os_error());
    // With an id that is mapped, a program that the test starts keeps the capabilities.
    std::fs::write("/proc/self/uid_map", format!("0 {outside} 1")).expect("a uid map");
}
