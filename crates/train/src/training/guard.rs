//! Guard against steps that would spoil the model: a loss or gradient norm that is no finite number, or far above those
//! of the steps before. All decisions follow from the state in the checkpoint, so a resumed training repeats them.

use serde::{Deserialize, Serialize};

/// Smallest standard deviation, as a share of the mean: where all steps are nearly equal, noise is no outlier.
const LEAST_DEVIATION: f64 = 0.01;

/// Rule of a guard.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct GuardRule {
    /// A loss or gradient norm this many standard deviations above the mean is suspect.
    pub z_score: f64,
    /// Number of normal steps that mean and deviation are taken from. Fewer are not judged.
    pub window: u32,
    /// Suspect steps in a row that are skipped before the rate is cut, and that are taken after it.
    pub patience: u32,
    /// Factor on the learning rate when skipping did not help.
    pub cut: f64,
    /// Number of times that a training may go back to a checkpoint.
    pub rewinds: u32,
}

/// A guard that cannot guard anything.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum GuardError {
    #[error("`guard.z_score` is {0}: it must be a number from 1 to 1000")]
    ZScore(f64),
    #[error("`guard.window` is {0}: it must be from 2 to 10000")]
    Window(u32),
    #[error("`guard.cut` is {0}: it must be above 0 and at most 1")]
    Cut(f64),
    #[error("`guard.{name}` is {value}: it must be at most 1000")]
    TooMany { name: &'static str, value: u32 },
    #[error("a guard goes back to checkpoints at fixed steps, and there is no `checkpoint_every`")]
    NoCheckpoints,
}

impl GuardRule {
    /// Checks the rule for a training with a checkpoint every `checkpoint_every` steps.
    ///
    /// # Errors
    /// A [`GuardError`] that names the first setting without a meaning.
    pub fn validate(&self, checkpoint_every: Option<u64>) -> Result<(), GuardError> {
        if !(1.0..=1000.0).contains(&self.z_score) {
            return Err(GuardError::ZScore(self.z_score));
        }
        if !(2..=10_000).contains(&self.window) {
            return Err(GuardError::Window(self.window));
        }
        if !(self.cut > 0.0 && self.cut <= 1.0) {
            return Err(GuardError::Cut(self.cut));
        }
        for (name, value) in [("patience", self.patience), ("rewinds", self.rewinds)] {
            if value > 1000 {
                return Err(GuardError::TooMany { name, value });
            }
        }
        if self.rewinds > 0 && checkpoint_every.is_none() { Err(GuardError::NoCheckpoints) } else { Ok(()) }
    }
}

/// A return to a checkpoint. The samples of the steps between are not seen again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rewind {
    /// Steps done at the checkpoint.
    pub to: u64,
    /// Step that was suspect.
    pub from: u64,
}

/// Steps of a phase that ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Left {
    /// Steps done when it ended.
    pub from: u64,
    /// Steps done at its end in the plan.
    pub to: u64,
}

/// State of a guard.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarded {
    /// Losses and gradient norms of the newest normal steps of the phase, oldest first.
    losses: Vec<f32>,
    norms: Vec<f32>,
    /// Suspect steps in a row.
    suspects: u32,
    /// Steps that did not change the weights: the optimizer does not count them.
    pub untaken: u64,
    /// Factor on the learning rate.
    pub rate: f64,
    pub rewinds: Vec<Rewind>,
    /// Phases that ended early, as the steps that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// Step that the training was forked at: there is nothing before it to go back to.
    forked_at: u64,
    /// Checkpoints since the newest one to which the training may go back.
    since_point: u32,
}

/// Treatment of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Normal,
    /// The weights stay as they are.
    Skip,
    /// The learning rate is lower from this step on. The step is taken, unless its numbers are not finite.
    Cut,
    /// It is suspect, and taken at the lower rate.
    Take,
    /// The training goes back to a checkpoint.
    Rewind,
    /// It has gone back as often as it may.
    GiveUp,
}

impl Default for Guarded {
    fn default() -> Self {
        let (losses, norms, rewinds) = (Vec::new(), Vec::new(), Vec::new());
        let left = Vec::new();
        Guarded { losses, norms, suspects: 0, untaken: 0, rate: 1.0, rewinds, left, forked_at: 0, since_point: 0 }
    }
}

impl Guarded {
    /// The state of a training that continues this one at `step`: 0 without a guard.
    #[must_use]
    pub fn forked_at(&self, step: u64) -> Self {
        Guarded { forked_at: step, untaken: self.untaken, ..Guarded::default() }
    }

    pub fn is_empty(&self) -> bool {
        *self == Guarded::default()
    }

    /// Judges a step by its loss and gradient norm.
    pub fn judge(&mut self, rule: GuardRule, loss: f64, norm: f64) -> Verdict {
        let window = rule.window as usize;
        let finite = loss.is_finite() && norm.is_finite();
        let above = |seen: &[f32], value: f64| seen.len() >= window && z_score(seen, value) > rule.z_score;
        if finite && !above(&self.losses, loss) && !above(&self.norms, norm) {
            for (seen, value) in [(&mut self.losses, loss), (&mut self.norms, norm)] {
                if seen.len() >= window {
                    seen.remove(0);
                }
                seen.push(value as f32);
            }
            self.suspects = 0;
            return Verdict::Normal;
        }
        self.suspects += 1;
        let after_cut = self.suspects.saturating_sub(rule.patience);
        match after_cut {
            0 => Verdict::Skip,
            1 => {
                self.rate *= rule.cut;
                Verdict::Cut
            }
            _ if after_cut <= rule.patience => Verdict::Take,
            _ if self.rewinds.len() < rule.rewinds as usize => Verdict::Rewind,
            _ => Verdict::GiveUp,
        }
    }

    /// Leaves out the rest of a phase: the optimizer does not count these steps.
    pub fn leave(&mut self, left: Left) {
        self.untaken += left.to - left.from;
        self.left.push(left);
        self.phase_ended();
    }

    /// Forgets the steps of a phase that has ended: the next one has other data.
    pub fn phase_ended(&mut self) {
        self.losses.clear();
        self.norms.clear();
    }

    /// The state after going back from `from` to the checkpoint at `point`, which has the state `self`. `now` is the
    /// state when this was decided.
    #[must_use]
    pub fn rewound(&self, now: &Guarded, rewind: Rewind) -> Self {
        let mut rewinds = now.rewinds.clone();
        rewinds.push(rewind);
        Guarded { suspects: 0, rate: now.rate, rewinds, ..self.clone() }
    }

    /// Step of the checkpoint of another run, from which this one was forked.
    pub fn fork_point(&self) -> Option<u64> {
        (self.forked_at > 0).then_some(self.forked_at)
    }

    /// The step to go back to when `point` is that of the newest checkpoint at a fixed step.
    pub fn floor(&self, point: u64) -> u64 {
        point.max(self.forked_at)
    }

    /// Counts a checkpoint. Returns how many are newer than the one to which the training may go back.
    pub fn saved(&mut self, at_point: bool) -> u32 {
        self.since_point = if at_point { 0 } else { self.since_point.saturating_add(1) };
        self.since_point
    }
}

/// Standard deviations by which `value` is above the mean.
fn z_score(seen: &[f32], value: f64) -> f64 {
    let count = seen.len() as f64;
    let mean = seen.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = seen.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt().max(LEAST_DEVIATION * mean.abs()).max(f64::MIN_POSITIVE);
    (value - mean) / deviation
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: GuardRule = GuardRule { z_score: 6.0, window: 4, patience: 2, cut: 0.5, rewinds: 1 };

    fn after(losses: &[f64]) -> Guarded {
        let mut guarded = Guarded::default();
        for loss in losses {
            assert_eq!(guarded.judge(RULE, *loss, 1.0), Verdict::Normal);
        }
        guarded
    }

    #[test]
    fn the_ladder_is_skip_cut_take_rewind_give_up() {
        let mut guarded = after(&[2.0, 2.1, 1.9, 2.0]);
        let verdicts: Vec<Verdict> = (0..5).map(|_| guarded.judge(RULE, 9.0, 1.0)).collect();
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Skip, Verdict::Cut, Verdict::Take, Verdict::Rewind]);
        assert_eq!(guarded.rate, 0.5);
        let mut again = after(&[2.0]).rewound(&guarded, Rewind { to: 4, from: 9 });
        assert_eq!((again.rate, again.rewinds.len()), (0.5, 1));
        let verdicts: Vec<Verdict> = (0..5).map(|_| again.judge(RULE, f64::NAN, 1.0)).collect();
        assert_eq!(verdicts[4], Verdict::GiveUp);
    }

    #[test]
    fn a_normal_step_ends_a_row_of_suspects_and_suspects_do_not_move_the_mean() {
        let mut guarded = after(&[2.0, 2.1, 1.9, 2.0]);
        for _ in 0..10 {
            assert_eq!(guarded.judge(RULE, 9.0, 1.0), Verdict::Skip);
            assert_eq!(guarded.judge(RULE, 2.05, 1.0), Verdict::Normal);
        }
        assert_eq!(guarded.judge(RULE, 2.0, 50.0), Verdict::Skip, "a gradient norm counts as well");
        assert_eq!(guarded.judge(RULE, 0.1, 0.01), Verdict::Normal, "low is no harm");
    }

    #[test]
    fn few_steps_are_judged_by_finiteness_only() {
        let mut guarded = after(&[2.0, 2.0, 90.0]);
        assert_eq!(guarded.judge(RULE, f64::INFINITY, 1.0), Verdict::Skip);
        guarded.phase_ended();
        assert_eq!(guarded.judge(RULE, 1e9, 1.0), Verdict::Normal);
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_name() {
        assert_eq!(RULE.validate(Some(10)), Ok(()));
        assert_eq!(RULE.validate(None), Err(GuardError::NoCheckpoints));
        assert_eq!(GuardRule { rewinds: 0, ..RULE }.validate(None), Ok(()));
        for rule in [
            GuardRule { z_score: f64::NAN, ..RULE },
            GuardRule { window: 1, ..RULE },
            GuardRule { cut: 0.0, ..RULE },
            GuardRule { cut: f64::NAN, ..RULE },
            GuardRule { patience: 1001, ..RULE },
        ] {
            assert!(rule.validate(Some(10)).is_err(), "{rule:?}");
        }
    }

    #[test]
    fn json_keeps_it_exactly() {
        let mut guarded = after(&[0.1, 3.3, 1e-30]);
        guarded.rate = 1.0 / 3.0;
        let text = serde_json::to_string(&guarded).unwrap();
        assert_eq!(serde_json::from_str::<Guarded>(&text).unwrap(), guarded);
    }
}
