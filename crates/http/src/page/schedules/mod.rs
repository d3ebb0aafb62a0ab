//! Workflows that start by the clock: the list, and what a person does with them.

mod add;
mod change;
mod list;

use crate::route::Route;

pub fn routes() -> Vec<Route> {
    [list::routes(), add::routes(), change::routes()].into_iter().flatten().collect()
}
