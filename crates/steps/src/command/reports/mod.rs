//! What a program reports while it runs, in files that the worker reads: progress and metrics.

mod earlier;
mod line;
mod metrics;
mod progress;

pub(super) use earlier::{catch_up, metrics_file};
pub(super) use metrics::MetricsFile;
pub(super) use progress::ProgressFile;
