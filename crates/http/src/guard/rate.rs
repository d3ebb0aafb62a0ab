//! Token buckets: a burst, then so many a second. The number of buckets is bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Identities that are remembered; a full map first forgets those whose bucket is full again.
const MOST: usize = 4096;

/// Events that are allowed at once, and how many a second come back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Allowance {
    pub burst: f64,
    pub per_second: f64,
}

/// One bucket for each key.
#[derive(Debug)]
pub struct Buckets {
    allowance: Allowance,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Buckets {
    pub fn new(allowance: Allowance) -> Buckets {
        Buckets { allowance, buckets: Mutex::default() }
    }

    /// Takes one from the bucket of `key`.
    ///
    /// # Errors
    /// The time until there is one again.
    pub fn take(&self, key: &str, now: Instant) -> Result<(), Duration> {
        self.change(key, now, |left| if left >= 1.0 { Ok(left - 1.0) } else { Err(1.0 - left) })
    }

    /// True if the bucket of `key` is empty; takes nothing.
    ///
    /// # Errors
    /// The time until there is one again.
    pub fn check(&self, key: &str, now: Instant) -> Result<(), Duration> {
        self.change(key, now, |left| if left >= 1.0 { Ok(left) } else { Err(1.0 - left) })
    }

    fn change(&self, key: &str, now: Instant, step: impl FnOnce(f64) -> Result<f64, f64>) -> Result<(), Duration> {
        let Allowance { burst, per_second } = self.allowance;
        let left = |bucket: &Bucket| {
            let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.left + elapsed * per_second).min(burst)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| left(bucket) < burst);
        }
        // Thousands of identities with empty buckets: nobody new gets in until one is full again.
        if buckets.len() >= MOST && !buckets.contains_key(key) {
            return Err(Duration::from_secs(1));
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { left: burst, at: now });
        match step(left(bucket)) {
            Ok(rest) => {
                *bucket = Bucket { left: rest, at: now };
                Ok(())
            }
            Err(missing) => Err(Duration::from_secs_f64(missing / per_second)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_then_a_steady_rate() {
        let buckets = Buckets::new(Allowance { burst: 3.0, per_second: 2.0 });
        let start = Instant::now();
        let taken = (0..5).filter(|_| buckets.take("a", start).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(buckets.take("a", start), Err(Duration::from_millis(500)));
        assert!(buckets.take("b", start).is_ok());
        assert!(buckets.take("a", start + Duration::from_millis(500)).is_ok());
        assert!(buckets.take("a", start + Duration::from_millis(600)).is_err());
    }

    #[test]
    fn any_number_of_identities_takes_bounded_memory() {
        let buckets = Buckets::new(Allowance { burst: 1.0, per_second: 1.0 });
        let start = Instant::now();
        for number in 0..3 * MOST {
            let _ = buckets.take(&number.to_string(), start);
        }
        assert!(buckets.buckets.lock().unwrap().len() <= MOST);
        assert!(buckets.take("late", start + Duration::from_secs(5)).is_ok());
    }
}
