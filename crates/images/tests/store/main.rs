//! The store at its door: builds that race and die, trees that want out, clean-up under use.
//!
//! Cases become an ordinary user, and start this program again as a build that is killed; so the harness is one with a process for each
//! case and one thread in it. It speaks the part of the usual harness's protocol that nextest and `cargo test` use. As root each case is also
//! run as an ordinary user.

mod building;
mod child;
mod cleaning;
mod harness;
mod trees;

use std::process::ExitCode;

/// In front of the cases that are run as an ordinary user.
const ORDINARY: &str = "ordinary_user::";

type Case = (&'static str, fn());

macro_rules! cases {
    ($($module:ident::$case:ident)*) => {
        &[$((stringify!($case), $module::$case),)*]
    };
}

const CASES: &[Case] = cases!(
    building::a_layer_is_there_after_its_commit_and_not_before
    building::a_key_that_is_being_built_is_busy
    building::of_processes_that_race_for_one_key_one_builds
    building::a_build_killed_at_any_moment_never_leaves_a_wrong_or_half_layer
    building::a_build_that_lives_is_not_swept
    building::an_abandoned_build_leaves_its_log_alone
    building::the_log_of_a_killed_build_is_kept
    building::a_build_keeps_the_layer_below_it
    building::a_build_on_a_layer_that_is_not_there_is_refused
    building::a_directory_without_a_good_record_is_no_layer
    building::a_record_of_another_key_is_no_layer
    building::a_store_that_others_may_write_is_refused
    building::a_record_that_is_too_large_is_refused
    trees::links_lead_neither_a_commit_nor_a_removal_out
    trees::directories_without_permissions_are_counted_and_stay_as_they_were
    trees::directories_without_permissions_are_removed
    trees::a_hundred_thousand_entries_are_counted_and_removed
    trees::ten_thousand_levels_are_counted_and_removed
    trees::names_that_are_not_text_are_counted_and_removed
    trees::a_file_with_two_names_is_counted_once
    trees::a_removal_that_is_killed_is_finished_by_the_next
    trees::two_may_remove_one_tree
    building::a_layer_whose_removal_is_killed_is_whole_or_gone
    cleaning::a_layer_that_is_held_stays
    cleaning::a_layer_held_by_another_process_stays_until_that_dies
    cleaning::what_is_not_there_cannot_be_held
    cleaning::a_layer_on_which_another_stands_stays
    cleaning::what_was_not_used_for_long_goes
    cleaning::the_least_recently_used_go_until_the_budget_is_met
    cleaning::an_image_goes_from_the_top
    cleaning::what_is_no_layer_is_cleaned_up
    cleaning::a_lock_that_was_removed_is_not_taken
);

/// Cases that only root can run.
const AS_ROOT: &[Case] = cases!(
    trees::a_removal_does_not_cross_a_mount
    trees::what_belongs_to_another_id_is_told_and_left
    building::a_store_of_somebody_else_is_refused
);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let named = arguments.iter().filter(|a| !a.starts_with("--"));
    let named: Vec<&str> = named.map(String::as_str).collect();
    if has(harness::ROLE) {
        child::run(&named);
        ExitCode::SUCCESS
    } else if has("--list") {
        let none_is_ignored = has("--ignored");
        let names = names().into_iter().filter(|_| !none_is_ignored);
        names.for_each(|name| println!("{name}: test"));
        ExitCode::SUCCESS
    } else if has("--exact") {
        named.into_iter().for_each(run);
        ExitCode::SUCCESS
    } else {
        let wanted =
            |name: &String| named.is_empty() || named.iter().any(|part| name.contains(part));
        run_each(names().into_iter().filter(wanted))
    }
}

fn names() -> Vec<String> {
    let mut names: Vec<_> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    if rustix::process::geteuid().is_root() {
        let ordinary: Vec<_> = names.iter().map(|n| format!("{ORDINARY}{n}")).collect();
        names.extend(ordinary);
        names.extend(AS_ROOT.iter().map(|(name, _)| (*name).to_owned()));
    } else {
        eprintln!("not root: left out are the cases that only root can run");
    }
    names
}

/// Runs one case here, on the only thread.
fn run(name: &str) {
    let own_name = name.strip_prefix(ORDINARY);
    if own_name.is_some() {
        harness::become_ordinary_user();
    }
    let wanted = own_name.unwrap_or(name);
    let mut cases = CASES.iter().chain(AS_ROOT);
    let (_, case) = cases
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("there is no case {name}"));
    case();
}

/// What `cargo test` wants: a process for each.
fn run_each(names: impl Iterator<Item = String>) -> ExitCode {
    let failed = names.filter(|name| {
        let status = harness::this_program().args(["--exact", name]).status();
        let passed = status.is_ok_and(|status| status.success());
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        !passed
    });
    ExitCode::from(u8::from(failed.count() > 0))
}
