//! Text for people and from people: amounts, durations, commands to paste, suggestions.

pub mod amount;
pub mod duration;
pub mod excerpt;
pub mod path_text;
pub mod shell;
pub mod suggest;
pub mod visible;
