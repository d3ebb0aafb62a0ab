//! What several views are made of.

mod answer;
mod badge;
mod frame;
mod spark;
mod text;
mod time;

pub use answer::{Goes, Refusal, Shown, done, show};
pub use badge::Badge;
pub use frame::{Frame, Here};
pub use spark::spark;
pub use text::{bytes, command, cut, handle, parameters, share, short_id, value_text};
pub use time::{Lasted, When, duration};
