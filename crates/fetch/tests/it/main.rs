//! Pages of servers on loopback, which names are pinned to: what is fetched, and what is not.

mod attacks;
mod bodies;
mod pages;
mod server;

use std::sync::{Arc, Mutex};

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_fetch::{FetchError, Page, Visitor, Web};
use bailiwick_model::{Flow, PolicySource, Reason};
use bailiwick_outbound::{Account, Outbound, trusting};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, OrganizationFloor, Pins, Policy, SessionGrants,
};
use jiff::Timestamp;
use server::Server;

/// More than the pages of these tests have.
const MOST: usize = 1 << 20;

/// A web of servers, and the policy of an environment.
struct World {
    pins: Vec<String>,
    policy: EgressPolicy,
    floor: OrganizationFloor,
    certificates: Option<String>,
}

/// What came of a fetch.
struct Fetched {
    page: Result<Page, FetchError>,
    flows: Vec<Flow>,
}

impl World {
    /// Everything public may be fetched.
    fn unrestricted() -> Self {
        Self {
            pins: Vec::new(),
            policy: EgressPolicy::unrestricted(),
            floor: OrganizationFloor::empty(),
            certificates: None,
        }
    }

    /// These hosts may.
    fn limited(hosts: &[&str]) -> Self {
        let policy = EgressPolicy {
            allowed_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            ..EgressPolicy::limited()
        };
        Self {
            policy,
            ..Self::unrestricted()
        }
    }

    /// With a name that leads to a server.
    fn with(mut self, name: &str, server: &Server) -> Self {
        self.pins.push(format!("{name}={}", server.address()));
        self
    }

    /// With a server's own authority beside those of this machine.
    fn trusting(mut self, server: &Server) -> Self {
        self.certificates.clone_from(&server.authority);
        self
    }

    async fn get(&self, url: &str) -> Fetched {
        self.get_at_most(url, MOST).await
    }

    async fn get_at_most(&self, url: &str, most: usize) -> Fetched {
        let flows = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&flows);
        let record = move |flow| all.lock().unwrap().push(flow);
        let page = self.ask(url, most, record).await;
        let flows = std::mem::take(&mut *flows.lock().unwrap());
        Fetched { page, flows }
    }

    async fn ask(
        &self,
        url: &str,
        most: usize,
        record: impl Fn(Flow) + Send + Sync + 'static,
    ) -> Result<Page, FetchError> {
        let effective = EffectivePolicy {
            policy: self.policy.clone(),
            source: PolicySource::BuiltIn,
        };
        let policy = Policy::compile(effective, &self.floor, &SessionGrants::none());
        let account = Account {
            sandbox: "one".parse().unwrap(),
            environment: None,
            now: || Timestamp::UNIX_EPOCH,
            record: Box::new(record),
        };
        let visitor = Visitor {
            policy: &policy,
            account: Arc::new(account),
        };
        let url = url.parse().unwrap();
        self.web().get(&visitor, &url, most).await
    }

    fn web(&self) -> Web {
        let loopback = ["127.0.0.1", "::1"].map(|address| address.parse().unwrap());
        let facts = HostFacts {
            addresses: loopback.to_vec(),
            listeners: Vec::new(),
        };
        let (_, host) = tokio::sync::watch::channel(Arc::new(facts));
        let pins = self.pins.iter().map(|pin| pin.parse().unwrap());
        let dialer = Dialer::new(DialOptions {
            pins: pins.collect::<Pins>(),
            ..DialOptions::new(host)
        });
        let tls = trusting(self.certificates.as_deref()).unwrap();
        Web::new(Outbound::new(Arc::new(dialer), tls))
    }
}

impl Fetched {
    /// The body of a success, with one flow that was allowed.
    #[track_caller]
    fn body(&self) -> &[u8] {
        let page = self.page.as_ref().expect("a page");
        assert_eq!(page.status, 200);
        assert_eq!(self.flow().verdict, bailiwick_model::Verdict::Allow);
        &page.body
    }

    /// The one flow.
    #[track_caller]
    fn flow(&self) -> &Flow {
        let [flow] = &self.flows[..] else {
            panic!("not one flow: {:?}", self.flows);
        };
        flow
    }

    /// Why it was denied, of which there is a flow.
    #[track_caller]
    fn denied(&self) -> Reason {
        let Err(FetchError::Denied(decision)) = &self.page else {
            panic!("not denied: {:?}", self.page);
        };
        assert_eq!(self.flow().reason, decision.reason);
        assert_eq!(self.flow().hint, decision.hint);
        assert_eq!(self.flow().verdict, bailiwick_model::Verdict::Deny);
        decision.reason
    }

    #[track_caller]
    fn error(&self) -> &FetchError {
        self.page.as_ref().expect_err("no page")
    }
}

/// An answer of HTTP/1.1.
fn answer(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}
