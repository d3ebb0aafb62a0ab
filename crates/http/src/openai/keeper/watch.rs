//! Looks after the batches for as long as the server runs.

use std::time::Duration;

use super::act::round;
use crate::openai::files::remove_expired;
use crate::state::AppState;

/// Time between two looks while a batch is open.
const BUSY: Duration = Duration::from_millis(500);
/// The same while there is none: another server of the state directory may have made one.
const IDLE: Duration = Duration::from_secs(5);
/// Looks between two searches for expired files.
const EXPIRY: u32 = 20;

/// Looks after the batches.
pub async fn keep(app: AppState) {
    let mut looks = 0_u32;
    loop {
        let open = match round(&app).await {
            Ok(open) => open,
            Err(problem) => {
                tracing::warn!("looking after batches: {}", problem.detail());
                0
            }
        };
        if looks.is_multiple_of(EXPIRY)
            && let Err(problem) = remove_expired(&app).await
        {
            tracing::warn!("removing expired files: {}", problem.detail());
        }
        looks = looks.wrapping_add(1);
        let pause = if open > 0 { BUSY } else { IDLE };
        app.bell().wait(pause).await;
    }
}
