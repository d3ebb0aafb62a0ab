//! The view of one step.

mod attempts;
mod reasons;
mod usage;
mod view;

pub use view::routes;
