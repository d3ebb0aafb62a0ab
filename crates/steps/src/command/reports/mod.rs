//! Files in which a running program reports progress and metrics to the worker.

mod earlier;
mod line;
mod metrics;
mod progress;

pub(super) use earlier::{catch_up, metrics_file};
pub(super) use metrics::MetricsFile;
pub(super) use progress::ProgressFile;
