//! The routes of the page.

use super::{act, artifact, assets, batches, compare, login, playground, pools, run, runs, schedules, start};
use crate::route::Route;

pub fn routes() -> Vec<Route> {
    [
        login::routes(),
        assets::routes(),
        runs::routes(),
        run::overview::routes(),
        run::curves::routes(),
        run::logs::routes(),
        run::samples::routes(),
        run::artifacts::routes(),
        run::params::routes(),
        run::history::routes(),
        run::step::routes(),
        artifact::view::routes(),
        artifact::provenance::routes(),
        act::control::routes(),
        act::decide::routes(),
        act::fork::routes(),
        start::list::routes(),
        start::form::routes(),
        start::text::routes(),
        compare::routes(),
        batches::list::routes(),
        batches::one::routes(),
        batches::add::routes(),
        batches::cancel::routes(),
        playground::routes(),
        pools::routes(),
        schedules::list::routes(),
        schedules::add::routes(),
        schedules::change::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
