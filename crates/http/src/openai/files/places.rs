//! Places for uploads: their number is bounded.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Uploads at a time.
const AT_ONCE: usize = 8;
/// Seconds after which a client tries again.
const WAIT: u64 = 5;

#[derive(Clone, Debug)]
pub struct Uploads(Arc<Semaphore>);

impl Default for Uploads {
    fn default() -> Uploads {
        Uploads(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Uploads {
    /// A place that is free again when it is dropped.
    ///
    /// # Errors
    /// 429 when all are taken.
    pub fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let detail = format!("{AT_ONCE} uploads are under way");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", detail).retry_after(WAIT)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_upload_too_many_waits() {
        let uploads = Uploads::default();
        let mut taken: Vec<_> = (0..AT_ONCE).map(|_| uploads.take().unwrap()).collect();
        assert_eq!(uploads.take().unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        taken.pop();
        assert!(uploads.take().is_ok());
    }
}
