//! The text formats of Prometheus: its own 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>) and OpenMetrics 1.0, which a scraper asks for.

use std::fmt::Write as _;

use super::family::{Family, Histogram, Numbers, Sample};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exposition {
    Prometheus,
    OpenMetrics,
}

impl Exposition {
    /// The format that an `Accept` header asks for.
    pub fn accepted(accept: &str) -> Exposition {
        match accept.contains("application/openmetrics-text") {
            true => Exposition::OpenMetrics,
            false => Exposition::Prometheus,
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub fn expose(families: &[Family], exposition: Exposition) -> String {
    let mut text = String::new();
    for family in families {
        write_family(&mut text, family, exposition);
    }
    if exposition == Exposition::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, family: &Family, exposition: Exposition) {
    let (kind, suffix) = match &family.numbers {
        Numbers::Gauge(_) => ("gauge", ""),
        Numbers::Counter(_) => ("counter", "_total"),
        Numbers::Histogram(_) => ("histogram", ""),
    };
    // OpenMetrics names a counter without its suffix, the older format with it.
    let declared = match exposition {
        Exposition::Prometheus => format!("{}{suffix}", family.name),
        Exposition::OpenMetrics => family.name.to_owned(),
    };
    let _ = writeln!(text, "# HELP {declared} {}", escaped(family.help));
    let _ = writeln!(text, "# TYPE {declared} {kind}");
    match &family.numbers {
        Numbers::Gauge(samples) | Numbers::Counter(samples) => {
            for Sample { labels, value } in samples {
                let _ = writeln!(text, "{}{suffix}{} {}", family.name, in_braces(labels), number(*value));
            }
        }
        Numbers::Histogram(histogram) => write_histogram(text, family.name, histogram),
    }
}

fn write_histogram(text: &mut String, name: &str, histogram: &Histogram) {
    for (bound, count) in &histogram.buckets {
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", number(*bound));
    }
    let count = histogram.buckets.last().map_or(0, |(_, count)| *count);
    let _ = writeln!(text, "{name}_sum {}\n{name}_count {count}", number(histogram.sum));
}

fn in_braces(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value).replace('"', "\\\"")));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let sample = |name: &str, value| Sample { labels: vec![("run", name.to_owned())], value };
        vec![
            Family::counter("x_events", "Events.\nAll \\ of them.", 3.0),
            Family::gauges("x_loss", "Loss.", vec![sample("a \"b\"\n\\", f64::NAN), sample("c", 0.5)]),
            Family {
                name: "x_seconds",
                help: "Times.",
                numbers: Numbers::Histogram(Histogram { buckets: vec![(0.5, 1), (f64::INFINITY, 2)], sum: 3.25 }),
            },
        ]
    }

    #[test]
    fn the_older_format_names_counters_with_their_suffix() {
        let expected = "# HELP x_events_total Events.\\nAll \\\\ of them.\n# TYPE x_events_total counter\n\
            x_events_total 3.0\n# HELP x_loss Loss.\n# TYPE x_loss gauge\nx_loss{run=\"a \\\"b\\\"\\n\\\\\"} NaN\n\
            x_loss{run=\"c\"} 0.5\n# HELP x_seconds Times.\n# TYPE x_seconds histogram\n\
            x_seconds_bucket{le=\"0.5\"} 1\nx_seconds_bucket{le=\"+Inf\"} 2\nx_seconds_sum 3.25\nx_seconds_count 2\n";
        assert_eq!(expose(&families(), Exposition::Prometheus), expected);
    }

    #[test]
    fn openmetrics_names_counters_without_it_and_has_an_end() {
        let text = expose(&families(), Exposition::accepted("application/openmetrics-text;version=1.0.0,*/*;q=0.1"));
        assert!(text.starts_with("# HELP x_events Events.") && text.contains("\nx_events_total 3.0\n"), "{text}");
        assert!(text.ends_with("x_seconds_count 2\n# EOF\n"), "{text}");
    }
}
