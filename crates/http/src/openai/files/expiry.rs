//! When files expire.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::AppState;

/// An hour to thirty days, as OpenAI has it.
const LASTS: std::ops::RangeInclusive<u32> = 3600..=2_592_000;
/// Expired files that are removed at a time.
const AT_ONCE: usize = 100;

/// When result files expire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputExpiry {
    /// Always `created_at`.
    pub anchor: String,
    /// 3600 to 2592000.
    pub seconds: u32,
}

impl OutputExpiry {
    /// The checked number of seconds.
    ///
    /// # Errors
    /// When the anchor or the number is another one; `field` names it.
    pub fn lasts(&self, field: &str) -> Result<u32, Problem> {
        if self.anchor != "created_at" {
            return Err(Problem::usage(format!("`{field}.anchor` is `created_at`")).about(format!("{field}.anchor")));
        }
        match LASTS.contains(&self.seconds) {
            true => Ok(self.seconds),
            false => Err(Problem::usage(format!("`{field}.seconds` is from {} to {}", LASTS.start(), LASTS.end()))
                .about(format!("{field}.seconds"))),
        }
    }
}

pub fn after(created_at: Timestamp, seconds: u32) -> Timestamp {
    created_at + SignedDuration::from_secs(i64::from(seconds))
}

/// Removes files whose time is over; `gc` removes their content.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_expired(app: &AppState) -> Result<(), Problem> {
    let expired = app.read(|reader| Ok(reader.expired_files(Timestamp::now(), AT_ONCE)?)).await?;
    if expired.is_empty() {
        return Ok(());
    }
    app.write(move |store| {
        for file in expired {
            store.remove_file(&file.id)?;
        }
        Ok(())
    })
    .await
}
