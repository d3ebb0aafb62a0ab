//! One line about a training before it starts.

use serde_json::Value;

use super::arguments::Arguments;
use super::arguments::ModelArgument;
use super::handler::TRAIN;
use super::prepared::{backend, model_and_plan};
use crate::handler::{StepHandler, arguments};
use crate::tokenizer_train::TOKENIZER_TRAIN;
use stepwell_workflow::diagnostic::grouped;

/// More steps than anybody trains; their tokens might not fit into a number.
const MOST_STEPS: u64 = 1 << 36;

/// A training that has not started.
struct Training {
    model: String,
    /// `None` without a known size of the tokenizer.
    parameters: Option<u64>,
    steps: u64,
    tokens: u64,
    device: String,
}

impl Training {
    /// `None` for arguments that cannot train.
    fn of(with: &Value, vocab: Option<u64>) -> Option<Training> {
        let arguments: Arguments = arguments(with).ok().filter(|arguments: &Arguments| arguments.from.is_none())?;
        let size = vocab.and_then(|vocab| u32::try_from(vocab).ok());
        let (config, plan) = model_and_plan(&arguments, size.unwrap_or(1)).ok()?;
        if plan.steps() > MOST_STEPS {
            return None;
        }
        let model = match &arguments.model {
            ModelArgument::Preset(name) => name.clone(),
            ModelArgument::Changes(changes) => changes.preset.clone().unwrap_or_else(|| "quickstart".to_owned()),
        };
        Some(Training {
            model,
            parameters: size.map(|_| config.parameter_counts().total as u64),
            steps: plan.steps(),
            tokens: plan.tokens(plan.steps()),
            device: match backend(&arguments.device).ok()? {
                "flex" => "the CPU".to_owned(),
                other => other.to_owned(),
            },
        })
    }
}

/// Describes the last training of a workflow: model, size, steps and tokens. `steps` has the kind of every step and its
/// arguments, if they are known. `None` if nothing is trained.
pub fn preview<'a>(steps: impl DoubleEndedIterator<Item = (&'a str, &'a Value)> + Clone) -> Option<String> {
    let arguments = |kind: &str| steps.clone().rev().find(|(other, _)| *other == kind).map(|(_, with)| with);
    let vocab = arguments(TOKENIZER_TRAIN.kind()).and_then(|with| with.get("vocab_size")?.as_u64());
    let Training { model, parameters, steps, tokens, device } = Training::of(arguments(TRAIN.kind())?, vocab)?;
    let size = parameters.map(|parameters| format!(" (about {} parameters)", rounded(parameters))).unwrap_or_default();
    let per_step = tokens / steps.max(1);
    Some(format!(
        "training the model `{model}`{size} for {} steps of {} tokens, {} in all, on {device}",
        grouped(usize::try_from(steps).ok()?),
        grouped(usize::try_from(per_step).ok()?),
        rounded(tokens),
    ))
}

/// Formats a count in two or three digits, such as `2.5 M`.
fn rounded(count: u64) -> String {
    let value = count as f64;
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.0},000", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", value / 1e6),
        _ => format!("{:.1} G", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_training_is_described_before_it_starts() {
        let file = json!({ "digest": "0".repeat(64), "size": 1, "media_type": "x" });
        let train = json!({ "tokens": [file], "tokenizer": file, "model": "quickstart", "batch": 16, "context": 128, "steps": 1200, "device": "flex" });
        let tokenizer = json!({ "documents": file, "vocab_size": 1024 });
        let steps = [("tokenizer.train", &tokenizer), ("train", &train)];
        let text = preview(steps.into_iter()).unwrap();
        assert_eq!(
            text,
            "training the model `quickstart` (about 935,000 parameters) for 1,200 steps of 2,048 tokens, 2.5 M in all, on the CPU"
        );
        let text = preview([("train", &train)].into_iter()).unwrap();
        assert!(text.starts_with("training the model `quickstart` for 1,200 steps"), "{text}");
        assert_eq!(preview([("noop", &train)].into_iter()), None);
    }

    #[test]
    fn counts_are_short() {
        for (count, text) in [
            (9_999, "9999"),
            (935_040, "935,000"),
            (2_457_600, "2.5 M"),
            (60_659_520, "60.7 M"),
            (3_000_000_000, "3.0 G"),
        ] {
            assert_eq!(rounded(count), text);
        }
    }
}
