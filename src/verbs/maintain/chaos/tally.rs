//! Counters of a drill.

#[derive(Default)]
pub struct Tally {
    pub rounds: u64,
    pub engine_kills: u64,
    pub worker_kills: u64,
    pub family_kills: u64,
    pub attempts: u64,
    /// Events committed before a kill that are missing or changed after it.
    pub lost_events: u64,
    /// Successes of a step beyond its first.
    pub repeated_commits: u64,
    /// Processes that outlived their engine.
    pub orphans: u64,
    /// Outputs that differ from the uninterrupted run.
    pub different_outputs: u64,
    /// Attempts that continued from before the newest committed checkpoint.
    pub rewinds_too_far: u64,
    /// Training steps that were repeated because no checkpoint covered them yet.
    pub repeated_training_steps: u64,
    /// Rounds that did not finish the run, such as when an engine refused its database.
    pub failed_rounds: u64,
    /// Problems that `db check` found.
    pub damage: u64,
    /// A description of each violation.
    pub findings: Vec<String>,
}

impl Tally {
    pub fn kills(&self) -> u64 {
        self.engine_kills + self.worker_kills + self.family_kills
    }

    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Counts a violation.
    pub fn record(&mut self, count: fn(&mut Tally) -> &mut u64, what: String) {
        *count(self) += 1;
        self.findings.push(what);
    }

    /// In the order in which a person reads them.
    pub fn rows(&self) -> [(&'static str, u64); 14] {
        [
            ("kills", self.kills()),
            ("kills of the engine", self.engine_kills),
            ("kills of a worker", self.worker_kills),
            ("kills of everything", self.family_kills),
            ("rounds", self.rounds),
            ("failed rounds", self.failed_rounds),
            ("attempts", self.attempts),
            ("repeated training steps", self.repeated_training_steps),
            ("rewinds behind a checkpoint", self.rewinds_too_far),
            ("repeated commits", self.repeated_commits),
            ("lost events", self.lost_events),
            ("orphan processes", self.orphans),
            ("different outputs", self.different_outputs),
            ("damaged tables", self.damage),
        ]
    }
}
