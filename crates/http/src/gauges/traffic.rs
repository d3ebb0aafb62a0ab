//! Counts the answers of the server and the time until they start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use super::family::{Family, Histogram, Numbers, Sample};

/// Upper bounds in seconds; everything else is above them.
const BOUNDS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 10.0];
/// The first digit of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Shared by all requests.
#[derive(Debug, Default)]
pub struct Traffic {
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Traffic {
    pub fn note(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn families(&self) -> Vec<Family> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let classes = CLASSES.iter().zip(&self.classes);
        let samples = classes
            .map(|(class, count)| Sample { labels: vec![("class", (*class).to_owned())], value: read(count) as f64 });
        let mut total = 0;
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets = bounds.zip(&self.buckets).map(|(bound, count)| {
            total += read(count);
            (bound, total)
        });
        let buckets = buckets.collect();
        let sum = Duration::from_micros(read(&self.microseconds)).as_secs_f64();
        vec![
            Family {
                name: "stepwell_http_requests",
                help: "Answers of the server, by class of their status.",
                numbers: Numbers::Counter(samples.collect()),
            },
            Family {
                name: "stepwell_http_request_duration_seconds",
                help: "Time until an answer starts.",
                numbers: Numbers::Histogram(Histogram { buckets, sum }),
            },
        ]
    }
}
