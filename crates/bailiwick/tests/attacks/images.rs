//! Packages that mean harm, and packages that change under a sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bailiwick_testkit::{
    Bailiwick, Child, FileServer, GitRepository, HttpServer, LeakCheck, Run, User,
};

use crate::support::{PYTHON, everyone, host_command};

const BACKEND: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/attacks/probe/hostile_backend.py"
);
const INDEX: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/attacks/probe/hostile_index.py"
);
/// A build downloads a package manager's own packages, on a slow day.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const ENVIRONMENT: &str = "name: hostile\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allow_package_managers: true\n  packages: {pip: [hostile==1.0]}\n";

/// An index with one hostile package, served as a service of the host.
pub(crate) struct Index {
    _server: Child,
    _directory: tempfile::TempDir,
    port: u16,
}

impl Index {
    fn start(production: u16) -> Self {
        Self::of(Path::new(BACKEND), production)
    }

    /// With a package that this build backend makes.
    pub(crate) fn of(backend: &Path, production: u16) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = host_command(PYTHON, User::current());
        command
            .arg(INDEX)
            .arg(directory.path())
            .arg(backend)
            .arg(production.to_string());
        let server = Child::start(&mut command);
        let port = server.wait_for("the index", |line| line.parse().ok());
        Self {
            _server: server,
            _directory: directory,
            port,
        }
    }

    /// The key of the layer that was built from it.
    pub(crate) fn layer(&self, bailiwick: &Bailiwick) -> String {
        layer_from(bailiwick, self.port).expect("a layer")
    }

    pub(crate) fn registry(&self) -> String {
        format!("pip=http://host.internal:{}/simple", self.port)
    }

    /// A run in an environment with the package.
    pub(crate) fn run<'a>(&self, bailiwick: &'a Bailiwick) -> Run<'a> {
        bailiwick
            .run()
            .environment(ENVIRONMENT)
            .option("--registry")
            .option(self.registry())
            .host_variable("HOST_SECRET", "secret")
            .patience(PATIENCE)
    }
}

/// The key of the layer that was built from the registry at this port, if there is one; root's store is the machine's, and has others.
pub(crate) fn layer_from(bailiwick: &Bailiwick, port: u16) -> Option<String> {
    let listed = bailiwick
        .execute(["image", "list", "--format", "json"])
        .success();
    let layers: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).expect("JSON");
    let own = layers.iter().find(|layer| {
        let registries = layer["layer"]["inputs"]["content"]["registries"].as_array();
        let mut urls = registries
            .into_iter()
            .flatten()
            .filter_map(|url| url.as_str());
        urls.any(|url| url.contains(&format!(":{port}/")))
    });
    Some(own?["key"].as_str()?.to_owned())
}

#[test]
fn a_package_reaches_its_registry_and_nothing_else_while_it_is_installed() {
    let mut leaks = LeakCheck::begin();
    let production = HttpServer::start();
    let index = Index::start(production.address().port());
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        bailiwick.write("secret", "secret");
        bailiwick.write(bailiwick.home().join("secret"), "secret");
        let outcome = index
            .run(&bailiwick)
            .command([PYTHON, "-c", "import hostile, json; [print(name, '|', answer) for name, answer in json.loads(hostile.TOLD).items()]"])
            .success();
        let told = |name: &str| {
            let line = outcome
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name} | ")));
            line.unwrap_or_else(|| panic!("nothing about {name}: {outcome:#?}"))
                .to_owned()
        };
        assert_eq!(told("control"), "worked: 200");
        for attempt in [
            "production",
            "loopback",
            "name",
            "another registry",
            "metadata",
            "work directory",
            "secret",
            "home of the host",
            "mount",
        ] {
            let answer = told(attempt);
            let is_harmless = answer.starts_with("failed: ") || answer == "worked: []";
            assert!(is_harmless, "{attempt}: {answer}");
        }
        // While it is built, the bit can be set, as packages of distributions do; the layer does not have it.
        assert_eq!(told("setuid"), "worked: 0o104755");
        let look = "stat --format %a /usr/local/bin/setuid";
        assert_eq!(index.run(&bailiwick).script(look).success().stdout, "755\n");
        assert_eq!(told("outlive"), "worked: started", "control");
        // A build may set the bit, as Debian packages do; no layer has it.
        assert_eq!(told("setuid"), "worked: 0o104755", "control");
        let mode = index
            .run(&bailiwick)
            .command(["stat", "-c", "%a", "/usr/local/bin/setuid"]);
        assert_eq!(mode.success().stdout, "755\n");
        assert_eq!(told("flood"), "worked: 4000", "every one was refused");
        assert_eq!(told("control after the flood"), "worked: 200");
        let log = bailiwick.execute(["image", "log", &index.layer(&bailiwick)]);
        let log = log.success().stdout;
        assert!(
            log.contains("bailiwick: denied api.production.example.com"),
            "{log}"
        );
        assert!(!Path::new("/usr/bin/bailiwick-was-here").exists());
    }
    assert_eq!(production.connections(), 0);
}

#[test]
fn a_sandbox_keeps_the_packages_that_it_began_with() {
    let production = HttpServer::start();
    let index = Index::start(production.address().port());
    for bailiwick in everyone() {
        index.run(&bailiwick).script("true").success();
        let script = "python3 -c 'import hostile'; echo begun; while [ ! -e go ]; do sleep 0.05; done; python3 -c 'import hostile' && echo still there";
        let mut child = index.run(&bailiwick).start(["sh", "-c", script]);
        child.wait_for("the first import", |line| (line == "begun").then_some(()));
        let key = index.layer(&bailiwick);
        let refused = bailiwick.execute(["image", "remove", &key]);
        assert!(
            refused.code == 125 && refused.stderr.contains("in use"),
            "{refused:#?}"
        );
        bailiwick.write("go", "");
        child.wait_for("the second import", |line| {
            (line == "still there").then_some(())
        });
        assert_eq!(child.wait(PATIENCE), 0);
        // The control: nobody uses it any more.
        bailiwick.execute(["image", "remove", &key]).success();
    }
}

#[test]
fn a_setuid_file_that_has_come_into_a_layer_is_without_effect() {
    let production = HttpServer::start();
    let index = Index::start(production.address().port());
    for bailiwick in everyone() {
        index.run(&bailiwick).script("true").success();
        // As if a build had left it there: the program is the host's, and whoever owns the layer owns it.
        let key = index.layer(&bailiwick);
        let digits = key.trim_start_matches("sha256:");
        let layer = bailiwick.images().join("layers").join(digits);
        let program = fs::read("/usr/bin/id").expect("a program");
        let planted = bailiwick.write(layer.join("tree/usr/local/bin/who"), &program);
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o6755)).expect("the bits");
        let who = index
            .run(&bailiwick)
            .script("stat --format %a /usr/local/bin/who; who -u; who -g");
        assert_eq!(who.success().stdout, "6755\n1000\n1000\n");
        if bailiwick.user().is_root() {
            // The control: outside, where others can reach it, it makes them root.
            let outside = bailiwick.write(bailiwick.workspace().join("who"), &program);
            fs::set_permissions(&outside, fs::Permissions::from_mode(0o6755)).expect("the bits");
            let control = host_command(&outside.display().to_string(), User::ordinary())
                .arg("-u")
                .output();
            assert_eq!(control.expect("it runs").stdout, b"0\n");
        }
    }
}

#[test]
fn what_is_no_name_of_a_package_is_refused_before_anything_runs() {
    let hostile = [
        ("pip", "--index-url=http://evil.example.com/simple"),
        ("pip", "-e git+https://evil.example.com/x"),
        ("pip", "six; touch /tmp/x"),
        ("npm", "--registry=http://evil.example.com"),
        ("npm", "git+ssh://evil.example.com/x"),
        ("gem", "--source http://evil.example.com"),
        ("go", "-toolexec=/bin/sh"),
        ("cargo", "--git=https://evil.example.com/x"),
        ("apt", "-oDpkg::Pre-Invoke::=id"),
        ("apt", "/tmp/evil.deb"),
        ("pip", "six\\n--pre"),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let registry = FileServer::start(directory.path());
    let bailiwick = everyone().pop().expect("somebody");
    let build = |manager: &str, spec: &str| {
        let text =
            format!("name: x\nconfig:\n  type: cloud\n  packages: {{{manager}: [\"{spec}\"]}}\n");
        let file = bailiwick.write(bailiwick.home().join("x.yaml"), text);
        let url = format!("pip=http://host.internal:{}/", registry.port());
        let file = file.display().to_string();
        bailiwick.execute(["image", "build", "--registry", &url, "-f", &file])
    };
    for (manager, spec) in hostile {
        let refused = build(manager, spec);
        assert_eq!(refused.code, 2, "{spec}: {refused:#?}");
        let place = format!("config.packages.{manager}[0]");
        assert!(refused.stderr.contains(&place), "{spec}: {refused:#?}");
    }
    assert_eq!(registry.asked(), [""; 0]);
    // The control: a name is asked for.
    assert_eq!(build("pip", "no-such-package").code, 125);
    assert_eq!(registry.asked(), ["/no-such-package/"]);
}

#[test]
fn a_fifo_in_place_of_a_lock_is_told_and_not_waited_for() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let file = bailiwick.write("environment.yaml", "name: plain\nconfig: {type: cloud}\n");
        let run = |script: &str| {
            let run = bailiwick.run().option("-f").option(&file);
            run.patience(Duration::from_secs(60)).script(script)
        };
        run("mkfifo environment.lock").success();
        let outcome = run("true").exits(2);
        assert!(outcome.stderr.contains("environment.lock"), "{outcome:#?}");
        fs::remove_file(bailiwick.workspace().join("environment.lock")).expect("it goes");
        run("true").success();
    }
}

#[test]
fn what_a_set_up_leaves_running_does_not_hold_its_build() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let repository = GitRepository::new("app");
        repository.write("file", "one").commit("first");
        let text = format!(
            "name: plain\nconfig:\n  type: cloud\n  project: {{repository: '{}', setup: ['sleep 600 & echo begun > begun']}}\n",
            repository.url()
        );
        let outcome = bailiwick
            .run()
            .environment(&text)
            .patience(Duration::from_secs(120))
            .script("cat begun");
        assert_eq!(outcome.success().stdout, "begun\n");
    }
}
