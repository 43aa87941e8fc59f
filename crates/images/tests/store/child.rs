//! What this program does when a case starts it again, most often to be killed.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_images::{Begin, Draft, Layer, Store};

use crate::harness::{inputs, say};

/// Files in a tree that can be told from half of it.
const FILES: usize = 60;

/// Plays a role: its name, the store, its argument.
pub(crate) fn run(arguments: &[&str]) {
    let [role, store, argument] = arguments else {
        panic!("a role, a store and an argument, not {arguments:?}");
    };
    match *role {
        "build" => build(store, argument),
        "build-slowly" => build_slowly(store, argument),
        "churn" => churn(store, argument),
        "hold" => hold(store, argument),
        "open" => drop(Store::open(*store).expect("a store")),
        "remove" => remove(store, argument),
        "remove-tree" => bailiwick_images::store::remove_tree(Path::new(argument)).expect("gone"),
        other => panic!("no such role: {other}"),
    }
}

/// Builds the layer, or waits for who does; says which.
fn build(store: &str, name: &str) {
    let store = Store::open(store).expect("a store");
    say("open");
    loop {
        match store.begin(inputs(name)).expect("it begins") {
            Begin::Ready(layer) => {
                verify(&layer);
                say("ready");
                return;
            }
            Begin::Busy => std::thread::sleep(Duration::from_millis(1)),
            Begin::Build(draft) => {
                fill(&draft);
                draft.commit(Vec::new(), 1, 1).expect("a layer");
                say("built");
                return;
            }
        }
    }
}

/// Builds the layer, but commits only when told to.
fn build_slowly(store: &str, name: &str) {
    let store = Store::open(store).expect("a store");
    let Begin::Build(draft) = store.begin(inputs(name)).expect("it begins") else {
        panic!("nothing to build");
    };
    fill(&draft);
    writeln!(draft.log().expect("a log"), "half way").expect("a line");
    say("building");
    wait();
    draft.commit(Vec::new(), 1, 1).expect("a layer");
    say("built");
}

/// Begins and abandons builds, each of which must be the only one while it lasts.
fn churn(store: &str, name: &str) {
    let marker = Path::new(store).with_file_name("marker");
    let store = Store::open(store).expect("a store");
    let mut builds = 0;
    while builds < 200 {
        if let Begin::Build(draft) = store.begin(inputs(name)).expect("it begins") {
            fs::File::create_new(&marker).expect("nobody else builds");
            fs::remove_file(&marker).expect("nobody else builds");
            draft.abandon().expect("it ends");
            builds += 1;
        }
    }
    say("alone each time");
}

fn hold(store: &str, name: &str) {
    let store = Store::open(store).expect("a store");
    let held = store.hold(&[inputs(name).key()]).expect("it is held");
    say("held");
    wait();
    drop(held);
}

fn remove(store: &str, name: &str) {
    let store = Store::open(store).expect("a store");
    say("open");
    store.remove(&inputs(name).key()).expect("it goes");
}

/// Until whoever started this closes its end.
fn wait() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// Fills a tree in which every file is known by its hash, and the list of them names what it was made of.
fn fill(draft: &Draft) {
    let name = &draft.inputs().content.declared();
    let mut manifest = format!("{name}\n");
    for number in 0..FILES {
        let directory = format!("usr/lib/{}", number % 7);
        fs::create_dir_all(draft.tree().join(&directory)).expect("a directory");
        let file = format!("{directory}/{number}");
        let text = format!("{name} {number}\n").repeat(number * 20 + 1);
        writeln!(manifest, "{file} {}", hash(text.as_bytes())).expect("a string grows");
        fs::write(draft.tree().join(file), text).expect("a file");
    }
    fs::write(draft.tree().join("manifest"), manifest).expect("a file");
    fs::create_dir_all(draft.work().join("work/inner")).expect("a directory");
}

/// Fails the test whose layer is not exactly what its build wrote.
pub(crate) fn verify(layer: &Layer) {
    let manifest = fs::read_to_string(layer.tree().join("manifest")).expect("a manifest");
    let mut lines = manifest.lines();
    assert_eq!(
        lines.next(),
        Some(layer.record.inputs.content.declared().as_str())
    );
    let mut count = 0;
    for line in lines {
        let (file, wanted) = line.split_once(' ').expect("a file and its hash");
        let bytes = fs::read(layer.tree().join(file)).expect("a file of the manifest");
        assert_eq!(hash(&bytes), wanted, "{file}");
        count += 1;
    }
    assert_eq!(count, FILES);
    assert_eq!(layer.record.files, FILES as u64 + 1);
    assert!(!layer.directory.join("work").exists());
    assert!(layer.directory.join("log").exists());
}

fn hash(bytes: &[u8]) -> String {
    format!("{:?}", digest(&SHA256, bytes))
}
