//! A real Chromium, driven by way of a gateway.

use bailiwick_testkit::{Child, HttpServer, User};
use serde_json::{Value, json};

use super::{BUILD, Place, names, text};

/// A page on an allowed host opens; one on a denied host, on the server itself and on loopback does not, also where a page leads there (case 26),
/// and in another environment it is the other way around (59).
#[test]
fn system_a_browser_opens_what_its_environment_allows_and_nothing_else() {
    if !User::current().is_root() {
        eprintln!("skipped: the image has a package of apt, which needs root or subordinate ids");
        return;
    }
    let web = HttpServer::start();
    let port = web.address().port();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let place = Place::new(&["--sandbox-resolve", &pins[0], "--sandbox-resolve", &pins[1]]);
    // What no other environment of this machine is called.
    let elsewhere = format!("browser-{port}");
    place.environment(&elsewhere, "denied.test");
    let other = place.gateway("side", &elsewhere);
    let open = |url: String| json!(["playwright__browser_navigate", {"url": url}]);
    let at = |host: &str| format!("http://{host}:{port}/page");
    let leads = format!(
        "() => fetch('http://denied.test:{port}/leak', {{mode: 'no-cors'}}).then(() => 'came through', error => 'failed: ' + error)"
    );
    let calls = json!([
        open(at("allowed.test")),
        ["playwright__browser_evaluate", {"function": leads}],
        open(at("denied.test")),
        open(at("127.0.0.1")),
        open(format!("{}/readyz", place.up.url)),
        open("file:///etc/passwd".to_owned()),
        // The page of the last error may still be on its way.
        ["playwright__browser_wait_for", {"time": 2}],
        open(at("allowed.test")),
    ]);
    let answer = place.calls(&calls);
    for at in [0, 7] {
        assert!(opened(&answer, at), "the control: {answer:#}");
    }
    for at in [2, 3, 4, 5] {
        assert!(!opened(&answer, at), "{at}: {answer:#}");
    }
    assert!(text(&answer, 1).contains("failed"), "{answer:#}");
    assert!(!web.requests().iter().any(|asked| asked.contains("/leak")));
    let calls = json!([open(at("denied.test")), open(at("allowed.test"))]);
    let mut client = Child::start(&mut place.client("side", &other, &calls));
    place.until_sandboxes(&elsewhere, |count| count > 0);
    assert_eq!(client.wait(BUILD), 0, "{}", client.complained());
    let there: Value = serde_json::from_str(client.printed().trim()).unwrap();
    // It ends with its client's session.
    place.until_sandboxes(&elsewhere, |count| count == 0);
    assert!(opened(&there, 0), "the control: {there:#}");
    assert!(!opened(&there, 1), "{there:#}");
    let tools: Vec<_> = names(&answer)
        .into_iter()
        .filter(|it| it.starts_with("playwright__"))
        .collect();
    assert!(tools.len() > 20, "{answer:#}");
    place.up.stop();
}

/// Whether a page opened.
fn opened(answer: &Value, at: usize) -> bool {
    let said = &answer["said"][at];
    said["is_error"] == false
        && said["text"]
            .as_str()
            .is_some_and(|text| !text.contains("net::ERR"))
}

/// What is listed without a browser is what the package lists.
#[test]
fn system_what_is_listed_of_the_browser_is_what_its_package_lists() {
    let place = Place::new(&[]);
    let options = [
        "--headless",
        "--no-sandbox",
        "--isolated",
        "--browser",
        "chromium",
    ];
    let options = options.iter().flat_map(|option| ["--arg", option]);
    let package = [
        "--package",
        "npm:@playwright/mcp@0.0.83",
        "--command",
        "playwright-mcp",
    ];
    let how: Vec<_> = package.into_iter().chain(options).collect();
    place.enters("real", &how);
    // It is started, and then listed.
    let answer = place.calls(&json!([["real__browser_close", {}]]));
    let of = |server: &str| {
        let tools = answer["tools"].as_array().unwrap().iter();
        let own = tools.filter_map(|tool| {
            let name = tool["name"].as_str()?.strip_prefix(server)?.to_owned();
            Some((
                name,
                tool["inputSchema"].clone(),
                tool["description"].clone(),
            ))
        });
        let mut own: Vec<_> = own.collect();
        own.sort_by(|one, other| one.0.cmp(&other.0));
        own
    };
    let (known, real) = (of("playwright__"), of("real__"));
    assert!(real.len() > 20, "{answer:#}");
    assert_eq!(known, real);
    place.up.stop();
}
