//! Assigns work: ready steps, child runs, schedules, and the budgets that stop them.

pub(crate) mod accounts;
mod budgets;
mod children;
mod claim;
pub(crate) mod family;
mod inline;
pub(crate) mod pace;
mod queue;
pub(crate) mod rate_windows;
pub(crate) mod schedules;
