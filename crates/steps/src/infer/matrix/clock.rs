//! Times of the requests of one cell.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::cell::{Measured, Quantiles};
use stepwell_batch::RowError;
use stepwell_batch::results::Usage;

pub(super) struct Clock {
    start: Instant,
    /// Requests under way: when each started, and how many of its completions are open.
    open: HashMap<u64, (Instant, usize, bool)>,
    first: Vec<f64>,
    whole: Vec<f64>,
    usage: Usage,
    failures: BTreeMap<String, u64>,
    error: Option<String>,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            start: Instant::now(),
            open: HashMap::new(),
            first: Vec::new(),
            whole: Vec::new(),
            usage: Usage::default(),
            failures: BTreeMap::new(),
            error: None,
        }
    }

    /// A request starts that has so many completions.
    pub(super) fn started(&mut self, id: u64, completions: usize) {
        self.open.insert(id, (Instant::now(), completions, false));
    }

    pub(super) fn text(&mut self, id: u64) {
        if let Some((start, _, has_text @ false)) = self.open.get_mut(&id) {
            *has_text = true;
            self.first.push(start.elapsed().as_secs_f64());
        }
    }

    /// A completion has ended.
    pub(super) fn finished(&mut self, id: u64, usage: Usage) {
        self.text(id);
        self.usage.add(usage);
        let Some((start, left, _)) = self.open.get_mut(&id) else { return };
        *left -= 1;
        if *left == 0 {
            self.whole.push(start.elapsed().as_secs_f64());
            self.open.remove(&id);
        }
    }

    pub(super) fn failed(&mut self, id: u64, error: &RowError) {
        self.open.remove(&id);
        *self.failures.entry(error.code.as_str().to_owned()).or_default() += 1;
        self.error.get_or_insert_with(|| error.message.clone());
    }

    /// Number of requests under way.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn done(&self) -> u64 {
        self.whole.len() as u64 + self.failures.values().sum::<u64>()
    }

    pub(super) fn measured(self) -> Measured {
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let completed = self.whole.len() as u64;
        Measured {
            completed,
            failed: self.failures.values().sum(),
            failures: self.failures,
            error: self.error,
            prompt_tokens: self.usage.prompt_tokens,
            completion_tokens: self.usage.completion_tokens,
            load_seconds: 0.0,
            seconds,
            tokens_per_second: rate(self.usage.completion_tokens),
            requests_per_second: rate(completed),
            first_token_seconds: Quantiles::of(self.first),
            latency_seconds: Quantiles::of(self.whole),
            peak_memory_bytes: None,
        }
    }
}
