//! Sends traces to a collector of OpenTelemetry (OTLP over HTTP, in JSON): a run is a root span, its steps and attempts are
//! spans below it.
//!
//! Spans are made of the event log, and their ids of the ids of runs, steps and attempts. So an engine that takes over goes on
//! in the same trace, and what is sent again has the id that it had. `spans` and `story` make them, `otlp` writes them, and
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
