//! Steps that measure models, and what may be concluded.

mod calibrate;
mod compare;
mod evaluate;
mod report;
mod sentinels;

pub use calibrate::CALIBRATE;
pub use compare::COMPARE;
pub use evaluate::EVALUATE;
pub use report::REPORT;
pub use sentinels::SENTINELS;
