//! Arguments of `train`.

mod guard;
mod lora;
mod model;
mod number;
mod optimizer;
mod parts;
mod phase;
mod preference;
mod source;
mod stop_when;
mod train;
mod watch;

pub use model::ModelArgument;
pub use phase::PhaseArguments;
pub use source::SourceArguments;
pub use train::{Arguments, Curriculum};
pub use watch::{ModelOutput, SamplePlan};
