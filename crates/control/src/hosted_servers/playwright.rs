//! Playwright: a browser for whoever is served by a gateway. It is built in, so that it is in no catalog and belongs to no environment; it runs in a
//! sandbox of its caller's environment, and what it may open is what that allows.
//!
//! Chromium's own sandbox needs namespaces of its own, which no program in a sandbox may make. So it is off (`--no-sandbox`): what isolates a page is
//! the sandbox that the browser runs in, which has nothing but this browser.

use std::collections::BTreeMap;

use bailiwick_model::{EnvironmentId, OrganizationId, PackageManager, PackageSpec, Packages};
use bailiwick_runtime::Limits;
use url::Url;

use super::server::{Holder, HostedServer, HostedTransport};

/// By what it is known among servers: no id of an entry of the catalog looks like it.
const ENTRY: &str = "built-in:playwright";
/// As the registry has it. It brings no browser.
const PACKAGE: &str = "@playwright/mcp@0.0.83";
const PROGRAM: &str = "playwright-mcp";
/// Debian's.
const BROWSER_PACKAGE: &str = "chromium";
/// The program itself. Its package has a script in front of it, which reads settings in `/etc`: where the machine has the package, so has a sandbox on
/// its userland, but without those.
const BROWSER: &str = "/usr/lib/chromium/chromium";
/// Where it puts pictures and downloads, inside.
const OUTPUT: &str = "/tmp/playwright";

/// How Playwright is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playwright {
    /// The program and the arguments that come first.
    pub program: Vec<String>,
    /// The browser's file, inside.
    pub browser: String,
    /// What is installed for it besides the packages of the environment.
    pub packages: Packages,
    /// More arguments.
    pub arguments: Vec<String>,
}

/// With Debian's browser, and a version of the server whose program and arguments are known to be these.
impl Default for Playwright {
    fn default() -> Self {
        let mut packages = Packages::default();
        for (manager, text) in [
            (PackageManager::Apt, BROWSER_PACKAGE),
            (PackageManager::Npm, PACKAGE),
        ] {
            let spec = PackageSpec::parse(manager, text).expect("it is a package");
            packages.add(spec).expect("two packages are not too many");
        }
        Self {
            program: vec![PROGRAM.to_owned()],
            browser: BROWSER.to_owned(),
            packages,
            arguments: Vec::new(),
        }
    }
}

impl Playwright {
    /// Whether a server is one of these.
    pub(crate) fn is_it(server: &HostedServer) -> bool {
        server.entry == ENTRY
    }

    /// Where it is, for a gateway.
    pub(crate) fn url() -> Url {
        HostedTransport::Stdio.url().expect("a URL without a path")
    }

    /// The one of a caller in an environment: nobody else sees its pages.
    ///
    /// `holder` tells callers apart, or their sessions.
    pub fn of(
        &self,
        organization: OrganizationId,
        environment: EnvironmentId,
        holder: Holder,
    ) -> HostedServer {
        let arguments = [
            "--headless",
            // The sandbox is ours.
            "--no-sandbox",
            // Nothing is kept of a profile.
            "--isolated",
            "--browser",
            "chromium",
            "--executable-path",
            &*self.browser,
            "--output-dir",
            OUTPUT,
        ];
        let arguments = arguments.map(str::to_owned);
        let command = self.program.iter().cloned().chain(arguments);
        HostedServer {
            organization,
            environment,
            entry: ENTRY.to_owned(),
            holder,
            command: command.chain(self.arguments.iter().cloned()).collect(),
            packages: self.packages.clone(),
            variables: BTreeMap::new(),
            secrets: Vec::new(),
            transport: HostedTransport::Stdio,
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::ResourceId as _;

    use super::*;

    #[test]
    fn each_caller_has_a_browser_of_their_own() {
        let of = |holder: &str| {
            Playwright::default().of(
                OrganizationId::made(0, [1; 10]),
                EnvironmentId::made(0, [2; 10]),
                Holder::One(holder.to_owned()),
            )
        };
        assert_eq!(of("ann").check(), Ok(()));
        assert_ne!(of("ann"), of("ben"));
        assert!(of("ann").command.contains(&"--no-sandbox".to_owned()));
    }
}
