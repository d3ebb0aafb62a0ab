//! All routes under `/v1`.

use super::{batches, completions, files, models, refused};
use crate::route::Route;

pub fn routes() -> Vec<Route> {
    [files::routes(), batches::routes(), models::routes(), completions::routes(), refused::routes()]
        .into_iter()
        .flatten()
        .collect()
}
