//! Two hosts on one wire: network namespaces of the test's own, in which its threads and what they start live.

use std::fs::File;

use bailiwick_testkit::User;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::host_command;

/// Removed when it is dropped, with the wire.
pub(crate) struct TwoHosts {
    first: String,
    other: String,
}

impl TwoHosts {
    /// Joins them by pairs of addresses with their prefix. Only root can; anybody else is told so.
    pub(crate) fn make(addresses: &[(&str, &str)]) -> Option<Self> {
        if !User::current().is_root() {
            eprintln!("skipped: two hosts on one wire need root");
            return None;
        }
        // By this name a leak check of another test knows that it is somebody's.
        let name = |which: &str| format!("bailiwick-test-{}-{which}", std::process::id());
        let hosts = Self {
            first: name("first"),
            other: name("other"),
        };
        let Self { first, other } = &hosts;
        for host in [first, other] {
            ip(&["netns", "add", host]);
            ip(&["-n", host, "link", "set", "lo", "up"]);
        }
        ip(&[
            "-n", first, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns",
            other,
        ]);
        for (at_first, at_other) in addresses {
            for (host, address) in [(first, at_first), (other, at_other)] {
                // Without nodad an IPv6 address cannot be used for a second.
                let nodad: &[&str] = if address.contains(':') {
                    &["nodad"]
                } else {
                    &[]
                };
                ip(&[&["-n", host, "addr", "add", address, "dev", "wire"], nodad].concat());
            }
        }
        [first, other]
            .iter()
            .for_each(|host| ip(&["-n", host, "link", "set", "wire", "up"]));
        Some(hosts)
    }

    /// Runs on the first host.
    pub(crate) fn on_the_first<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on(&self.first, act)
    }

    /// Runs on the other host.
    pub(crate) fn on_the_other<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on(&self.other, act)
    }
}

impl Drop for TwoHosts {
    fn drop(&mut self) {
        for host in [&self.first, &self.other] {
            // There is nobody to tell, and the names are this process's own.
            let _ = host_command("ip").args(["netns", "del", host]).status();
        }
    }
}

/// A thread belongs to one network namespace, and what it starts begins there.
fn on<T: Send>(host: &str, act: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{host}")).expect("it was made");
    let acting = move || {
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(LinkNameSpaceType::Network),
        )
        .expect("root may");
        act()
    };
    std::thread::scope(|scope| scope.spawn(acting).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let output = host_command("ip")
        .args(arguments)
        .output()
        .expect("iproute2");
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
