//! Series of runs: where their rows are, how they are loaded, and the forms in which they are shown.

mod forms;
mod legend;
mod lineage;
mod lines;
mod load;
mod report;
mod table;

pub use forms::{Columns, json, json_line};
pub use legend::Legend;
pub use lineage::Part;
pub use lines::{headline, metric_lines};
pub use load::{load, parts};
pub use report::{Curve, Report, View};
