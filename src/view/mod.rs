//! Shows runs to people, and to scripts as JSON.

pub mod annotation;
pub mod curve;
pub mod effort;
pub mod event_text;
pub mod export_folder;
pub mod exporter;
pub mod extent;
pub mod failures;
pub mod fan_out;
pub mod fan_out_lines;
pub mod logs;
pub mod origin;
pub mod output;
pub mod progress;
pub mod removal;
pub mod run_handle;
pub mod series;
pub mod summary;
pub mod value_text;
pub mod words;
pub mod work_time;
pub mod workflow_page;
