//! Landlock (landlock(7)): a second fence around the file system, in depth. It holds for what a mount namespace does not:
//! descriptors that were passed in, and abstract sockets and signals between domains.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};

/// Puts the calling thread, and all that it starts, into a domain that may read and run everything of its root, and change
/// only what lies below `writable`. A kernel without Landlock leaves it undone: the mounts are what isolation rests on.
pub(crate) fn restrict(writable: &[&str]) -> Result<(), RulesetError> {
    let abi = ABI::V5;
    let all = AccessFs::from_all(abi);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::AbstractUnixSocket)?
        .scope(Scope::Signal)?
        .create()?
        .no_new_privs(false);
    let rules = std::iter::once(("/", AccessFs::from_read(abi)))
        .chain(writable.iter().map(|path| (*path, all)));
    for (path, access) in rules {
        // A directory that this sandbox does not have needs no rule.
        let Ok(directory) = PathFd::new(path) else {
            continue;
        };
        ruleset = ruleset.add_rule(PathBeneath::new(directory, access))?;
    }
    ruleset.restrict_self()?;
    Ok(())
}
