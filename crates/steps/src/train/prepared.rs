//! Everything that a training needs, checked and opened once.

use std::sync::Arc;

use super::arguments::{Arguments, ModelOutput};
use super::data::{Mixed, mixture, samplers};
use super::host::StepHost;
use super::loss_weights::token_weights;
use super::resume::newest_valid;
use super::utilisation::Utilisation;
use super::watch::watch;
use crate::adapters::StoredAdapter;
use crate::handler::{StepContext, StepError, forked_from_nothing};
use crate::preferences::KnownLogps;
use crate::text_codec::TextCodec;
use crate::trained_model::TrainedModel;
use stepwell_artifact::ArtifactStore;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::data::Sampler;
use stepwell_train::device::{self, Device};
use stepwell_train::model::Transformer;
use stepwell_train::model::config::{Init, ModelConfig};
use stepwell_train::model::lora::{LoraConfig, initial_adapters};
use stepwell_train::model::scales::parameter_paths;
use stepwell_train::optim::OptimizerConfig;
use stepwell_train::training::checkpoint::{Base, Expected, Restored};
use stepwell_train::training::guard::{Guarded, Rewind};
use stepwell_train::training::plan::Plan;
use stepwell_train::training::preference::Reference;
use stepwell_train::training::{TokenWeights, Trainer, Watch, WatchedWeights};

/// A training that can start: its arguments fit each other, its files are intact and its device is open.
pub struct Prepared {
    pub tokenizer: Arc<TextCodec>,
    pub config: ModelConfig,
    pub plan: Plan,
    pub keep_checkpoints: u32,
    /// State that becomes the output.
    pub output: ModelOutput,
    pub mixture: Mixed,
    /// Model to continue from.
    from: Option<Below>,
    /// Adapter to continue from.
    adapter: Option<StoredAdapter>,
    /// Log-probabilities of the reference of preferences.
    known: Option<Arc<[f64]>>,
    watch: Watch,
    /// One per phase.
    token_weights: Vec<TokenWeights>,
    optimizer: OptimizerConfig,
    /// One per phase.
    samplers: Vec<Sampler>,
    /// Resolved name of the device.
    backend: &'static str,
    device: Device,
}

/// The model that a training starts from, and the digest of its weights.
struct Below {
    model: TrainedModel,
    digest: String,
}

impl Prepared {
    /// Checks the arguments, opens the files and then the device. Notes that no document fills the context.
    pub fn new(context: &mut StepContext<'_>) -> Result<Self, StepError> {
        let arguments: Arguments = context.arguments()?;
        Prepared::of(context, &arguments)
    }

    /// Like [`Prepared::new`], with arguments that are not those of the step.
    pub fn of(context: &mut StepContext<'_>, arguments: &Arguments) -> Result<Self, StepError> {
        let optimizer = arguments.optimizer.config()?;
        arguments.check_watch()?;
        let tokenizer = context.artifacts.read(&arguments.tokenizer)?;
        let (tokenizer, from) = match &arguments.from {
            None => (TextCodec::load(&tokenizer)?, None),
            Some(model) => {
                let model = TrainedModel::read(context.artifacts, model)?;
                let codec = TextCodec::with_special(&tokenizer, model.special)?;
                model.check_tokenizer(&codec)?;
                (codec, Some(model))
            }
        };
        let tokenizer = Arc::new(tokenizer);
        let adapter = match arguments.lora.as_ref().and_then(|lora| lora.from.as_ref()) {
            Some(adapter) => Some(StoredAdapter::read(context.artifacts, adapter)?),
            None => None,
        };
        let (config, plan) = match &from {
            Some(model) => plan_from(arguments, &model.config, adapter.as_ref().map(|adapter| &adapter.lora))?,
            None => model_and_plan(arguments, tokenizer.vocab())?,
        };
        let samplers = samplers(context.artifacts, arguments, tokenizer.encoder(), &plan)?;
        let mixture = mixture(arguments, &plan, &samplers)?;
        for line in mixture.lines() {
            context.reporter.note(line);
        }
        for (phase, sampler) in plan.phases.iter().zip(&samplers) {
            lost_documents(&phase.name, sampler).into_iter().for_each(|note| context.reporter.note(note));
        }
        if let Some(note) = samplers.iter().find_map(short_documents).filter(|_| arguments.row_packing().is_default()) {
            context.reporter.note(note);
        }
        let known = known_logps(context.artifacts, arguments, &plan, &samplers)?;
        let token_weights = token_weights(&plan, &samplers, &tokenizer)?;
        let watch = watch(context.artifacts, arguments, &tokenizer, config.context)?;
        let backend = backend(&arguments.device)?;
        let device = device::open_with(backend, plan.precision).map_err(fatal)?.autodiff();
        let from = from.map(|model| Below { digest: digest(&model), model });
        let (keep_checkpoints, output) = (arguments.keep_checkpoints, arguments.output);
        Ok(Prepared {
            tokenizer,
            config,
            plan,
            keep_checkpoints,
            output,
            mixture,
            from,
            adapter,
            known,
            watch,
            token_weights,
            optimizer,
            samplers,
            backend,
            device,
        })
    }

    /// The newest intact checkpoint of an earlier attempt, or of the run that this one was forked from.
    pub fn restored(&self, context: &mut StepContext<'_>) -> Result<Option<Restored>, Failure> {
        let request = context.request;
        let expected = self.expected(request.forked_at);
        let restored = newest_valid(context.artifacts, context.reporter, &request.checkpoints, &expected, self.backend);
        match (&restored, request.forked_at) {
            (None, Some(train_step)) => Err(forked_from_nothing(train_step)),
            _ => Ok(restored),
        }
    }

    fn expected(&self, forked_at: Option<u64>) -> Expected<'_> {
        let Prepared { config, plan, device, optimizer, .. } = self;
        let base = self.base().map(|below| Base { digest: &below.digest, weights: &below.model.weights });
        Expected { model: config, optimizer: optimizer.clone(), plan, device, forked_at, base }
    }

    /// The frozen model, if adapters are trained.
    fn base(&self) -> Option<&Below> {
        self.from.as_ref().filter(|_| self.plan.lora.is_some())
    }

    /// A training that goes on from the checkpoint of `rewind.to`, or from the start. `now` is the state of the guard
    /// that decided it.
    ///
    /// # Errors
    /// When that checkpoint is not usable: another one would make another training.
    pub fn rewound(
        &self,
        artifacts: &ArtifactStore,
        host: &mut StepHost<'_>,
        rewind: Rewind,
        now: &Guarded,
    ) -> Result<Trainer<'_>, Failure> {
        let found = host.rewind(rewind)?;
        if rewind.to == 0 {
            let guarded = Guarded::default().rewound(now, rewind);
            return Ok(self.trainer(None)?.guarded(guarded));
        }
        let expected = self.expected(now.fork_point());
        let restored =
            found.and_then(|found| newest_valid(artifacts, host.reporter(), &[found], &expected, self.backend));
        let Some(restored) = restored else {
            let message = format!("the guard cannot go back to step {}: it has no usable checkpoint", rewind.to);
            return Err(Failure::fatal(message).with_hint("`stepwell checkpoints` lists those to fork at"));
        };
        let guarded = restored.state.guarded.rewound(now, rewind);
        Ok(self.trainer(Some(restored))?.guarded(guarded))
    }

    /// True if the outputs are the average of the weights.
    pub fn averaged(&self) -> bool {
        self.watch.weights == WatchedWeights::Average
    }

    /// Computes how much of the device the training uses.
    pub fn utilisation(&self) -> Utilisation {
        Utilisation::new(self.backend, &self.config, &self.plan)
    }

    /// A training that continues from `restored`, or starts with the weights of another model, or with initial ones.
    ///
    /// # Errors
    /// When the weights of the other model do not have its shape.
    pub fn trainer(&self, restored: Option<Restored>) -> Result<Trainer<'_>, Failure> {
        let Prepared { plan, samplers, optimizer, backend, .. } = self;
        let trainer = match restored {
            Some(restored) => Trainer::resumed(plan, samplers, restored, optimizer.clone(), backend),
            None => {
                let model = match &self.from {
                    Some(from) => self.adapted(from.model.on(&self.config, &self.device)?)?,
                    None => Transformer::init(&self.config, plan.seed, &self.device),
                };
                Trainer::new(plan, samplers, model, optimizer.clone(), backend)
            }
        };
        let reference = self.reference(trainer.model())?;
        let trainer = trainer.compared_with(reference);
        let trainer = trainer.on_base(self.base().map(|below| below.digest.clone()));
        Ok(trainer.watching(self.watch.clone()).weighing(self.token_weights.clone()))
    }

    /// The reference of preferences: the model that the training starts from, also after a resume. Shares the frozen weights
    /// of `model`.
    fn reference(&self, model: &Transformer) -> Result<Option<Reference>, Failure> {
        if !self.plan.preference.is_some_and(|objective| objective.has_reference()) {
            return Ok(None);
        }
        if let Some(known) = &self.known {
            return Ok(Some(Reference::Known(Arc::clone(known))));
        }
        let reference = match (&self.plan.lora, &self.adapter, &self.from) {
            (Some(_), Some(_), _) => self.adapted(model.clone())?,
            (Some(_), None, _) => model.clone().without_adapters(),
            (None, _, Some(from)) => from.model.on(&self.config, &self.device)?.with_precision(self.plan.precision),
            (None, _, None) => return Ok(None),
        };
        Ok(Some(Reference::Model(Box::new(reference))))
    }

    /// The model with the adapters that are trained, if any.
    fn adapted(&self, model: Transformer) -> Result<Transformer, Failure> {
        let Some(lora) = &self.plan.lora else { return Ok(model) };
        let fresh;
        let tensors = match &self.adapter {
            Some(adapter) => &adapter.tensors,
            None => {
                fresh = initial_adapters(lora, &self.config, self.plan.seed);
                &fresh
            }
        };
        model.with_adapters(lora, tensors).map_err(|error| {
            Failure::fatal(format!("`lora.from` does not fit the model: {error}"))
                .with_hint("give the model that the adapter was trained on as `from`")
        })
    }
}

/// The model and the plan that the arguments describe, for a tokenizer of `vocab` tokens.
pub fn model_and_plan(arguments: &Arguments, vocab: u32) -> Result<(ModelConfig, Plan), Failure> {
    fitting(arguments, model_config(arguments, vocab)?)
}

fn fitting(arguments: &Arguments, config: ModelConfig) -> Result<(ModelConfig, Plan), Failure> {
    let plan = arguments.plan(config.context)?;
    check_contexts(&plan, &config)?;
    check_frozen(&plan, &config)?;
    check_optimizer(arguments, &config)?;
    Ok((config, plan))
}

/// The log-probabilities of `preference.reference`, which must be those of all answers of the only token files.
fn known_logps(
    artifacts: &ArtifactStore,
    arguments: &Arguments,
    plan: &Plan,
    samplers: &[Sampler],
) -> Result<Option<Arc<[f64]>>, Failure> {
    let Some(reference) = arguments.preference.as_ref().and_then(|preference| preference.reference.as_ref()) else {
        return Ok(None);
    };
    let one = plan.phases.len() == 1 && samplers[0].sources() == 1 && !arguments.tokens.is_empty();
    if !one {
        return Err(Failure::fatal(
            "`preference.reference` is about one list of token files, and this training has several",
        )
        .with_hint("leave `reference` out: the model that the training starts from is asked at each step"));
    }
    let (answers, _) = samplers[0].documents();
    KnownLogps::read(artifacts, reference, &arguments.tokens, plan.phases[0].context, answers).map(Some)
}

fn digest(model: &TrainedModel) -> String {
    blake3::hash(&model.weights).to_hex().to_string()
}

/// The same for a training that continues another model: its shape, with the context of the arguments. `adapter` are the
/// settings of the adapter that it continues.
pub fn plan_from(
    arguments: &Arguments,
    from: &ModelConfig,
    adapter: Option<&LoraConfig>,
) -> Result<(ModelConfig, Plan), Failure> {
    let config = ModelConfig { context: arguments.context.unwrap_or(from.context), ..from.clone() };
    config.validate().map_err(fatal)?;
    let (config, plan) = fitting(arguments, config)?;
    let lora = arguments.lora.as_ref().map(|lora| lora.resolve(&config, adapter)).transpose()?;
    Ok((config, Plan { lora, ..plan }))
}

/// Resolves the name of a device.
pub fn backend(device: &str) -> Result<&'static str, Failure> {
    device::resolve(device).map_err(fatal)
}

fn model_config(arguments: &Arguments, vocab: u32) -> Result<ModelConfig, Failure> {
    let mut config = arguments.model.resolve(vocab)?;
    if let Some(context) = arguments.context {
        config.context = context;
    }
    config.validate().map_err(fatal)?;
    Ok(config)
}

fn check_frozen(plan: &Plan, config: &ModelConfig) -> Result<(), Failure> {
    let ramps = plan.phases.iter().map(|phase| &phase.freeze_ramp).chain([&plan.freeze_ramp]);
    let of_ramps = ramps.flatten().map(|(_, frozen)| *frozen);
    let numbers = plan.phases.iter().filter_map(|phase| phase.freeze_layers).chain([plan.freeze_layers]);
    numbers.chain(of_ramps).try_for_each(|frozen| config.check_frozen(frozen)).map_err(fatal)
}

/// Checks settings of the optimizer that name parameters of the model.
fn check_optimizer(arguments: &Arguments, config: &ModelConfig) -> Result<(), Failure> {
    let optimizer = arguments.optimizer.config()?;
    if arguments.lora.is_some() {
        return match optimizer.groups.first() {
            None => Ok(()),
            Some(_) => {
                Err(Failure::fatal("`optimizer.groups` names parameters of the model, which `lora` does not train")
                    .with_hint("leave `optimizer.groups` out"))
            }
        };
    }
    let paths = parameter_paths(config);
    if let Some(unused) = optimizer.groups.iter().find(|group| !paths.iter().any(|path| group.has(path))) {
        let of_block: Vec<&str> = paths.iter().filter_map(|path| path.strip_prefix("blocks.0.")).collect();
        let message = format!("`optimizer.groups`: no parameter matches `{}`", unused.parameters);
        return Err(Failure::fatal(message).with_hint(format!(
            "parameters are `embedding`, `final_norm` and, for each block, `blocks.0.` with {}; `*` stands for any characters",
            of_block.join(", ")
        )));
    }
    if matches!(config.init, Init::Completep { .. }) && (optimizer.muon.is_some() || optimizer.adafactor.is_some()) {
        return Err(Failure::fatal("`init = \"completep\"` scales the settings of AdamW, `optimizer.kind` is another")
            .with_hint("leave `optimizer.kind` out, or `init`"));
    }
    Ok(())
}

fn check_contexts(plan: &Plan, config: &ModelConfig) -> Result<(), Failure> {
    match plan.phases.iter().find(|phase| phase.context > config.context || phase.context == 0) {
        None => Ok(()),
        Some(phase) => {
            let message =
                format!("phase `{}` has a context of {}, the model has {}", phase.name, phase.context, config.context);
            Err(Failure::fatal(message).with_hint("a phase may only shorten the context; raise the run's `context`"))
        }
    }
}

fn fatal(error: impl std::error::Error) -> Failure {
    Failure::from_error(FailureKind::Fatal, &error)
}

/// Notes what rows of whole documents do not hold.
fn lost_documents(phase: &str, sampler: &Sampler) -> Option<String> {
    let (context, (cut, left_out)) = (sampler.context(), sampler.lost());
    (cut + left_out > 0).then(|| {
        format!(
            "phase `{phase}`: {cut} examples are longer than the context of {context} tokens, and their ends are not \
             learned; {left_out} have no answer within it and are left out"
        )
    })
}

/// Notes that no document fills the context, whose end then costs memory without being trained.
fn short_documents(sampler: &Sampler) -> Option<String> {
    let (context, longest) = (sampler.context(), sampler.longest_document());
    (context as u64 > longest).then(|| {
        format!(
            "no document fills the context of {context} tokens: samples hold several documents, which do not see each \
             other; the longest has {longest} tokens, and `context = {longest}` learns the same in less memory"
        )
    })
}
