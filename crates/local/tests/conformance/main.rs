//! The conformance suite of the runtime port, and what only this backend has, against real sandboxes.
//!
//! A launch needs a process with one thread, which the usual test harness does not leave. This one speaks the part of its
//! protocol that nextest and `cargo test` use, and runs each case on the main thread of a process of its own. As root each case is
//! also run as an ordinary user.

mod cases;
mod checkpoints;
mod harness;
mod hosts;
mod layers;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use bailiwick_runtime::conformance as port;
use harness::{Local, become_ordinary_user};
use tokio::runtime::{Builder, Runtime};

/// In front of the cases that are run as an ordinary user.
const ORDINARY: &str = "ordinary_user::";
/// In front of the cases that are run in sandbox hosts, from a process with threads.
const HOSTED: &str = "hosted::";

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
    a_connection_reaches_the_sandboxs_own_loopback_and_nothing_else
    credentials_come_to_a_sandbox_that_was_started_for_them_alone
);

const ONE_THREAD: &[(&str, Case)] = table!(cases; a_second_thread_is_refused);

const CHECKPOINTS: &[(&str, Case)] = table!(checkpoints;
    a_checkpoint_keeps_what_a_program_can_make
    root_inside_finds_its_system_as_it_left_it
    a_project_comes_back_as_it_was_changed
    what_is_mounted_is_neither_kept_nor_changed
    a_tampered_checkpoint_starts_nothing_and_stays
    a_swapped_directory_does_not_lead_a_checkpoint_out
    after_an_error_the_sandbox_goes_on
    attributes_that_could_not_come_back_end_nothing
    hard_links_take_no_room_for_the_way_to_their_file
    a_restore_that_fails_keeps_the_checkpoint
    a_checkpoint_outlives_its_server
    a_resumed_sandbox_has_the_rules_that_it_is_given
    a_slot_that_is_used_again_has_nothing_of_its_last_tenant
);

const HOSTS: &[(&str, Case)] = table!(hosts;
    a_host_has_nothing_of_its_server
    sandboxes_are_spread_and_started_from_any_thread
    a_killed_host_takes_its_sandboxes_along_and_no_others
    a_killed_server_leaves_nothing
    an_abandoned_start_leaves_no_sandbox
    events_that_nobody_reads_hold_up_their_own_sandbox_alone
    a_flow_does_not_outlive_its_rule_blocked
    no_secret_is_in_the_memory_of_an_init
);

const LAYERS: &[(&str, Case)] = table!(layers;
    what_is_written_with_a_draft_is_a_layer
    a_link_in_a_layer_does_not_make_the_host_read_its_own_files
    a_directory_of_a_layer_can_be_written_to_in_private
    a_layer_that_is_not_there_is_refused
);

fn main() -> ExitCode {
    if let Some(code) = bailiwick_local::serve_if_host(|| 0) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [server, state, word] = &arguments[..]
        && server == hosts::SERVER
    {
        let several = runtime(Builder::new_multi_thread().worker_threads(2));
        several.block_on(hosts::be_a_server(state.into(), word.clone()));
    }
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

fn cases(hosted: bool) -> impl Iterator<Item = &'static (&'static str, Case)> {
    let special = if hosted { HOSTS } else { ONE_THREAD };
    let common = [PORT, OWN, LAYERS, CHECKPOINTS];
    common.into_iter().flatten().chain(special)
}

fn names() -> Vec<String> {
    let alone = cases(false).map(|(name, _)| (*name).to_owned());
    let hosted = cases(true).map(|(name, _)| format!("{HOSTED}{name}"));
    let names: Vec<String> = alone.chain(hosted).collect();
    let as_root = rustix::process::geteuid().is_root();
    let ordinary = names.iter().filter(|_| as_root);
    let ordinary: Vec<String> = ordinary.map(|name| format!("{ORDINARY}{name}")).collect();
    names.into_iter().chain(ordinary).collect()
}

/// Runs one case here, on the only thread.
fn run(name: &str) {
    let own_name = name.strip_prefix(ORDINARY);
    if own_name.is_some() {
        become_ordinary_user();
    }
    let name = own_name.unwrap_or(name);
    let hosted = name.strip_prefix(HOSTED);
    let wanted = hosted.unwrap_or(name);
    let (_, case) = cases(hosted.is_some())
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("there is no case {name}"));
    let (local, runtime) = match hosted {
        Some(_) => (
            Local::hosted(),
            runtime(Builder::new_multi_thread().worker_threads(2)),
        ),
        None => (Local::new(), runtime(&mut Builder::new_current_thread())),
    };
    runtime.block_on(async {
        case(&local).await;
        local.end().await;
    });
    local.expect_nothing_left();
}

fn runtime(builder: &mut Builder) -> Runtime {
    builder.enable_all().build().expect("a runtime")
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
