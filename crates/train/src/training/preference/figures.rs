//! Numbers of a step beside its loss, by TRL's names.

use std::collections::BTreeMap;

use super::math::Answer;

/// Sums over the answers of a step.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Figures {
    pairs: f64,
    /// Pairs whose chosen answer has the larger reward.
    right: f64,
    chosen: Sums,
    rejected: Sums,
    /// Estimate of the distance to the reference, and micro-batches that gave one.
    kl: Option<(f64, f64)>,
}

#[derive(Clone, Copy, Default, Debug, PartialEq)]
struct Sums {
    answers: f64,
    rewards: f64,
    logps: f64,
}

impl Sums {
    fn add(&mut self, reward: f64, logp: f64) {
        self.answers += 1.0;
        self.rewards += reward;
        self.logps += logp;
    }

    fn mean(self, sum: f64) -> Option<f64> {
        (self.answers > 0.0).then_some(sum / self.answers)
    }
}

impl Figures {
    /// Adds a pair with these rewards and log-probabilities.
    pub fn add_pair(&mut self, rewards: [f64; 2], logps: [f64; 2]) {
        self.pairs += 1.0;
        self.right += f64::from(rewards[0] > rewards[1]);
        self.chosen.add(rewards[0], logps[0]);
        self.rejected.add(rewards[1], logps[1]);
    }

    /// Adds an answer that is desirable or not.
    pub fn add_answer(&mut self, answer: Answer, beta: f64, desirable: bool) {
        let sums = if desirable { &mut self.chosen } else { &mut self.rejected };
        sums.add(beta * (answer.logp - answer.reference), answer.logp);
    }

    /// Adds the estimate of a micro-batch.
    pub fn add_kl(&mut self, kl: f64) {
        let (sum, count) = self.kl.unwrap_or_default();
        self.kl = Some((sum + kl, count + 1.0));
    }

    /// Adds the sums of another micro-batch.
    pub fn add(&mut self, other: &Figures) {
        self.pairs += other.pairs;
        self.right += other.right;
        for (sums, more) in [(&mut self.chosen, other.chosen), (&mut self.rejected, other.rejected)] {
            sums.answers += more.answers;
            sums.rewards += more.rewards;
            sums.logps += more.logps;
        }
        if let Some((sum, count)) = other.kl {
            let (before, counted) = self.kl.unwrap_or_default();
            self.kl = Some((before + sum, counted + count));
        }
    }

    /// Means by name. Those of answers that the step does not have are left out.
    pub fn named(&self) -> BTreeMap<String, f64> {
        let Figures { pairs, right, chosen, rejected, kl } = *self;
        let [good, bad] = [chosen, rejected].map(|sums| sums.mean(sums.rewards));
        let named = [
            ("rewards/chosen", good),
            ("rewards/rejected", bad),
            ("rewards/accuracies", (pairs > 0.0).then(|| right / pairs)),
            ("rewards/margins", good.zip(bad).map(|(good, bad)| good - bad)),
            ("logps/chosen", chosen.mean(chosen.logps)),
            ("logps/rejected", rejected.mean(rejected.logps)),
            ("kl", kl.map(|(sum, count)| sum / count)),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_all_micro_batches_and_absent_ones_have_no_name() {
        let mut first = Figures::default();
        first.add_pair([1.0, 0.5], [-4.0, -8.0]);
        let mut second = Figures::default();
        second.add_pair([0.0, 0.5], [-6.0, -10.0]);
        first.add(&second);
        let expected = [
            ("logps/chosen", -5.0),
            ("logps/rejected", -9.0),
            ("rewards/accuracies", 0.5),
            ("rewards/chosen", 0.5),
            ("rewards/margins", 0.0),
            ("rewards/rejected", 0.5),
        ];
        assert_eq!(first.named(), expected.map(|(name, value)| (name.to_owned(), value)).into());
        let mut one = Figures::default();
        one.add_answer(Answer { logp: -3.0, reference: -5.0, tokens: 2.0 }, 0.5, false);
        one.add_kl(0.25);
        let names: Vec<String> = one.named().into_keys().collect();
        assert_eq!(names, ["kl", "logps/rejected", "rewards/rejected"]);
        assert_eq!(one.named()["rewards/rejected"], 1.0);
    }
}
