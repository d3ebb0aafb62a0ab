//! `stepwell bench train`: compares our training step with PyTorch's, in turns.

mod material;
mod measure;
mod mode;
mod options;
mod report;
mod worker;

pub use measure::{prepare, train};
pub use mode::Mode;
pub use options::TrainOptions;
pub use report::{Comparison, Deviation, Peak, Row, TrainReport};
pub use worker::work;
