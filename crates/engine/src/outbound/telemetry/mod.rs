//! Sends traces to a collector of OpenTelemetry (OTLP over HTTP, in JSON): a run is a root span, its steps and attempts are
//! spans below it.
//!
//! Spans come from the event log; their ids come from the ids of runs, steps and attempts. An engine that takes over continues
//! the same trace, and a span that is sent again has its old id. `spans` and `story` make them, `otlp` writes them, and
//! `exporter` sends them, with a cursor in the database like that of a webhook.

mod exporter;
mod ids;
mod otlp;
mod settings;
mod span;
mod spans;
mod story;

pub(super) use exporter::{CURSOR, Exporter, concerns};
pub(super) use settings::Settings;
