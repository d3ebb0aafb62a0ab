//! Series of runs: where their rows are, how they are loaded, and the forms in which they are shown.

mod forms;
mod legend;
mod lineage;
mod lines;
mod load;
mod report;
mod stream;
mod table;

pub use forms::{Columns, json, json_line};
pub use legend::Legend;
pub use lineage::{Lineage, Part};
pub use lines::{headline, metric_lines};
pub use load::{load, parts, sources};
pub use report::{Curve, Report, View};
pub use stream::each_row;
