//! What the worker of the models does, in numbers.

/// Upper bounds of latencies in seconds; everything else is above them.
const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Numbers of the worker since the start of the server.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct InferenceLoad {
    /// The loaded model.
    pub model: Option<String>,
    /// Rows that are computed, and those that wait.
    pub running: u64,
    pub waiting: u64,
    /// Used part of the cache of keys and values, from 0 to 1.
    pub cache_usage: f64,
    pub prompt_tokens: u64,
    pub generated_tokens: u64,
    /// Requests that have ended, by reason: `stop`, `length`, `abort`, `error`.
    pub ended: Vec<(&'static str, u64)>,
    /// Seconds until the first token.
    pub first_token: Latencies,
    /// Seconds until the whole answer.
    pub whole: Latencies,
}

/// How many values were at most each bound.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Latencies {
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Latencies {
    pub fn note(&mut self, seconds: f64) {
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    /// Bounds with the number of values up to each; the last bound is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut total = 0;
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds
            .zip(self.counts)
            .map(|(bound, count)| {
                total += count;
                (bound, total)
            })
            .collect()
    }

    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_everything_up_to_their_bound() {
        let mut latencies = Latencies::default();
        for seconds in [0.01, 0.02, 7.0, 1000.0] {
            latencies.note(seconds);
        }
        let buckets = latencies.buckets();
        assert_eq!((buckets[0], buckets[1], *buckets.last().unwrap()), ((0.01, 1), (0.025, 2), (f64::INFINITY, 4)));
        assert_eq!(latencies.sum(), 1007.03);
    }
}
