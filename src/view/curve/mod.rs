//! Draws curves with characters. Pure: knows neither runs nor terminals.

mod axis;
mod canvas;
mod extremes;
mod plot;
mod sparkline;

pub use axis::number;
pub use plot::{Charset, MARKS, Points, Size, plot};
pub use sparkline::sparkline;
