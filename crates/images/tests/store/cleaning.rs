//! What is used stays; the rest goes in order.

use std::fs;
use std::time::Duration;

use bailiwick_images::{GcLimits, GcReport, Layer, StoreError};

use crate::building::wait_for;
use crate::harness::{Place, inputs, inputs_on, last_used, start};

/// When the clean-ups of these cases are, in seconds since 1970.
const NOW: i64 = 10_000;

fn clean(place: &Place, unused_for: u64, budget_bytes: Option<u64>) -> GcReport {
    let limits = GcLimits {
        unused_for: Duration::from_secs(unused_for),
        budget_bytes,
    };
    let report = place.store.gc(limits, NOW).expect("a clean-up");
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report
}

/// Layers on the base, each used a second after the one before.
fn layers<const N: usize>(place: &Place, names: [&str; N]) -> [Layer; N] {
    let mut used = 1_000;
    names.map(|name| {
        let layer = place.layer(inputs(name), 100_000);
        used += 1;
        last_used(place, &layer, used);
        layer
    })
}

pub(crate) fn a_layer_that_is_held_stays() {
    let place = Place::new();
    let [a, b] = layers(&place, ["a", "b"]);
    let held = place.store.hold(&[a.key.clone(), b.key.clone()]).unwrap();
    assert_eq!(held.layers(), [a.clone(), b.clone()]);
    let also = place.store.hold(std::slice::from_ref(&a.key)).unwrap();
    drop(held);
    let refused = place.store.remove(&a.key);
    assert!(matches!(refused, Err(StoreError::InUse { key }) if key == a.key));
    last_used(&place, &a, 1_000);
    let report = clean(&place, 0, Some(0));
    assert_eq!(report.in_use, std::slice::from_ref(&a.key));
    assert_eq!(report.removed, [b.key]);
    assert_eq!(report.kept_bytes, a.record.bytes);
    assert!(a.tree().join("file").exists());
    drop(also);
    place.store.remove(&a.key).unwrap();
    assert!(!place.has(&a.key));
    assert!(place.names("keys").is_empty());
}

pub(crate) fn a_layer_held_by_another_process_stays_until_that_dies() {
    let place = Place::new();
    let [a] = layers(&place, ["a"]);
    let mut child = start("hold", place.store.path(), &["a"]);
    wait_for(&mut child, "held");
    assert!(place.store.last_used(&a.key).unwrap() > Some(NOW));
    let refused = place.store.remove(&a.key);
    assert!(matches!(refused, Err(StoreError::InUse { .. })));
    child.kill().expect("it has not been waited for");
    child.wait().expect("an end");
    place.store.remove(&a.key).unwrap();
}

pub(crate) fn what_is_not_there_cannot_be_held() {
    let place = Place::new();
    let [a] = layers(&place, ["a"]);
    let missing = inputs("b").key();
    let refused = place.store.hold(&[a.key.clone(), missing.clone()]);
    assert!(matches!(refused, Err(StoreError::Missing { key }) if key == missing));
    assert_eq!(place.names("keys").len(), 1);
    let refused = place.store.remove(&missing);
    assert!(matches!(refused, Err(StoreError::Missing { .. })));
    // What was locked for it is not any more.
    place.store.remove(&a.key).unwrap();
}

pub(crate) fn a_layer_on_which_another_stands_stays() {
    let place = Place::new();
    let [below] = layers(&place, ["below"]);
    let above = place.layer(inputs_on("above", &below), 1);
    let refused = place.store.remove(&below.key);
    assert!(matches!(refused, Err(StoreError::StoodOn { above: key, .. }) if key == above.key));
    // It is old itself; what stands on it is not.
    last_used(&place, &above, NOW as u64);
    assert!(clean(&place, 100, None).removed.is_empty());
    let held = place.store.hold(std::slice::from_ref(&above.key)).unwrap();
    last_used(&place, &above, 1_000);
    assert!(clean(&place, 100, Some(0)).removed.is_empty());
    drop(held);
    place.store.remove(&above.key).unwrap();
    place.store.remove(&below.key).unwrap();
}

pub(crate) fn what_was_not_used_for_long_goes() {
    let place = Place::new();
    let [a, b, c] = layers(&place, ["a", "b", "c"]);
    last_used(&place, &a, NOW as u64 - 50);
    last_used(&place, &b, NOW as u64 - 51);
    // A clock that was wrong.
    last_used(&place, &c, NOW as u64 + 1_000_000);
    let failed = place.draft(inputs("failed"));
    failed.abandon().unwrap();
    let report = clean(&place, 51, None);
    assert_eq!(report.removed, [b.key]);
    assert_eq!(report.freed_bytes, b.record.bytes);
    assert_eq!(report.kept_bytes, a.record.bytes + c.record.bytes);
    assert!(place.has(&a.key) && place.has(&c.key));
    // A log goes by its age too, and this one is from after NOW.
    assert_eq!(place.names("logs").len(), 1);
    let limits = GcLimits {
        unused_for: Duration::ZERO,
        budget_bytes: None,
    };
    place.store.gc(limits, i64::MAX).unwrap();
    assert!(place.names("logs").is_empty());
    assert!(place.names("layers").is_empty());
}

pub(crate) fn the_least_recently_used_go_until_the_budget_is_met() {
    let place = Place::new();
    let [a, b, c, d] = layers(&place, ["a", "b", "c", "d"]);
    // It is used again, and then it is not the oldest.
    drop(place.store.hold(std::slice::from_ref(&a.key)).unwrap());
    let budget = a.record.bytes * 2;
    let report = clean(&place, 1_000_000, Some(budget));
    assert_eq!(report.removed, [b.key, c.key]);
    assert_eq!(report.kept_bytes, budget);
    assert!(place.has(&a.key) && place.has(&d.key));
    assert!(clean(&place, 1_000_000, Some(budget)).removed.is_empty());
}

pub(crate) fn an_image_goes_from_the_top() {
    let place = Place::new();
    let [one] = layers(&place, ["one"]);
    let two = place.layer(inputs_on("two", &one), 1);
    let three = place.layer(inputs_on("three", &two), 1);
    let other = place.layer(inputs_on("other", &one), 1);
    for layer in [&one, &two, &three, &other] {
        last_used(&place, layer, 1_000);
    }
    last_used(&place, &other, NOW as u64);
    let report = clean(&place, 100, None);
    assert_eq!(report.removed, [three.key, two.key]);
    assert!(place.has(&one.key) && place.has(&other.key));
    let report = clean(&place, 0, None);
    assert_eq!(report.removed, [other.key, one.key]);
}

pub(crate) fn what_is_no_layer_is_cleaned_up() {
    let place = Place::new();
    let [a, broken] = layers(&place, ["a", "broken"]);
    fs::remove_file(broken.directory.join("layer.json")).unwrap();
    let path = place.store.path();
    let digits = "b".repeat(64);
    fs::write(path.join("keys").join(&digits), "").unwrap();
    fs::write(path.join("layers").join(&digits), "").unwrap();
    fs::write(path.join("layers").join("notes"), "").unwrap();
    clean(&place, 1_000_000, None);
    assert!(place.has(&a.key));
    assert!(!broken.directory.exists());
    assert_eq!(place.names("keys").len(), 1);
    // What has no key's name is somebody else's.
    assert_eq!(place.names("layers").len(), 2);
    assert!(place.names("building").is_empty());
}

/// A build that ends without a layer removes its lock's file, while others may have it open and wait for it.
pub(crate) fn a_lock_that_was_removed_is_not_taken() {
    let place = Place::new();
    let children = [(); 4].map(|()| start("churn", place.store.path(), &["a"]));
    for child in children {
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success());
        assert_eq!(output.stdout, b"alone each time\n");
    }
    assert!(place.names("building").is_empty());
}
