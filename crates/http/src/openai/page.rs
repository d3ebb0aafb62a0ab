//! Pages of lists. A client asks for the next one until `has_more` is false, so every list says it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListPage<T: ToSchema> {
    /// Always `list`.
    object: &'static str,
    data: Vec<T>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// Something with an id by which the next page is asked for.
pub trait Listed {
    fn id(&self) -> &str;
}

impl<T: ToSchema + Listed> ListPage<T> {
    /// The page of `limit` entries from one more than that.
    pub fn of(mut found: Vec<T>, limit: usize) -> ListPage<T> {
        let has_more = found.len() > limit;
        found.truncate(limit);
        let id = |entry: Option<&T>| entry.map(|entry| entry.id().to_owned());
        ListPage { object: "list", first_id: id(found.first()), last_id: id(found.last()), has_more, data: found }
    }
}

/// # Errors
/// When the limit is not from 1 to `most`.
pub fn limit(given: Option<u32>, usual: u32, most: u32) -> Result<usize, Problem> {
    match given.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit as usize),
        _ => Err(Problem::usage(format!("`limit` is a number from 1 to {most}")).about("limit")),
    }
}

/// Seconds since 1970, as all times of this API.
pub fn seconds(at: jiff::Timestamp) -> i64 {
    at.as_second()
}
