//! Where a server's telemetry goes.

use std::path::PathBuf;

use bailiwick_telemetry::{Options, Settings, Telemetry};

use crate::bad_input::BadInput;
use crate::host_environment::HostEnvironment;
use crate::server::secret_key;

/// What is sent to a receiver of OpenTelemetry.
#[derive(Debug, clap::Args)]
pub(crate) struct TelemetryArguments {
    /// Send a trace of each request, and all numbers, to this receiver of OpenTelemetry (OTLP over HTTP); `none` sends nothing [default:
    /// $OTEL_EXPORTER_OTLP_ENDPOINT, unless $OTEL_SDK_DISABLED is true].
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Headers that go along with it, NAME=VALUE, one a line. Nobody else may be able to read the file [default:
    /// $OTEL_EXPORTER_OTLP_HEADERS].
    #[arg(long, value_name = "FILE")]
    otlp_headers_file: Option<PathBuf>,
    /// What this server is called there [default: $OTEL_SERVICE_NAME, else `bailiwick`].
    #[arg(long, value_name = "NAME")]
    otlp_service_name: Option<String>,
    /// Which traces are sent: always_on, always_off, traceidratio=RATIO, or one of these after `parentbased_` [default: $OTEL_TRACES_SAMPLER
    /// with $OTEL_TRACES_SAMPLER_ARG, else `parentbased_always_on`].
    #[arg(long, value_name = "SAMPLER")]
    otlp_sampler: Option<String>,
}

/// What is to be sent, if anything is.
///
/// # Errors
///
/// [`BadInput`].
pub(crate) fn open(
    arguments: &TelemetryArguments,
    host: &HostEnvironment,
) -> Result<Option<Telemetry>, BadInput> {
    let headers = arguments.otlp_headers_file.as_deref();
    let options = Options {
        endpoint: arguments.otlp_endpoint.clone(),
        headers: headers.map(secret_key::read).transpose()?,
        service_name: arguments.otlp_service_name.clone(),
        sampler: arguments.otlp_sampler.clone(),
    };
    let settings = Settings::read(&options, &host.telemetry)?;
    Ok(settings.map(Telemetry::new))
}
