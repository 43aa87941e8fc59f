//! The tools of an agent in real sandboxes.
//!
//! A launch needs a process with one thread, which the usual test harness does not leave. This one speaks the part of its protocol that
//! nextest and `cargo test` use, and runs each case on the main thread of a process of its own. As root each case is also run as an
//! ordinary user.

mod attacks;
mod files;
mod harness;
mod interrupts;
mod search;
mod shell;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use harness::{Local, become_ordinary_user};

/// In front of the cases that are run as an ordinary user.
const ORDINARY: &str = "ordinary_user::";

type Case = fn(&Local) -> Pin<Box<dyn Future<Output = ()> + '_>>;

macro_rules! table {
    ($module:ident; $($case:ident)*) => {
        &[$((stringify!($case), |local| Box::pin($module::$case(local))),)*]
    };
}

const TABLES: &[&[(&str, Case)]] = &[
    table!(shell;
        a_shell_stays_from_command_to_command
        output_and_errors_come_in_order
        a_command_that_cannot_be_parsed_leaves_the_shell
        standard_input_is_empty
        a_shell_that_ends_has_an_heir
        a_long_output_is_put_into_a_file
        background_jobs_hold_nothing_up_and_are_heard_later
        output_is_seen_while_a_command_runs
        the_state_of_a_shell_is_kept_and_restored
        variables_of_the_control_plane_are_not_there
        a_restart_begins_anew
        an_image_without_bash_is_told
        a_hundred_commands_take_little_time
    ),
    table!(interrupts;
        a_command_ends_at_its_time_and_the_shell_goes_on
        a_stubborn_command_is_killed_and_the_shell_goes_on
        a_stubborn_shell_is_killed_and_has_a_directory
        an_interrupt_ends_a_command_with_its_children
        a_call_that_is_given_up_ends_its_command
        a_fork_bomb_ends_at_its_time
        an_output_bomb_ends_at_its_time
        shells_that_end_themselves_leave_nothing_open_outside
    ),
    table!(attacks;
        a_printed_end_is_blocked
        a_forged_end_is_not_that_of_the_next_command
        redefining_what_the_shell_needs_is_blocked
        closing_every_descriptor_is_blocked
        a_stolen_command_channel_is_blocked
        sixty_four_calls_at_once
        denials_are_told_with_the_command
        every_denial_is_told_with_the_command_that_met_it
    ),
    table!(files;
        files_are_written_read_and_edited
        what_cannot_be_done_is_told
        links_lead_nowhere_but_inside
        what_is_no_file_does_not_hang
        a_swapped_directory_leads_no_write_out
        images_and_documents_are_shown
    ),
    table!(search;
        glob_finds_the_newest_first
        grep_finds_as_ripgrep_does
        alone_twenty_thousand_files_are_searched
        a_loop_of_links_ends
    ),
];

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
    TABLES.iter().copied().flatten()
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
