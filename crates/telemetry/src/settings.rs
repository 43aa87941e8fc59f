//! What an operator says: options, or the variables that OpenTelemetry's specification names.

use std::fmt;
use std::time::Duration;

use bailiwick_export::{HttpUrl, NotADestination};
use bailiwick_model::limits::{TELEMETRY_HEADERS, TELEMETRY_INTERVAL};
use opentelemetry_sdk::trace::Sampler;
use zeroize::Zeroizing;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// What is called what, if nobody says otherwise.
const SERVICE: &str = "bailiwick";
/// The media type of OTLP's protobuf.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The variables, as they are.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// `OTEL_SDK_DISABLED`.
    pub disabled: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub protocol: Option<String>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Option<Zeroizing<String>>,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `OTEL_TRACES_SAMPLER`.
    pub sampler: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler_arg: Option<String>,
    /// `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds.
    pub interval_ms: Option<String>,
}

/// Options, each stronger than its variable.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to send to; `none` sends nothing.
    pub endpoint: Option<String>,
    /// What a file of headers holds.
    pub headers: Option<Zeroizing<String>>,
    /// What the server is called.
    pub service_name: Option<String>,
    /// Which traces: `NAME` or `NAME=RATIO`.
    pub sampler: Option<String>,
}

/// Where to send what.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) endpoint: HttpUrl,
    headers: SentHeaders,
    pub(crate) service_name: String,
    pub(crate) sampler: Sampler,
    pub(crate) interval: Duration,
}

/// Headers that may hold keys; they are not printed.
#[derive(Clone, Default)]
pub(crate) struct SentHeaders(HeaderMap);

/// Why there are no settings. None of it holds a header's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// No URL.
    #[error(
        "the receiver of telemetry (--otlp-endpoint, OTEL_EXPORTER_OTLP_ENDPOINT) is http://HOST:PORT or https://HOST, without user and password: {0}"
    )]
    Endpoint(NotADestination),
    /// Another form than that of HTTP and protobuf.
    #[error(
        "telemetry is sent as `http/protobuf`, not as {0:?}: change or unset OTEL_EXPORTER_OTLP_PROTOCOL"
    )]
    Protocol(String),
    /// No list of headers.
    #[error(
        "headers of telemetry (--otlp-headers-file, OTEL_EXPORTER_OTLP_HEADERS) are NAME=VALUE, parted by commas or lines: number {0} is none"
    )]
    Header(usize),
    /// Too many.
    #[error("there are more than {TELEMETRY_HEADERS} headers of telemetry")]
    TooManyHeaders,
    /// Everybody on the way could read them.
    #[error("headers of telemetry go to another machine over https only: they may hold a key")]
    PlainHeaders,
    /// No such sampler.
    #[error(
        "{0:?} says not which traces to send (--otlp-sampler, OTEL_TRACES_SAMPLER): always_on, always_off, traceidratio, or one of these after `parentbased_`"
    )]
    Sampler(String),
    /// No ratio.
    #[error("{0:?} is no ratio from 0 to 1 (--otlp-sampler NAME=RATIO, OTEL_TRACES_SAMPLER_ARG)")]
    Ratio(String),
    /// No time.
    #[error("{0:?} is no time in milliseconds, 100 at least (OTEL_METRIC_EXPORT_INTERVAL)")]
    Interval(String),
}

impl Settings {
    /// What options and variables say together; nothing if nobody named a receiver, or if telemetry is disabled.
    ///
    /// # Errors
    ///
    /// See [`InvalidSettings`].
    pub fn read(options: &Options, variables: &Variables) -> Result<Option<Self>, InvalidSettings> {
        let is_disabled = |text: &String| text.eq_ignore_ascii_case("true");
        let endpoint = match (&options.endpoint, &variables.endpoint) {
            (Some(endpoint), _) => endpoint,
            (None, Some(_)) if variables.disabled.as_ref().is_some_and(is_disabled) => {
                return Ok(None);
            }
            (None, Some(endpoint)) => endpoint,
            (None, None) => return Ok(None),
        };
        if endpoint == "none" {
            return Ok(None);
        }
        let endpoint: HttpUrl = endpoint.parse().map_err(InvalidSettings::Endpoint)?;
        if let Some(protocol) = variables
            .protocol
            .as_ref()
            .filter(|name| *name != "http/protobuf")
        {
            return Err(InvalidSettings::Protocol(protocol.clone()));
        }
        let headers = options.headers.as_ref().or(variables.headers.as_ref());
        let headers = headers.map_or(Ok(SentHeaders::default()), |text| SentHeaders::read(text))?;
        if !headers.0.is_empty() && endpoint.is_open() {
            return Err(InvalidSettings::PlainHeaders);
        }
        let service_name = options
            .service_name
            .as_ref()
            .or(variables.service_name.as_ref());
        Ok(Some(Self {
            endpoint,
            headers,
            service_name: service_name.map_or(SERVICE, String::as_str).to_owned(),
            sampler: chosen_sampler(options, variables)?,
            interval: interval(variables)?,
        }))
    }

    /// What goes along with each message.
    pub(crate) fn headers(&self) -> SentHeaders {
        self.headers.clone()
    }
}

impl SentHeaders {
    /// As W3C Baggage writes pairs, whose values may be percent-encoded.
    fn read(text: &str) -> Result<Self, InvalidSettings> {
        let mut headers = HeaderMap::new();
        let all = text.split([',', '\n']).map(str::trim);
        for (number, pair) in (1..).zip(all.filter(|pair| !pair.is_empty())) {
            if number > TELEMETRY_HEADERS {
                return Err(InvalidSettings::TooManyHeaders);
            }
            let read = || {
                let (name, value) = pair.split_once('=')?;
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                let value = percent_decoded(value.trim())?;
                let mut value = HeaderValue::from_bytes(&value).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            };
            let (name, value) = read().ok_or(InvalidSettings::Header(number))?;
            headers.append(name, value);
        }
        Ok(Self(headers))
    }

    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut all = self.0.clone();
        all.insert(CONTENT_TYPE, PROTOBUF);
        all
    }
}

impl fmt::Debug for SentHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn percent_decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

fn chosen_sampler(options: &Options, variables: &Variables) -> Result<Sampler, InvalidSettings> {
    match (&options.sampler, &variables.sampler) {
        (Some(text), _) => match text.split_once('=') {
            Some((name, ratio)) => sampler(name, Some(ratio)),
            None => sampler(text, None),
        },
        (None, Some(name)) => sampler(name, variables.sampler_arg.as_deref()),
        (None, None) => sampler("parentbased_always_on", None),
    }
}

fn sampler(name: &str, ratio: Option<&str>) -> Result<Sampler, InvalidSettings> {
    if let Some(root) = name.strip_prefix("parentbased_") {
        if root.starts_with("parentbased_") {
            return Err(InvalidSettings::Sampler(name.to_owned()));
        }
        return Ok(Sampler::ParentBased(Box::new(sampler(root, ratio)?)));
    }
    match name {
        "always_on" => Ok(Sampler::AlwaysOn),
        "always_off" => Ok(Sampler::AlwaysOff),
        "traceidratio" => Ok(Sampler::TraceIdRatioBased(read_ratio(ratio)?)),
        _ => Err(InvalidSettings::Sampler(name.to_owned())),
    }
}

fn read_ratio(text: Option<&str>) -> Result<f64, InvalidSettings> {
    let Some(text) = text else { return Ok(1.0) };
    let ratio = text.trim().parse::<f64>().ok();
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| InvalidSettings::Ratio(text.to_owned()))
}

fn interval(variables: &Variables) -> Result<Duration, InvalidSettings> {
    let Some(text) = &variables.interval_ms else {
        return Ok(TELEMETRY_INTERVAL);
    };
    let milliseconds = text.parse::<u32>().ok().filter(|number| *number >= 100);
    let milliseconds = milliseconds.ok_or_else(|| InvalidSettings::Interval(text.clone()))?;
    Ok(Duration::from_millis(milliseconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(endpoint: &str) -> Variables {
        Variables {
            endpoint: Some(endpoint.to_owned()),
            ..Variables::default()
        }
    }

    fn read(variables: &Variables) -> Result<Option<Settings>, InvalidSettings> {
        Settings::read(&Options::default(), variables)
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where() {
        assert!(read(&Variables::default()).unwrap().is_none());
        let mut disabled = variables("https://otlp.example.com");
        disabled.disabled = Some("TRUE".to_owned());
        assert!(read(&disabled).unwrap().is_none());
        let options = Options {
            endpoint: Some("none".to_owned()),
            ..Options::default()
        };
        let none = Settings::read(&options, &variables("https://otlp.example.com"));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn options_are_stronger_than_variables_and_paths_go_below() {
        let options = Options {
            endpoint: Some("https://b.example.com/otlp/".to_owned()),
            sampler: Some("traceidratio=0.25".to_owned()),
            service_name: Some("b".to_owned()),
            headers: Some("authorization=Bearer%20x\nx-team = a\n".to_owned().into()),
        };
        let mut given = variables("http://a.example.com");
        given.sampler = Some("nonsense".to_owned());
        given.service_name = Some("a".to_owned());
        let settings = Settings::read(&options, &given).unwrap().unwrap();
        let below = settings.endpoint.below("v1/traces").to_string();
        assert_eq!(below, "https://b.example.com/otlp/v1/traces");
        assert_eq!(settings.service_name, "b");
        assert!(matches!(settings.sampler, Sampler::TraceIdRatioBased(ratio) if ratio == 0.25));
        assert_eq!(settings.headers.to_map()["authorization"], "Bearer x");
        assert_eq!(settings.headers.to_map()["x-team"], "a");
        assert!(!format!("{settings:?}").contains("Bearer"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let with = |change: &dyn Fn(&mut Variables)| {
            let mut variables = variables("http://a.example.com:4318");
            change(&mut variables);
            read(&variables)
        };
        assert!(with(&|_| {}).unwrap().is_some());
        let text = |text: &str| Some(text.to_owned());
        let secret = || Some(Zeroizing::new("a=b".to_owned()));
        let refused = [
            with(&|given| given.endpoint = text("grpc://a.example.com")),
            with(&|given| given.endpoint = text("https://me:secret@a.example.com")),
            with(&|given| given.protocol = text("grpc")),
            with(&|given| given.headers = secret()),
            with(&|given| given.sampler = text("sometimes")),
            with(&|given| given.sampler = text("parentbased_parentbased_always_on")),
            with(&|given| (given.sampler, given.sampler_arg) = (text("traceidratio"), text("2"))),
            with(&|given| given.interval_ms = text("0")),
        ];
        for (number, one) in refused.into_iter().enumerate() {
            assert!(one.is_err(), "number {number} was taken");
        }
        let broken = SentHeaders::read("a=b,c").unwrap_err();
        assert_eq!(broken, InvalidSettings::Header(2));
        assert!(SentHeaders::read("a=b%0d%0ac: d").is_err());
    }
}
