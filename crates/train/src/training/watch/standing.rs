//! How a training stands on held-out text. Part of a checkpoint, so that a resumed training decides what an
//! uninterrupted one does.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// One measurement on held-out text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Validated {
    /// Mean cross-entropy of the counted tokens, nats; an f32, which JSON keeps exactly.
    pub loss: f32,
    pub bits_per_byte: f64,
}

/// The lowest loss on held-out text so far.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Best {
    /// Training step whose weights had it.
    pub step: u64,
    pub loss: f32,
}

/// Rule that ends a training early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StopWhen {
    /// Ends after this many validations in a row that were not better than the best before.
    pub no_improvement: NonZeroU64,
}

/// State of all looks at a training.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Newest training step at which everything that was due has been measured.
    pub seen: u64,
    /// Loss of the newest validation and its step; `None` when it is no finite number.
    #[serde(default)]
    pub newest: Option<Best>,
    #[serde(default)]
    pub best: Option<Best>,
    /// Validations since the best one.
    #[serde(default)]
    pub since_best: u64,
    /// The same for the current phase, if that may end early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_phase: Option<InPhase>,
}

/// How a phase stands on held-out text.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct InPhase {
    /// Steps done at its end, which tell it from the others.
    pub end: u64,
    /// Its lowest loss; `None` without a number.
    pub lowest: Option<f32>,
    /// Validations since that.
    pub since: u64,
}

impl Standing {
    /// The standing of a training that continues another run: it starts to look after `step`.
    pub fn forked_at(step: u64) -> Self {
        Standing { seen: step, ..Standing::default() }
    }

    pub fn is_empty(&self) -> bool {
        *self == Standing::default()
    }

    /// Takes a measurement at `step` into account.
    pub fn after(self, step: u64, validated: Option<Validated>) -> Self {
        let Some(Validated { loss, .. }) = validated else { return Standing { seen: step, ..self } };
        let newest = loss.is_finite().then_some(Best { step, loss });
        let better = |found: &Best| self.best.is_none_or(|best| found.loss < best.loss);
        match newest.filter(better) {
            Some(best) => Standing { seen: step, newest, best: Some(best), since_best: 0, ..self },
            None => Standing { seen: step, newest, since_best: self.since_best + 1, ..self },
        }
    }

    /// Takes the same measurement into account for the phase that ends at `end`.
    pub fn after_in_phase(self, end: u64, validated: Option<Validated>) -> Self {
        let Some(Validated { loss, .. }) = validated else { return self };
        let fresh = InPhase { end, lowest: None, since: 0 };
        let before = self.in_phase.filter(|before| before.end == end).unwrap_or(fresh);
        let is_better = loss.is_finite() && before.lowest.is_none_or(|lowest| loss < lowest);
        let now = match is_better {
            true => InPhase { lowest: Some(loss), since: 0, ..before },
            false => InPhase { since: before.since + 1, ..before },
        };
        Standing { in_phase: Some(now), ..self }
    }

    /// Validations of the phase that ends at `end` since its best one.
    pub fn since_best_in_phase(&self, end: u64) -> u64 {
        self.in_phase.filter(|phase| phase.end == end).map_or(0, |phase| phase.since)
    }

    /// True if the weights of `step` are the best so far.
    pub fn is_best(&self, step: u64) -> bool {
        self.best.is_some_and(|best| best.step == step)
    }

    /// Loss on held-out text that was measured at `step`.
    pub fn loss_at(&self, step: u64) -> Option<f32> {
        self.newest.filter(|newest| newest.step == step).map(|newest| newest.loss)
    }

    /// True once the rule says that nothing more is to be gained.
    pub fn ends(&self, rule: Option<StopWhen>) -> bool {
        rule.is_some_and(|rule| self.since_best >= rule.no_improvement.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(losses: &[f32]) -> Standing {
        let steps = (1..).map(|number| number * 10);
        steps.zip(losses).fold(Standing::default(), |standing, (step, loss)| {
            standing.after(step, Some(Validated { loss: *loss, bits_per_byte: 1.0 }))
        })
    }

    #[test]
    fn the_first_of_equal_losses_is_the_best() {
        let standing = after(&[3.0, 2.0, 2.0, 2.5]);
        assert_eq!(standing.best, Some(Best { step: 20, loss: 2.0 }));
        assert_eq!((standing.since_best, standing.loss_at(40), standing.loss_at(20)), (2, Some(2.5), None));
        assert!(!standing.is_best(40) && standing.is_best(20));
    }

    #[test]
    fn what_is_no_number_is_no_improvement() {
        let standing = after(&[f32::NAN, f32::INFINITY]);
        assert_eq!((standing.best, standing.newest, standing.since_best), (None, None, 2));
        assert_eq!(after(&[f32::NAN, 9.0]).best, Some(Best { step: 20, loss: 9.0 }));
    }

    #[test]
    fn a_training_ends_after_so_many_validations_without_a_better_one() {
        let rule = |n: u64| NonZeroU64::new(n).map(|no_improvement| StopWhen { no_improvement });
        assert!(!after(&[3.0, 4.0]).ends(rule(2)) && after(&[3.0, 4.0, 3.0]).ends(rule(2)));
        assert!(!after(&[3.0, 4.0, 5.0, 2.0]).ends(rule(3)) && !after(&[3.0, 4.0, 5.0]).ends(None));
    }

    #[test]
    fn a_phase_counts_its_own_validations() {
        let validated = |loss| Some(Validated { loss, bits_per_byte: 1.0 });
        let losses = [(5, 3.0), (5, 4.0), (9, 6.0), (9, 6.0), (9, f32::NAN), (9, 5.0)];
        let mut standing = Standing::default();
        let mut counts = Vec::new();
        for (end, loss) in losses {
            standing = standing.after_in_phase(end, validated(loss));
            counts.push(standing.since_best_in_phase(end));
        }
        assert_eq!(counts, [0, 1, 0, 1, 2, 0]);
        assert_eq!((standing.since_best_in_phase(5), standing.after_in_phase(9, None)), (0, standing));
    }

    #[test]
    fn json_keeps_it_exactly() {
        let standing = after(&[0.1, 3.402_823_5e38, 1.1754944e-38]);
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
    }
}
