//! Shows runs to people, and to scripts as JSON.

pub mod chosen_child;
pub mod curve;
pub mod effort;
pub mod export_folder;
pub mod exporter;
pub mod failures;
pub mod fan_out;
pub mod fan_out_lines;
pub mod logs;
pub mod output;
pub mod progress;
pub mod pulse;
pub mod removal;
pub mod run_handle;
pub mod series;
pub mod summary;
pub mod usage;
mod wording;
pub mod work_time;
pub mod workflow_json;
pub mod workflow_page;

pub use wording::{annotation, event_text, extent, intervals, origin, value_text, words};
