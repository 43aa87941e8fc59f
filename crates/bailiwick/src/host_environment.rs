//! The one place that reads the host's environment variables.

use std::ffi::OsString;
use std::path::PathBuf;

use bailiwick_dial::ProxyVariables;
use bailiwick_images::base::oci::Login;
use bailiwick_images::{LOGIN_PASSWORD, LOGIN_USER};

/// What Bailiwick takes from its caller's environment; nothing else of it has any effect.
#[derive(Clone)]
pub(crate) struct HostEnvironment {
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub(crate) no_color: bool,
    /// `TERM`, `COLORTERM`, `LANG`, `LC_*`, `TZ` and `NO_COLOR`: handed to the sandbox as they are.
    pub(crate) terminal: Vec<(OsString, OsString)>,
    /// The proxy through which this machine reaches the network.
    pub(crate) proxy: ProxyVariables,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub(crate) state_home: Option<PathBuf>,
    /// `BAILIWICK_REGISTRY_USER` and `BAILIWICK_REGISTRY_PASSWORD`: who pulls images.
    pub(crate) registry_login: Option<Login>,
    /// The directory of docker's configuration: `DOCKER_CONFIG`, or `.docker` in the home.
    pub(crate) docker: Option<PathBuf>,
    /// `BAILIWICK_BOOTSTRAP_KEY`: the administrator's key of a first start.
    pub(crate) bootstrap_key: Option<String>,
    /// `BAILIWICK_SECRET_KEY`: the keys that secrets are sealed with.
    pub(crate) secret_key: Option<String>,
    /// `BAILIWICK_EXPORT_SECRET`: what webhooks are signed with.
    pub(crate) export_secret: Option<String>,
    /// `BAILIWICK_DATABASE_URL`: a server's database. Its password is seen by nobody else here, as one on the command line would be.
    pub(crate) database_url: Option<String>,
    /// `BAILIWICK_LOG`: how much a server logs.
    pub(crate) log_level: Option<String>,
    /// `BAILIWICK_SERVER`: the server that commands ask.
    pub(crate) server: Option<String>,
    /// `BAILIWICK_API_KEY`: the key that they show it.
    pub(crate) api_key: Option<String>,
    /// `ANTHROPIC_API_KEY`: what a server shows the upstream of its models.
    pub(crate) model_key: Option<String>,
    /// `ANTHROPIC_BASE_URL`: where that is; to a worker, the service that it works for.
    pub(crate) model_url: Option<String>,
    /// `ANTHROPIC_ENVIRONMENT_ID`: the environment that a worker works for.
    pub(crate) environment_id: Option<String>,
    /// `ANTHROPIC_ENVIRONMENT_KEY`: the key that it shows.
    pub(crate) environment_key: Option<String>,
    /// `OTEL_…`: where a server's telemetry goes.
    pub(crate) telemetry: bailiwick_telemetry::Variables,
    /// `SSL_CERT_FILE`: the CA bundle that this host trusts instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Those that hold secrets of Bailiwick's own: no program that it starts gets them.
pub(crate) const SECRETS: [&str; 7] = [
    LOGIN_PASSWORD,
    "ANTHROPIC_ENVIRONMENT_KEY",
    "BAILIWICK_API_KEY",
    "BAILIWICK_BOOTSTRAP_KEY",
    "BAILIWICK_DATABASE_URL",
    "BAILIWICK_EXPORT_SECRET",
    "BAILIWICK_SECRET_KEY",
];

/// The variables that say how the terminal looks and which language its user speaks.
const TERMINAL: &[&str] = &["TERM", "COLORTERM", "LANG", "TZ", "NO_COLOR"];

impl HostEnvironment {
    /// Reads it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads environment variables"
    )]
    pub(crate) fn read() -> Self {
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            terminal: std::env::vars_os()
                .filter(|(name, _)| is_about_the_terminal(name))
                .collect(),
            // `HTTP_PROXY` can come from a request where programs run as CGI (httpoxy), so curl does not read it either.
            proxy: ProxyVariables {
                https_proxy: first(&["https_proxy", "HTTPS_PROXY"]),
                http_proxy: first(&["http_proxy"]),
                all_proxy: first(&["all_proxy", "ALL_PROXY"]),
                no_proxy: first(&["no_proxy", "NO_PROXY"]),
            },
            registry_login: first(&[LOGIN_USER])
                .zip(first(&[LOGIN_PASSWORD]))
                .map(|(user, password)| Login { user, password }),
            bootstrap_key: first(&["BAILIWICK_BOOTSTRAP_KEY"]),
            secret_key: first(&["BAILIWICK_SECRET_KEY"]),
            export_secret: first(&["BAILIWICK_EXPORT_SECRET"]),
            database_url: first(&["BAILIWICK_DATABASE_URL"]),
            log_level: first(&["BAILIWICK_LOG"]),
            server: first(&["BAILIWICK_SERVER"]),
            api_key: first(&["BAILIWICK_API_KEY"]),
            model_key: first(&["ANTHROPIC_API_KEY"]),
            model_url: first(&["ANTHROPIC_BASE_URL"]),
            environment_id: first(&["ANTHROPIC_ENVIRONMENT_ID"]),
            environment_key: first(&["ANTHROPIC_ENVIRONMENT_KEY"]),
            telemetry: bailiwick_telemetry::Variables {
                disabled: first(&["OTEL_SDK_DISABLED"]),
                endpoint: first(&["OTEL_EXPORTER_OTLP_ENDPOINT"]),
                protocol: first(&["OTEL_EXPORTER_OTLP_PROTOCOL"]),
                headers: first(&["OTEL_EXPORTER_OTLP_HEADERS"]).map(Into::into),
                service_name: first(&["OTEL_SERVICE_NAME"]),
                sampler: first(&["OTEL_TRACES_SAMPLER"]),
                sampler_arg: first(&["OTEL_TRACES_SAMPLER_ARG"]),
                interval_ms: first(&["OTEL_METRIC_EXPORT_INTERVAL"]),
            },
            docker: path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker"))),
            home: path("HOME"),
            state_home: path("XDG_STATE_HOME"),
            ca_file: path("SSL_CERT_FILE"),
        }
    }
}

fn is_about_the_terminal(name: &OsString) -> bool {
    name.to_str()
        .is_some_and(|name| TERMINAL.contains(&name) || name.starts_with("LC_"))
}
