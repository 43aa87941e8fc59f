//! The conformance suite of the runtime port, and what only this backend has, against real sandboxes.
//!
//! A launch needs a process with one thread, which the usual test harness does not leave. This one speaks the part of its
//! protocol that nextest and `cargo test` use, and runs each case on the main thread of a process of its own. As root each case is
//! also run as an ordinary user.

mod cases;
mod harness;
mod layers;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use bailiwick_runtime::conformance as port;
use harness::{Local, become_ordinary_user};

/// In front of the cases that are run as an ordinary user.
const ORDINARY: &str = "ordinary_user::";

type Case = fn(&Local) -> Pin<Box<dyn Future<Output = ()> + '_>>;

macro_rules! table {
    ($module:ident; $($case:ident)*) => {
        &[$((stringify!($case), |local| Box::pin($module::$case(local))),)*]
    };
}

const PORT: &[(&str, Case)] = bailiwick_runtime::conformance_cases!([table] port;);

const OWN: &[(&str, Case)] = table!(cases;
    a_limit_on_memory_is_told_as_such
    a_lifetime_ends_a_sandbox
    a_timeout_ends_the_whole_session
    stopping_asks_first
    a_terminal_has_the_size_that_was_asked_for
    a_file_link_leads_nowhere_but_inside
    what_is_no_file_is_not_opened
    a_swapped_directory_does_not_lead_a_capture_out
    a_written_file_belongs_to_the_sandbox
    a_read_only_mount_cannot_be_written
    a_refused_mount_leaves_nothing
    a_port_that_is_taken_leaves_nothing
    a_second_thread_is_refused
    credentials_come_to_a_sandbox_that_was_started_for_them_alone
);

const LAYERS: &[(&str, Case)] = table!(layers;
    what_is_written_with_a_draft_is_a_layer
    a_link_in_a_layer_does_not_make_the_host_read_its_own_files
    a_directory_of_a_layer_can_be_written_to_in_private
    a_layer_that_is_not_there_is_refused
);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let named: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if has("--list") {
        let none_is_ignored = has("--ignored");
        let names = names().into_iter().filter(|_| !none_is_ignored);
        names.for_each(|name| println!("{name}: test"));
        ExitCode::SUCCESS
    } else if has("--exact") {
        named.into_iter().for_each(|name| run(name));
        ExitCode::SUCCESS
    } else {
        let wanted = |name: &String| {
            named.is_empty() || named.iter().any(|part| name.contains(part.as_str()))
        };
        run_each(names().into_iter().filter(wanted))
    }
}

fn cases() -> impl Iterator<Item = &'static (&'static str, Case)> {
    PORT.iter().chain(OWN).chain(LAYERS)
}

fn names() -> Vec<String> {
    let own = cases().map(|(name, _)| (*name).to_owned());
    let ordinary = cases().map(|(name, _)| format!("{ORDINARY}{name}"));
    let as_root = rustix::process::geteuid().is_root();
    own.chain(ordinary.filter(|_| as_root)).collect()
}

/// Runs one case here, on the only thread.
fn run(name: &str) {
    let own_name = name.strip_prefix(ORDINARY);
    if own_name.is_some() {
        become_ordinary_user();
    }
    let wanted = own_name.unwrap_or(name);
    let (_, case) = cases()
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("there is no case {name}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = Local::new();
    runtime.block_on(case(&local));
    local.expect_nothing_left();
}

/// What `cargo test` wants: a process for each.
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts itself again, so that each case has a process of its own"
)]
fn run_each(names: impl Iterator<Item = String>) -> ExitCode {
    let program = std::env::current_exe().expect("the path of this program");
    let failed: Vec<String> = names
        .filter(|name| {
            let status = std::process::Command::new(&program)
                .args(["--exact", name])
                .status();
            let passed = status.is_ok_and(|status| status.success());
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            !passed
        })
        .collect();
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
