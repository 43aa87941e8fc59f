//! The capabilities of the two profiles (capabilities(7)).

use rustix::io::Errno;
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use crate::plan::Profile;

/// What package managers need, in the sandbox's own user namespace: own files as any user, write where root may, become another user.
pub const BUILD: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SYS_CHROOT);

/// The capabilities of a profile.
pub fn of(profile: Profile) -> CapabilitySet {
    match profile {
        Profile::Run => CapabilitySet::empty(),
        Profile::Build => BUILD,
    }
}

/// Drops every capability that the profile does not have from the bounding and ambient sets of the calling thread, for ever.
///
/// # Errors
///
/// Whatever the kernel says; the caller must not go on.
pub(crate) fn bound(profile: Profile) -> Result<(), Errno> {
    let keep = of(profile);
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(capability) {
            continue;
        }
        match thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The first number that this kernel does not know: there are no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    thread::clear_ambient_capability_set()
}

/// Leaves the calling thread with the profile's capabilities and no other.
///
/// # Errors
///
/// Whatever the kernel says; the caller must not go on.
pub(crate) fn keep_only(profile: Profile) -> Result<(), Errno> {
    let keep = of(profile);
    thread::set_capabilities(
        None,
        CapabilitySets {
            effective: keep,
            permitted: keep,
            inheritable: CapabilitySet::empty(),
        },
    )
}

/// The names of a profile's capabilities, as capabilities(7) has them without `CAP_`.
pub fn names(profile: Profile) -> Vec<String> {
    of(profile)
        .iter_names()
        .map(|(name, _)| name.to_owned())
        .collect()
}
