//! One sandbox beside another.

use bailiwick_testkit::LeakCheck;

use crate::support::{PATIENCE, PYTHON, REFUSED, everyone, inside, told, with_prelude};

#[test]
fn one_sandbox_does_not_reach_another() {
    let _leaks = LeakCheck::begin();
    let serve = r#"
        import http.server, threading
        server = http.server.HTTPServer(("0.0.0.0", 18099), http.server.SimpleHTTPRequestHandler)
        unix = socket.socket(AF_UNIX); unix.bind("\0bailiwick-attack"); unix.listen()
        open("/dev/shm/bailiwick-attack", "w").write("x"); open("/tmp/bailiwick-attack", "w").write("x")
        LIBC.shmget(0x4242, 4096, 0o1666)
        print("serving", os.environ["BAILIWICK_SANDBOX"], flush=True)
        threading.Timer(300, lambda: os._exit(0)).start()
        server.serve_forever()
    "#;
    let probe = r#"
        for address in ["127.0.0.1", "198.19.255.254", "198.19.255.253", "198.18.0.1", "fd62:6169:6c69::1", "::1", "host.internal"]:
            tell(address, lambda: globals()["http"](address, 18099))
        tell("abstract socket", lambda: socket.socket(AF_UNIX).connect("\0bailiwick-attack"))
        tell("shared memory file", lambda: len(open("/dev/shm/bailiwick-attack").read()))
        tell("temporary file", lambda: len(open("/tmp/bailiwick-attack").read()))
        tell("shared memory", lambda: syscall(29, 0x4242, 0, 0))
        tell("processes", lambda: sum(1 for pid in os.listdir("/proc") if pid.isdigit()) > 3 or None.x)
    "#;
    for bailiwick in everyone() {
        let mut other = bailiwick.run().start([PYTHON, "-c", &with_prelude(serve)]);
        let id = other.wait_for("the other sandbox", |line| {
            Some(line.strip_prefix("serving ")?.to_owned())
        });
        let alone = inside(bailiwick.run(), probe);
        alone
            .all_failed_but(&["processes"], &[REFUSED, &["ENOENT", "EPERM"]].concat())
            .said("processes", "AttributeError");
        // The control: the same probe beside the server, in the same sandbox.
        let outcome = bailiwick
            .execute(["exec", &id, "--", PYTHON, "-c", &with_prelude(probe)])
            .success();
        let beside = told(&outcome.stdout);
        beside
            .said("127.0.0.1", "ok 200")
            .worked("abstract socket")
            .worked("shared memory file")
            .worked("temporary file")
            .worked("shared memory");
        bailiwick.execute(["kill", &id]).success();
        other.wait(PATIENCE);
    }
}
