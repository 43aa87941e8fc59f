//! The numbers of `/metrics` as OTLP has them: what Prometheus reads and what is sent are the same.
//!
//! What is read here was written by `prometheus-client` in this process. A line that is not understood is left out.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;

/// Names and values.
type Labels = Vec<(String, String)>;

/// Lines of one family.
struct Family {
    name: String,
    kind: String,
    help: String,
    samples: Vec<Sample>,
}

/// One line.
struct Sample {
    /// What follows the family's name: `_total`, `_bucket`.
    suffix: String,
    labels: Labels,
    value: f64,
}

/// From when to when.
#[derive(Clone, Copy)]
struct Times {
    began: u64,
    now: u64,
}

/// The numbers in a text; they count since `began`, in nanoseconds since 1970.
pub(crate) fn metrics(text: &str, began: u64, now: u64) -> Vec<Metric> {
    let times = Times { began, now };
    families(text)
        .into_iter()
        .filter_map(|family| metric(family, times))
        .collect()
}

/// With whose they are.
pub(crate) fn of_resource(
    metrics: Vec<Metric>,
    resource: &ResourceAttributesWithSchema,
) -> ResourceMetrics {
    let scope = InstrumentationScope {
        name: "bailiwick".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ResourceMetrics {
        resource: Some(Resource {
            attributes: resource.attributes.0.clone(),
            ..Resource::default()
        }),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope),
            metrics,
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    }
}

fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = ("", "");
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said.split_once(' ').unwrap_or((said, ""));
        } else if let Some(said) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = said.split_once(' ') else {
                continue;
            };
            families.push(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
                help: Some(help.1)
                    .filter(|_| help.0 == name)
                    .unwrap_or_default()
                    .trim_end_matches('.')
                    .to_owned(),
                samples: Vec::new(),
            });
        } else if !line.starts_with('#')
            && let Some(family) = families.last_mut()
        {
            let sample = sample(&family.name, line);
            family.samples.extend(sample);
        }
    }
    families
}

fn sample(family: &str, line: &str) -> Option<Sample> {
    let rest = line.strip_prefix(family)?;
    let end = rest.find(['{', ' '])?;
    let (suffix, rest) = rest.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.trim_start().split(' ').next()?;
    Some(Sample {
        suffix: suffix.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// What stands between braces, and what follows them.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((name.to_owned(), value));
        rest = after;
    }
}

/// A text up to its closing quotation mark, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn metric(family: Family, times: Times) -> Option<Metric> {
    let Family {
        mut name,
        kind,
        help,
        samples,
    } = family;
    let data = match kind.as_str() {
        "counter" => Data::Sum(Sum {
            data_points: points(samples, "_total", times),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        "gauge" => Data::Gauge(Gauge {
            data_points: points(samples, "", times),
        }),
        "info" => {
            name.push_str("_info");
            Data::Gauge(Gauge {
                data_points: points(samples, "_info", times),
            })
        }
        "histogram" => Data::Histogram(Histogram {
            data_points: histograms(samples, times),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        _ => return None,
    };
    Some(Metric {
        name,
        description: help,
        data: Some(data),
        ..Metric::default()
    })
}

fn points(samples: Vec<Sample>, suffix: &str, times: Times) -> Vec<NumberDataPoint> {
    let point = |sample: Sample| NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        value: Some(number(sample.value)),
        ..NumberDataPoint::default()
    };
    let of_suffix = samples.into_iter().filter(|sample| sample.suffix == suffix);
    of_suffix.map(point).collect()
}

/// Whole numbers as such.
fn number(value: f64) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole, and small enough"
        )]
        Number::AsInt(value as i64)
    } else {
        Number::AsDouble(value)
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let attribute = |(key, value)| KeyValue {
        key,
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    };
    labels.into_iter().map(attribute).collect()
}

/// Lines of one histogram, its buckets in the order of the text: from the smallest.
#[derive(Default)]
struct Buckets {
    bounds: Vec<f64>,
    /// Each with those before it.
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

fn histograms(samples: Vec<Sample>, times: Times) -> Vec<HistogramDataPoint> {
    let mut all: BTreeMap<Labels, Buckets> = BTreeMap::new();
    for Sample {
        suffix,
        mut labels,
        value,
    } in samples
    {
        let bound = labels.iter().position(|(name, _)| name == "le");
        let bound = bound.map(|at| labels.remove(at).1);
        let buckets = all.entry(labels).or_default();
        match (suffix.as_str(), bound) {
            ("_bucket", Some(bound)) => {
                buckets.counts.push(whole(value));
                // The last one has no bound.
                buckets
                    .bounds
                    .extend(bound.parse().ok().filter(|bound: &f64| bound.is_finite()));
            }
            ("_sum", _) => buckets.sum = value,
            ("_count", _) => buckets.count = whole(value),
            _ => {}
        }
    }
    let point = |(labels, buckets)| histogram(labels, buckets, times);
    all.into_iter().filter_map(point).collect()
}

/// What a counter of this process has.
fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are whole, not negative, and far below 2^53"
    )]
    let whole = value as u64;
    whole
}

fn histogram(labels: Labels, buckets: Buckets, times: Times) -> Option<HistogramDataPoint> {
    let before = std::iter::once(0).chain(buckets.counts.iter().copied());
    let own = buckets.counts.iter().zip(before);
    let bucket_counts: Vec<_> = own
        .map(|(all, before)| all.saturating_sub(before))
        .collect();
    // One more than bounds, or it is none.
    (bucket_counts.len() == buckets.bounds.len() + 1).then(|| HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        count: buckets.count,
        sum: Some(buckets.sum),
        bucket_counts,
        explicit_bounds: buckets.bounds,
        ..HistogramDataPoint::default()
    })
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family as Labelled;
    use prometheus_client::metrics::gauge::Gauge as Level;
    use prometheus_client::metrics::histogram::Histogram as Distribution;
    use prometheus_client::metrics::info::Info;
    use prometheus_client::registry::Registry;
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(String, String)>;

    fn text(label: &str) -> String {
        let mut registry = Registry::default();
        let requests: Labelled<Pairs, Counter> = Labelled::default();
        requests
            .get_or_create(&vec![("route".to_owned(), label.to_owned())])
            .inc_by(3);
        registry.register("requests", "What was asked", requests);
        let open: Level = Level::default();
        open.set(-2);
        registry.register("open", "Open now", open);
        let times = Distribution::new([0.5, 1.0]);
        [0.25, 0.75, 0.75, 7.0]
            .into_iter()
            .for_each(|time| times.observe(time));
        registry.register("seconds", "Of each", times);
        registry.register("build", "What runs", Info::new([("version", "1")]));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    fn label(attributes: &[KeyValue]) -> (&str, &str) {
        let [attribute] = attributes else {
            panic!("{attributes:?}");
        };
        match attribute
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref())
        {
            Some(Value::StringValue(value)) => (&attribute.key, value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_of_number_is_sent_as_what_it_is() {
        let all = metrics(&text("/v1/{id}"), 5, 9);
        let names: Vec<_> = all.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["requests", "open", "seconds", "build_info"]);
        assert_eq!(all[0].description, "What was asked");
        let Some(Data::Sum(sum)) = &all[0].data else {
            panic!("{:?}", all[0])
        };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(Number::AsInt(3)));
        assert_eq!(label(&sum.data_points[0].attributes), ("route", "/v1/{id}"));
        assert_eq!(
            (
                sum.data_points[0].start_time_unix_nano,
                sum.data_points[0].time_unix_nano
            ),
            (5, 9)
        );
        let Some(Data::Gauge(gauge)) = &all[1].data else {
            panic!("{:?}", all[1])
        };
        assert_eq!(gauge.data_points[0].value, Some(Number::AsInt(-2)));
        let Some(Data::Histogram(histogram)) = &all[2].data else {
            panic!("{:?}", all[2])
        };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (4, Some(8.75)));
        assert_eq!(point.bucket_counts, [1, 2, 1]);
        assert_eq!(point.explicit_bounds, [0.5, 1.0]);
        let Some(Data::Gauge(info)) = &all[3].data else {
            panic!("{:?}", all[3])
        };
        assert_eq!(label(&info.data_points[0].attributes), ("version", "1"));
    }

    proptest! {
        #[test]
        fn a_label_arrives_as_it_was(value in "[^\r\n]*") {
            let all = metrics(&text(&value), 0, 0);
            let Some(Data::Sum(sum)) = &all[0].data else { panic!("{:?}", all[0]) };
            prop_assert_eq!(label(&sum.data_points[0].attributes), ("route", value.as_str()));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "(# TYPE a (counter|histogram)\n)?(a[a-z_]*(\\{.{0,20}\\}?)? [0-9.e+-]{0,5}\n){0,5}.*") {
            metrics(&text, 0, 0);
        }
    }
}
