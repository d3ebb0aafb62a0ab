//! Losses of pairs and answers, and their derivatives. Pure functions of log-probabilities, in f64.

use super::objective::{PreferenceLoss, PreferenceObjective};

/// Log-probabilities of an answer, summed over its tokens.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Answer {
    /// Of the model that is trained.
    pub logp: f64,
    /// Of the reference; 0 without one.
    pub reference: f64,
    /// Number of its tokens.
    pub tokens: f64,
}

impl Answer {
    fn ratio(self) -> f64 {
        self.logp - self.reference
    }

    fn count(self) -> f64 {
        self.tokens.max(1.0)
    }
}

/// A loss and its derivatives with respect to the log-probability of each answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slope<const N: usize> {
    pub loss: f64,
    pub by: [f64; N],
}

pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `ln sigmoid(x)`.
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// `ln(1 - e^x)` for `x < 0` (Mächler 2012).
fn log_one_minus_exp(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// Loss of a pair, and its derivatives with respect to the log-probabilities of the chosen and the rejected answer.
pub fn of_pair(objective: &PreferenceObjective, chosen: Answer, rejected: Answer) -> Slope<2> {
    let PreferenceObjective { beta, label_smoothing: noise, .. } = *objective;
    let margin = beta * (chosen.ratio() - rejected.ratio());
    let per_token = chosen.ratio() / chosen.count() - rejected.ratio() / rejected.count();
    // Loss, and its derivative with respect to the margin.
    let of_margin = |loss: f64, by_margin: f64| Slope { loss, by: [beta * by_margin, -beta * by_margin] };
    let averaged = |loss: f64, by_difference: f64| Slope {
        loss,
        by: [by_difference / chosen.count(), -by_difference / rejected.count()],
    };
    match objective.loss {
        PreferenceLoss::Sigmoid => of_margin(
            -(1.0 - noise) * log_sigmoid(margin) - noise * log_sigmoid(-margin),
            -(1.0 - noise) * sigmoid(-margin) + noise * sigmoid(margin),
        ),
        PreferenceLoss::Robust => of_margin(
            (-(1.0 - noise) * log_sigmoid(margin) + noise * log_sigmoid(-margin)) / (1.0 - 2.0 * noise),
            (-(1.0 - noise) * sigmoid(-margin) - noise * sigmoid(margin)) / (1.0 - 2.0 * noise),
        ),
        PreferenceLoss::Hinge => of_margin((1.0 - margin).max(0.0), if margin < 1.0 { -1.0 } else { 0.0 }),
        PreferenceLoss::Ipo => {
            let distance = per_token - 1.0 / (2.0 * beta);
            averaged(distance * distance, 2.0 * distance)
        }
        PreferenceLoss::SigmoidNorm => averaged(-log_sigmoid(beta * per_token), -beta * sigmoid(-beta * per_token)),
        PreferenceLoss::Orpo => odds_ratio(beta, chosen, rejected),
        PreferenceLoss::Kto => {
            let [first, second] =
                [(chosen, true), (rejected, false)].map(|(answer, label)| of_answer(objective, answer, label, 0.0));
            Slope { loss: first.loss + second.loss, by: [first.by[0], second.by[0]] }
        }
    }
}

/// `-beta ln sigmoid` of the logarithm of the ratio of odds, `p / (1 - p)`, where `p` is the geometric mean of the
/// probabilities of an answer's tokens.
fn odds_ratio(beta: f64, chosen: Answer, rejected: Answer) -> Slope<2> {
    // A probability of 1 has no odds.
    let mean = |answer: Answer| (answer.logp / answer.count()).min(-1e-12);
    let (first, second) = (mean(chosen), mean(rejected));
    let log_odds = (first - second) - (log_one_minus_exp(first) - log_one_minus_exp(second));
    let by_odds = -beta * sigmoid(-log_odds);
    let by_mean = |mean: f64| 1.0 / -mean.exp_m1();
    Slope {
        loss: -beta * log_sigmoid(log_odds),
        by: [by_odds * by_mean(first) / chosen.count(), -by_odds * by_mean(second) / rejected.count()],
    }
}

/// Loss of an answer that is desirable or not (equation 7 of Ethayarajh et al. 2024). `kl` is how far the model is from the
/// reference, without a derivative.
pub fn of_answer(objective: &PreferenceObjective, answer: Answer, desirable: bool, kl: f64) -> Slope<1> {
    let beta = objective.beta;
    let [of_desirable, of_other] = objective.weights;
    let (weight, sign) = if desirable { (of_desirable, 1.0) } else { (of_other, -1.0) };
    let value = sigmoid(sign * beta * (answer.ratio() - kl));
    Slope { loss: weight * (1.0 - value), by: [-weight * sign * beta * value * (1.0 - value)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSES: [PreferenceLoss; 7] = [
        PreferenceLoss::Sigmoid,
        PreferenceLoss::Hinge,
        PreferenceLoss::Ipo,
        PreferenceLoss::SigmoidNorm,
        PreferenceLoss::Robust,
        PreferenceLoss::Orpo,
        PreferenceLoss::Kto,
    ];

    fn answer(logp: f64, reference: f64, tokens: f64) -> Answer {
        Answer { logp, reference, tokens }
    }

    #[test]
    fn derivatives_are_those_of_differences() {
        for loss in LOSSES {
            let noisy = matches!(loss, PreferenceLoss::Sigmoid | PreferenceLoss::Robust);
            let label_smoothing = if noisy { 0.2 } else { 0.0 };
            let objective =
                PreferenceObjective { label_smoothing, weights: [1.5, 0.5], ..PreferenceObjective::new(loss, 0.3) };
            for (chosen, rejected) in [
                (answer(-12.0, -11.0, 5.0), answer(-9.0, -9.5, 3.0)),
                (answer(-2.0, -8.0, 2.0), answer(-30.0, -9.0, 11.0)),
            ] {
                let loss_at = |first: f64, second: f64| {
                    let moved = |answer: Answer, by: f64| Answer { logp: answer.logp + by, ..answer };
                    of_pair(&objective, moved(chosen, first), moved(rejected, second)).loss
                };
                let step = 1e-5;
                let found = of_pair(&objective, chosen, rejected).by;
                let expected = [
                    (loss_at(step, 0.0) - loss_at(-step, 0.0)) / (2.0 * step),
                    (loss_at(0.0, step) - loss_at(0.0, -step)) / (2.0 * step),
                ];
                for (found, expected) in found.into_iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-7, "{loss:?}: {found} is not {expected}");
                }
            }
        }
    }

    /// The first loss of DPO: the model is its reference.
    #[test]
    fn a_model_that_is_its_reference_has_the_loss_ln_2() {
        let same = |logp: f64| answer(logp, logp, 7.0);
        for loss in [PreferenceLoss::Sigmoid, PreferenceLoss::SigmoidNorm, PreferenceLoss::Robust] {
            let found = of_pair(&PreferenceObjective::new(loss, 0.1), same(-40.0), same(-3.0)).loss;
            assert!((found - std::f64::consts::LN_2).abs() < 1e-15, "{loss:?}: {found}");
        }
    }

    #[test]
    fn far_margins_are_finite() {
        for logp in [-1e6, -1e-30, 0.0] {
            for loss in LOSSES {
                let objective = PreferenceObjective::new(loss, 0.1);
                let slope = of_pair(&objective, answer(logp, -5.0, 4.0), answer(-1e6 - logp, -5.0, 4.0));
                assert!(slope.loss.is_finite() && slope.by.iter().all(|by| by.is_finite()), "{loss:?}: {slope:?}");
            }
        }
    }
}
