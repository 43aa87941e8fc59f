//! What the cases have in common.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bailiwick_images::{Begin, Below, Content, Draft, Layer, LayerInputs, Store};
use bailiwick_model::PackageManager;
use bailiwick_runtime::LayerDigest;
use rustix::process::DumpableBehavior;
use rustix::thread::{Gid, Uid};
use tempfile::TempDir;

/// The flag behind which the name and arguments of a role stand.
pub(crate) const ROLE: &str = "--role";
/// The directories of a store, and itself.
pub(crate) const PARTS: [&str; 7] = [
    "",
    "layers",
    "building",
    "logs",
    "keys",
    "generations",
    "repositories",
];
/// A user without a name, groups or subordinate ids.
const ORDINARY: u32 = 12345;

/// A store in a directory of its own.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path().join("images")).expect("a store");
        Self { directory, store }
    }

    /// As the next process would.
    pub(crate) fn open_again(&self) -> Store {
        Store::open(self.store.path()).expect("the store opens")
    }

    /// Begins a build that must be there to be begun.
    pub(crate) fn draft(&self, inputs: LayerInputs) -> Draft {
        match self.store.begin(inputs).expect("it begins") {
            Begin::Build(draft) => draft,
            other @ (Begin::Ready(_) | Begin::Busy) => panic!("no build: {other:?}"),
        }
    }

    /// A layer with one file of so many bytes.
    pub(crate) fn layer(&self, inputs: LayerInputs, bytes: usize) -> Layer {
        let draft = self.draft(inputs);
        fs::write(draft.tree().join("file"), vec![b'x'; bytes]).expect("a file");
        draft.commit(Vec::new(), 0, 1).expect("a layer")
    }

    pub(crate) fn has(&self, key: &LayerDigest) -> bool {
        self.store.find(key).expect("a look").is_some()
    }

    /// The names in a directory of the store.
    pub(crate) fn names(&self, part: &str) -> Vec<String> {
        let entries = fs::read_dir(self.store.path().join(part)).expect("a directory");
        let name = |e: std::io::Result<fs::DirEntry>| e.expect("an entry").file_name();
        entries
            .map(|e| name(e).to_string_lossy().into_owned())
            .collect()
    }
}

/// Inputs that differ by their name.
pub(crate) fn inputs(name: &str) -> LayerInputs {
    LayerInputs {
        organization: "acme".into(),
        below: Below::Base("base".into()),
        architecture: "x86_64".into(),
        recipe: 1,
        content: Content::Packages {
            manager: PackageManager::Pip,
            specs: vec![name.into()],
            registries: Vec::new(),
            lock: None,
        },
        generation: 0,
    }
}

/// Inputs of a layer on another.
pub(crate) fn inputs_on(name: &str, below: &Layer) -> LayerInputs {
    LayerInputs {
        below: Below::Layer(below.key.clone()),
        ..inputs(name)
    }
}

/// Sets when a layer was last used.
pub(crate) fn last_used(place: &Place, layer: &Layer, seconds: u64) {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let digits = layer.key.to_string().replace("sha256:", "");
    let lock = File::open(place.store.path().join("keys").join(digits)).expect("its lock");
    lock.set_modified(time).expect("its time");
}

/// Writes a line, so that whoever started this sees it at once.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").expect("a reader");
    out.flush().expect("a reader");
}

/// A role of this program, in a process of its own, as the same user; see `child.rs`.
pub(crate) fn start(role: &str, store: &Path, arguments: &[&str]) -> Child {
    this_program()
        .arg(ROLE)
        .arg(role)
        .arg(store)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test starts itself again, to be killed or to be another process"
)]
pub(crate) fn this_program() -> Command {
    // By this name the ordinary user has it too, wherever it lies.
    Command::new("/proc/self/exe")
}

/// Gives up being root, for the whole process, which has one thread.
pub(crate) fn become_ordinary_user() {
    let (uid, gid) = (Uid::from_raw(ORDINARY), Gid::from_raw(ORDINARY));
    rustix::thread::set_thread_groups(&[]).expect("no groups");
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("another group");
    rustix::thread::set_thread_res_uid(uid, uid, uid).expect("another user");
    // As after the execve(2) of a login: else /proc/self/exe is not ours.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).expect("prctl");
    rustix::process::chdir(Path::new("/")).expect("the root directory");
}
