//! `stepwell batch FILE --model MODEL -o OUT`

mod result_files;
mod run;
mod verb;

pub use verb::{BatchArgs, batch};
