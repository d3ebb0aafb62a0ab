//! The pulse of a run as lines for people.

use super::collect::{Pulse, StepPulse};
use crate::view::curve::{Charset, number, sparkline};
use stepwell_run::health::Finding;

impl Pulse {
    /// Lines such as `train  120/500 steps (24 %)  loss 3.21 ...`, the curves of each step below it, and the health.
    pub fn lines(&self, charset: Charset) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            // The time left is that of the whole run.
            let left = self.left.as_ref().filter(|_| index == 0).map(|left| format!("  {left} left"));
            lines.push(format!("{}{}", step.heading(), left.unwrap_or_default()));
            lines.extend(step.curve("loss", &step.losses, charset));
            lines.extend(step.curve("validation", &step.validations, charset));
        }
        if self.more > 0 {
            lines.push(format!("and {} more running steps", self.more));
        }
        lines.push(self.health_line());
        lines
    }

    /// One line that names every problem, the worst first.
    pub fn health_line(&self) -> String {
        if self.health.is_empty() {
            return "health    no problem".to_owned();
        }
        let named = |finding: &Finding| {
            let step = finding.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
            format!("{}: {step}{}", finding.problem.severity().as_str(), finding.problem)
        };
        format!("health    {}", self.health.iter().map(named).collect::<Vec<_>>().join("; "))
    }
}

impl StepPulse {
    fn heading(&self) -> String {
        let mut line = self.step.to_string();
        if let Some(mark) = self.progress {
            line.push_str(&match mark.done.saturating_mul(100).checked_div(mark.total) {
                Some(share) => format!("  {} of {} ({share} %)", mark.done, mark.total),
                None => format!("  {}", mark.done),
            });
        }
        if let Some(loss) = self.loss {
            line.push_str(&format!("  loss {}", number(loss)));
        }
        if let Some(speed) = self.tokens_per_second.filter(|speed| speed.is_finite()) {
            line.push_str(&format!("  {speed:.0} tokens/s"));
        }
        line
    }

    fn curve(&self, name: &str, values: &[f64], charset: Charset) -> Option<String> {
        let drawn = sparkline(values, charset);
        let (first, last) = (values.first()?, values.last()?);
        (values.len() > 1 && !drawn.is_empty())
            .then(|| format!("  {name:<10}  {} {drawn} {}", number(*first), number(*last)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use std::time::Duration;
    use stepwell_run::estimate::ProgressMark;
    use stepwell_run::health::Problem;

    use super::*;

    fn pulse() -> Pulse {
        let at = Timestamp::UNIX_EPOCH;
        let train = StepPulse {
            step: "train".into(),
            progress: Some(ProgressMark { done: 120, total: 500, at, first_done: 0, first_at: at }),
            losses: vec![6.0, 4.0, 3.5, 3.25, f64::NAN, 3.0],
            loss: Some(3.0),
            validations: vec![4.5, 3.5],
            tokens_per_second: Some(14_000.4),
        };
        let sh = StepPulse {
            step: "sh".into(),
            progress: None,
            losses: Vec::new(),
            loss: None,
            validations: Vec::new(),
            tokens_per_second: None,
        };
        let left = Some("about 3.0 min".to_owned());
        Pulse { steps: vec![train, sh], more: 2, left, seconds_left: Some(180.0), health: Vec::new() }
    }

    #[test]
    fn a_pulse_is_a_few_lines() {
        assert_eq!(
            pulse().lines(Charset::Unicode).join("\n"),
            "train  120 of 500 (24 %)  loss 3  14000 tokens/s  about 3.0 min left\n\
             \x20 loss        6 █▃▂▂!▁ 3\n\
             \x20 validation  4.5000 █▁ 3.5000\n\
             sh\n\
             and 2 more running steps\n\
             health    no problem"
        );
    }

    #[test]
    fn the_health_line_names_every_problem() {
        let mut pulse = pulse();
        let age = Duration::from_secs(2700);
        pulse.health = vec![
            Finding { step: Some("train".into()), problem: Problem::NotANumber { since: 7 } },
            Finding { step: Some("train".into()), problem: Problem::NoCheckpoint { age } },
        ];
        assert_eq!(
            pulse.health_line(),
            "health    critical: train: the loss is no number since training step 7; warning: train: no checkpoint for 45.0 min"
        );
        let json = pulse.json(stepwell_base::ids::RunId(uuid::Uuid::nil()));
        assert_eq!(json["health"][0]["code"], "not_a_number");
        assert_eq!((&json["steps"][0]["val_loss"], &json["steps"][0]["done"]), (&3.5.into(), &120.into()));
    }
}
