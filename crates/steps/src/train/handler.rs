//! Runs the step: trains a model from arguments and artifacts.

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::checkpoint_writer::CheckpointWriter;
use super::host::StepHost;
use super::metrics_log::MetricsLog;
use super::prepared::{Prepared, backend, model_and_plan, plan_from};
use super::result::{OUTPUTS, Trained, VALUES};
use crate::handler::{Highlight, Misfit, StepContext, StepError, StepHandler, arguments};
use crate::tuning_file::TuningFile;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::Progress;
use stepwell_train::device::tuning;
use stepwell_train::training::Finished;
use stepwell_train::training::checkpoint::{STATE_FILE, TrainState};
use stepwell_workflow::catalog::{Given, Gives};

pub struct Train;
pub static TRAIN: Train = Train;

/// Longest context of a model.
const MOST_CONTEXT: usize = 1 << 20;
/// Name in the step's directory of the run, next to its scratch directory.
const METRICS_FILE: &str = "metrics.jsonl";

impl StepHandler for Train {
    fn kind(&self) -> &'static str {
        "train"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "train a transformer on token files"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::Named(&OUTPUTS), values: Given::Figures(&VALUES) }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn counts_training_steps(&self) -> bool {
        true
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        let arguments: Arguments = arguments(with)?;
        arguments.optimizer.config()?;
        arguments.check_watch()?;
        if arguments.from.is_some() {
            if with.get("model").is_some() {
                let failure = Failure::fatal("`model` and `from` both say what is trained");
                return Err(failure.with_hint("leave `model` out: a training continues the model as it is"));
            }
            // The longest context of any model, because that of `from` is unknown here.
            arguments.plan(arguments.context.unwrap_or(MOST_CONTEXT))?;
        } else {
            // The tokenizer, which is unknown here, decides the real vocabulary.
            model_and_plan(&arguments, 1)?;
        }
        backend(&arguments.device).map(drop)
    }

    fn fixed_by_checkpoint(&self) -> &'static [&'static str] {
        &["tokenizer"]
    }

    fn misfit(&self, with: &Value, file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Misfit> {
        let arguments: Arguments = arguments(with).ok()?;
        let state = TrainState::from_file(&file(STATE_FILE)?).ok()?;
        // The tokenizer is that of the checkpoint.
        let vocab = u32::try_from(state.model.vocab_size).ok()?;
        let (model, plan) = match &arguments.from {
            Some(_) => plan_from(&arguments, &state.model, state.plan.lora.as_ref()).ok()?,
            None => model_and_plan(&arguments, vocab).ok()?,
        };
        if !model.has_weights_of(&state.model) {
            return Some(Misfit::Shape);
        }
        (state.step > plan.steps()).then(|| Misfit::BehindTheEnd { steps: plan.steps() })
    }

    /// Another backend rounds differently and gives other weights.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        Ok(json!({"backend": backend(&arguments.device)?}))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let prepared = Prepared::new(context)?;
        let restored = prepared.restored(context)?;
        let last_step = restored.as_ref().map_or(0, |restored| restored.state.step);
        context.reporter.rewind(last_step);
        let log = open_log(context, last_step)?;
        context.reporter.progress(Progress {
            done: last_step,
            total: prepared.plan.steps(),
            unit: "steps".to_owned(),
            message: String::new(),
        });

        let kernels = TuningFile::of(&context.request.state_dir);
        if let Some(restored) = &restored {
            tuning::adopt(restored.state.tuning.clone());
        }
        kernels.adopt(context.reporter);
        let mut trainer = prepared.trainer(restored)?;
        let mut committed = context.request.checkpoints.clone();
        committed.retain(|checkpoint| checkpoint.last_step.is_some_and(|step| step <= last_step));
        committed.sort_by_key(|checkpoint| checkpoint.last_step);
        let (steps, artifacts) = (prepared.plan.steps(), context.artifacts);
        let line = context.reporter.checkpoint_line();
        let writer = CheckpointWriter::new(artifacts.clone(), line, prepared.keep_checkpoints, committed);
        let mut host = StepHost::new(context.reporter, log, kernels, writer, steps, prepared.utilisation());
        let finished = loop {
            match trainer.run(&mut host) {
                Ok(Finished::Rewound { rewind, guarded }) => {
                    trainer = prepared.rewound(artifacts, &mut host, rewind, &guarded)?;
                }
                finished => break finished,
            }
        };
        let has_checkpoint = last_step > 0 || host.has_saved();
        match finished.map_err(|error| if has_checkpoint { with_checkpoint(error) } else { error })? {
            Finished::Rewound { .. } => unreachable!("the loop above goes on after it"),
            Finished::Stopped => Err(StepError::Interrupted),
            Finished::Complete { model, loss, steps, tokens, standing } => {
                let best = host.best().cloned();
                let special = prepared.tokenizer.special;
                let (model, best, output, averaged) = (&*model, best.as_ref(), prepared.output, prepared.averaged());
                let mixture = prepared.mixture.value();
                let trained =
                    Trained { special, model, loss, steps, tokens, standing, best, output, averaged, mixture };
                Ok(trained.publish(context.artifacts, context.reporter)?)
            }
        }
    }
}

/// Adds to the hint of a failure that a checkpoint stays.
fn with_checkpoint(error: StepError) -> StepError {
    let StepError::Failed(failure) = error else { return error };
    let hint = failure.hint.as_ref().map(|hint| format!("{hint}; the last checkpoint is kept"));
    StepError::Failed(Failure { hint, ..failure })
}

fn open_log(context: &StepContext<'_>, last_step: u64) -> Result<MetricsLog, Failure> {
    let directory = context.scratch().parent().unwrap_or(context.scratch());
    let path = directory.join(METRICS_FILE);
    MetricsLog::rewound(&path, last_step)
        .map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
}
