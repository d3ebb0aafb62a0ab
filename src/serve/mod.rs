//! What `stepwell serve` needs of the verbs: the desk that the server asks.

mod desk;
mod failed;
mod machine;
mod submit;
mod workflows;

pub use desk::ProgramDesk;
