//! The server: an API over the state directory, events as they happen, and a page for people. The only crate with axum
//! and tokio; the engine stays free of both.
//!
//! It reads through [`stepwell_store::Reader`]. What needs the code of the command line (to submit, to fork, to explain)
//! goes through [`Desk`], which the program implements. Start reading at [`Server`], then `table.rs`: every route, its
//! scope and its documentation are one entry there, and `guard` lets nothing past that this table does not allow.

mod api;
mod desk;
mod events;
mod gauges;
mod guard;
mod openai;
mod page;
mod problem;
mod route;
mod series;
mod serve;
mod state;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use desk::{
    Ask, Derived, DerivedFrom, Desk, DeskError, EngineView, ModelCard, NewSchedule, SeriesPart, Submit, Submitted,
    WorkflowText,
};
pub use guard::{CODE_LASTS, IssueError, NewSecret, issue_code, issue_token};
pub use openai::{BatchRun, CompletionSink, Fill, InferenceLoad, Latencies, Listening, OnBadLine, Piece, Pieces};
pub use serve::{Options, ServeError, Server, Tls};
