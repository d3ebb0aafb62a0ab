//! Statistics of evaluations: intervals of rates and means, paired tests, effect sizes, and corrections for many tests.
//!
//! Everything is a pure function. Random numbers come from a seed and the number of a resample, so that a resample does not
//! depend on those before it. `tests/fixtures/golden/statistics.txt` holds results of scipy and statsmodels.

mod binomial;
mod bootstrap;
mod cohen;
mod confidence;
mod gamma;
mod mcnemar;
mod multiple;
mod normal;
mod student;
#[cfg(test)]
mod tests;
mod wilson;

pub use bootstrap::{Bootstrap, Estimate};
pub use cohen::cohen_h;
pub use confidence::{Confidence, InvalidConfidence};
pub use mcnemar::{Test, mcnemar_corrected, mcnemar_exact};
pub use multiple::benjamini_hochberg;
pub use student::{Mean, student};
pub use wilson::{Interval, wilson};
