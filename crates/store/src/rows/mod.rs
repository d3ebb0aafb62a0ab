//! Results of queries: one type per kind of row, next to the columns that it is decoded from.

mod annotation;
mod attempt;
mod checkpoint;
mod event;
mod metric;
mod reference;
mod rented;
mod request;
mod run;
mod sample;
mod schedule;
mod served;
mod step;
mod token;
mod usage;
mod wait;
mod webhook;

pub use annotation::{Annotation, Remark};
pub use checkpoint::CheckpointRow;
pub use event::EventRow;
pub use reference::{Reference, ReferenceHolder};
pub use rented::{MachineEventRow, MachineRow, NewMachine};
pub use request::{Answer, RequestRow};
pub use run::{RunRow, RunRows, Unreadable};
pub use sample::SampleRow;
pub use schedule::{ScheduleOptions, ScheduleRow};
pub use served::{BatchChecked, BatchCounts, BatchEnding, BatchOutcome, BatchRow, BatchUsage, FileRow, LineError};
pub use step::{AttemptedStep, Children, StepRow};
pub use token::{TokenKind, TokenRow};
pub use usage::UsageRow;
pub use wait::{DecisionRow, SignalRow, WaitRow};
pub use webhook::{After, Attempted, HashedEvent, MessageOutcome, MessageRow, NewMessage};

pub(crate) use annotation::AnnotationOf;
pub(crate) use checkpoint::CheckpointOf;
pub(crate) use event::EventColumns;
pub(crate) use metric::NamedValue;
pub(crate) use metric::{StoredMetric, VALUES, digest as metric_digest, read_values};
pub(crate) use reference::{CheckpointReference, NamedArtifact, OutputReference};
pub(crate) use run::Pinned;
pub(crate) use sample::digest as sample_digest;
pub(crate) use step::steps_where;
