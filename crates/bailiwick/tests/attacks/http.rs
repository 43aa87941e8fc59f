//! HTTP through the relay: other hosts on an allowed connection, proxies, and redirects.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bailiwick_model::Reason;
use bailiwick_testkit::{HttpServer, LeakCheck};

use crate::support::{REFUSED, everyone, inside};

const OTHER_HOSTS: &str = include_str!("probe/other_hosts.py");

#[test]
fn a_request_for_another_host_is_refused_wherever_it_stands_on_the_connection() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick
                .run()
                .allowing(&["api.test"])
                .resolve("api.test", server.address()),
            &OTHER_HOSTS.replace("PORT", &port.to_string()),
        );
        told.said("control", "ok 200")
            .said("pipelined control", "ok True");
        for name in told.names().filter(|name| !name.contains("control")) {
            assert!(!told.answer(name).contains("ok True"), "{name} {told:?}");
        }
        let outcome = told.outcome.as_ref().unwrap();
        assert!(
            outcome
                .flows_to(&format!("api.test:{port}"))
                .iter()
                .any(|flow| flow.reason == Reason::HostMismatch)
        );
    }
    let reached: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|head| head.contains("evil"))
        .collect();
    assert!(reached.is_empty(), "the server saw {reached:#?}");
}

#[test]
fn proxies_and_overrides_of_a_client_change_nothing() {
    let (_leaks, server, proxy) = (LeakCheck::begin(), HttpServer::start(), HttpServer::start());
    let [port, proxy_port] = [server.address().port(), proxy.address().port()];
    let status = "curl -s -o /dev/null -w '%{http_code}' --max-time 5";
    for bailiwick in everyone() {
        let run = bailiwick
            .run()
            .allowing(&["api.test"])
            .resolve("api.test", server.address())
            .resolve("evil.test", proxy.address());
        let run = run
            .host_variable("http_proxy", "")
            .option("-e")
            .option("MARK=1");
        let told = inside(
            run,
            &format!(
                r#"
            def curl(*words, **variables):
                command = "{status}".replace("'", "").split() + list(words)
                answer = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **variables))
                if answer.stdout in ["000", "403"]: raise ConnectionResetError(104, "")
                return answer.stdout
            tell("control", lambda: curl("http://api.test:{port}/"))
            tell("no proxy", lambda: curl("--noproxy", "*", "http://evil.test:{proxy_port}/"))
            tell("unset", lambda: curl("http://evil.test:{proxy_port}/", http_proxy="", HTTPS_PROXY="", ALL_PROXY=""))
            for proxy in ["http://127.0.0.1:{proxy_port}", "http://evil.test:{proxy_port}", "socks5h://192.0.2.77:1080", "http://api.test:{port}"]:
                tell(f"proxy {{proxy}}", lambda: curl("-x", proxy, "http://evil.test:{proxy_port}/"))
                tell(f"tunnel {{proxy}}", lambda: curl("-p", "-x", proxy, "http://evil.test:{proxy_port}/"))
            tell("connect to", lambda: curl("--connect-to", "::api.test:{port}", "http://evil.test/"))
            tell("connect to address", lambda: curl("--connect-to", "::127.0.0.1:{proxy_port}", "http://api.test:{port}/"))
            tell("resolve", lambda: curl("--resolve", "api.test:{proxy_port}:127.0.0.1", "http://api.test:{proxy_port}/"))
            tell("host header", lambda: curl("-H", "Host: evil.test", "http://api.test:{port}/"))
            tell("interface", lambda: curl("--interface", "127.0.0.1", "http://evil.test:{proxy_port}/"))
            tell("doh", lambda: curl("--doh-url", "https://1.1.1.1/dns-query", "http://evil.test:{proxy_port}/"))
            tell("percent", lambda: curl("http://evil%2etest:{proxy_port}/"))
            tell("user information", lambda: curl("http://api.test:{port}@evil.test:{proxy_port}/"))
        "#
            ),
        );
        told.said("control", "ok 200")
            .all_failed_but(&["control"], &["ECONNRESET"]);
    }
    assert_eq!(proxy.connections(), 0);
    assert!(server.requests().iter().all(|head| !head.contains("evil")));
}

#[test]
fn a_redirect_is_followed_only_to_what_is_allowed() {
    let (_leaks, evil, good) = (LeakCheck::begin(), HttpServer::start(), HttpServer::start());
    let redirector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = redirector.local_addr().unwrap();
    let [evil_port, good_port] = [evil.address().port(), good.address().port()];
    std::thread::spawn(move || {
        for stream in redirector.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut head = [0; 2048];
            let length = stream.read(&mut head).unwrap_or(0);
            let target = String::from_utf8_lossy(&head[..length]);
            let target = target
                .split(' ')
                .nth(1)
                .unwrap_or("/")
                .trim_start_matches('/')
                .to_owned();
            let _ = write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    for bailiwick in everyone() {
        let run = bailiwick.run().allowing(&["api.test", "good.test"]);
        let run = run
            .resolve("api.test", address)
            .resolve("good.test", good.address())
            .resolve("evil.test", evil.address());
        let told = inside(
            run,
            &format!(
                r#"
            def follow(target):
                answer = subprocess.run(["curl", "-sL", "-o", "/dev/null", "-w", "%{{http_code}}", "--max-time", "5", "http://api.test:{port}/" + target], capture_output=True, text=True)
                if answer.stdout in ["000", "302", "403"]: raise ConnectionResetError(104, "")
                return answer.stdout
            tell("good", lambda: follow("http://good.test:{good_port}/"))
            for target in ["http://evil.test:{evil_port}/", "http://127.0.0.1:{evil_port}/", "http://[::1]:{evil_port}/", "http://169.254.169.254/", "//evil.test:{evil_port}/", "http://0.0.0.0:{evil_port}/"]:
                tell(target, lambda: follow(target))
        "#,
                port = address.port()
            ),
        );
        told.said("good", "ok 200")
            .all_failed_but(&["good"], &["ECONNRESET"]);
    }
    assert_eq!(evil.connections(), 0);
}

#[test]
fn slow_and_idle_connections_starve_nobody() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let slow = bailiwick
            .run()
            .allowing(&["api.test"])
            .resolve("api.test", server.address());
        let hold = crate::support::with_prelude(&format!(
            r#"
            held = []
            for n in range(1500):
                try: held.append(connect("api.test", {port})); held[-1].sendall(b"GET /slow")
                except OSError: pass
            print("holding", len(held), flush=True)
            time.sleep(100)
        "#
        ));
        let mut slow = slow.start([crate::support::PYTHON, "-c", &hold]);
        slow.wait_for("connections", |line| {
            line.starts_with("holding").then_some(())
        });
        let told = inside(
            bailiwick
                .run()
                .allowing(&["api.test"])
                .resolve("api.test", server.address()),
            &format!(
                r#"
            begun = time.monotonic()
            for n in range(20):
                tell(str(n), lambda: http("api.test", {port}))
            tell("fast", lambda: time.monotonic() - begun < 20)
        "#
            ),
        );
        slow.signal(rustix::process::Signal::TERM);
        slow.wait(crate::support::PATIENCE);
        told.said("fast", "ok True");
        (0..20).for_each(|n| {
            told.said(&n.to_string(), "ok 200");
        });
    }
}

#[test]
fn a_sandbox_with_all_its_connections_in_use_is_refused_more_and_recovers() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick
                .run()
                .allowing(&["api.test"])
                .resolve("api.test", server.address()),
            &format!(
                r#"
            import resource
            here = socket.gethostbyname("api.test")
            held, refused = [], 0
            for n in range(1100):
                try:
                    stream = connect(here, {port})
                    stream.sendall(b"GET /held")
                    held.append(stream)
                except OSError: refused += 1
            def until(condition):
                end = time.monotonic() + 20
                while not (found := condition()) and time.monotonic() < end: time.sleep(0.05)
                return found
            def is_alive(stream):
                stream.setblocking(False)
                try: return stream.recv(1, socket.MSG_PEEK) != b""
                except BlockingIOError: return True
                except OSError: return False
            alive = lambda: sum(map(is_alive, held))
            # What is too much is accepted and then reset.
            tell("within", lambda: until(lambda: alive() <= 1024) and 900 < alive())
            tell("beyond", lambda: http(here, {port}, "api.test:{port}"))
            for stream in held: stream.close()
            def again():
                try: return http(here, {port}, "api.test:{port}")
                except OSError: return None
            tell("after", lambda: until(again))
        "#
            ),
        );
        told.said("within", "ok True")
            .failed("beyond", REFUSED)
            .said("after", "ok 200");
        told.outcome
            .as_ref()
            .unwrap()
            .flows
            .iter()
            .find(|flow| flow.reason == Reason::ConnectionLimit)
            .expect("it is told");
    }
}
