//! Tasks: where their questions come from.

mod arguments;
mod generated;
mod item;
mod lines;
mod load;

pub use arguments::{From, Planned, TaskArgument, check_name, plan};
pub use item::{Item, Question, digest_of};
pub use lines::BadLines;
pub use load::{Task, digests, load};
