//! The optimizer: chooses the update rule of each parameter and keeps its state.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::adafactor::{Factored, adafactor_step};
use super::adamw::{Clipping, Moments, adamw_step};
use super::buffers::Buffers;
use super::config::{OptimizerConfig, SMALLEST_SCALE};
use super::gradients::{GradientSum, clip_factor};
use super::groups::Grouped;
use super::muon::{Momentum, muon_step};
#[cfg(feature = "cube")]
use super::on_device::Together;
use super::paths::PathTracker;
use super::state::{Kind, OptimizerError, ParameterState, Source, State};
use super::tracking::Tracking;
use crate::model::Matrices;
use crate::model::scales::Scales;
use crate::model::shared::Shared;
use crate::model::weights::NamedTensor;
use crate::ops::{AdafactorStep, AdamWStep, MuonStep};

/// Policy for a parameter without state in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Fails: zeros would make it another training.
    Refused,
    /// Starts the state at zero, and drops state that belongs to no parameter. A fork may train other parameters, or
    /// train them in another way, than the run it continues.
    Zero,
}

/// The optimizer and its state, keyed by the parameter's path in the module.
pub struct Optimizer {
    config: OptimizerConfig,
    grouped: Grouped,
    /// Empty without Muon and Adafactor.
    matrices: Matrices,
    /// Steps taken, for the bias correction.
    steps: u64,
    states: BTreeMap<String, ParameterState>,
}

impl Optimizer {
    /// Creates an optimizer without history.
    pub fn new(config: OptimizerConfig, matrices: Matrices) -> Self {
        let by_matrix = config.muon.is_some() || config.adafactor.is_some();
        let matrices = if by_matrix { matrices } else { Matrices::new() };
        let grouped = Grouped::new(&config, Scales::new());
        Optimizer { config, grouped, matrices, steps: 0, states: BTreeMap::new() }
    }

    /// Multiplies the settings of parameters by these factors, too.
    #[must_use]
    pub fn scaled(self, scales: Scales) -> Self {
        Optimizer { grouped: Grouped::new(&self.config, scales), ..self }
    }

    /// Resumes an optimizer after `steps` steps, from state written by [`Optimizer::shared`].
    ///
    /// # Errors
    /// `Missing` or `Unexpected` when the state is not exactly that of the trained parameters, unless
    /// [`Absent::Zero`] allows it; `Shape` when a shape differs.
    pub fn from_named<M: Module>(
        config: OptimizerConfig,
        matrices: Matrices,
        steps: u64,
        model: &M,
        tensors: BTreeMap<String, NamedTensor>,
        absent: Absent,
    ) -> Result<Self, OptimizerError> {
        let mut optimizer = Optimizer { steps, ..Optimizer::new(config, matrices) };
        let mut source = Source(tensors);
        for (path, shape) in trained(model).into_iter().filter(|_| steps > 0) {
            let whole = [shape[0]];
            let kind = match optimizer.matrices.get(&path) {
                _ if optimizer.config.adafactor.is_some() && shape.len() != 2 => Kind::Adafactor(&[]),
                parts if optimizer.config.adafactor.is_some() => Kind::Adafactor(parts.map_or(&whole, Vec::as_slice)),
                Some(_) => Kind::Muon,
                None => Kind::AdamW,
            };
            match source.state(&path, &shape, kind) {
                Ok(state) => drop(optimizer.states.insert(path, ParameterState { shape, state })),
                Err(OptimizerError::Missing(_)) if absent == Absent::Zero => {}
                Err(error) => return Err(error),
            }
        }
        match source.0.into_keys().next() {
            Some(name) if absent == Absent::Refused => Err(OptimizerError::Unexpected(name)),
            _ => Ok(optimizer),
        }
    }

    /// State, shared with this optimizer if it is on the host, sorted by path and named as in PyTorch:
    /// `<path>.exp_avg` and `<path>.exp_avg_sq` of AdamW, `<path>.momentum_buffer` of Muon, `<path>.exp_avg_sq_row` and
    /// `<path>.exp_avg_sq_col` (one row per matrix), or `<path>.exp_avg_sq`, of Adafactor.
    pub fn shared(&self) -> Vec<NamedTensor<Shared>> {
        self.states.iter().flat_map(|(path, state)| state.shared(path)).collect()
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Number of trained parameters of `model` that have no state yet.
    pub fn without_state<M: Module>(&self, model: &M) -> usize {
        trained(model).iter().filter(|(path, _)| !self.states.contains_key(path)).count()
    }

    /// Drops the state of parameters that `model` does not train.
    pub fn forget_frozen<M: Module>(&mut self, model: &M) {
        let trained: BTreeSet<String> = trained(model).into_iter().map(|(path, _)| path).collect();
        self.states.retain(|path, _| trained.contains(path));
    }

    /// Takes one step. `clipping` holds the global norm of `gradients`. If that norm is on a device, the device
    /// clips, and a norm that is not finite changes nothing.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: GradientSum,
        learning_rate: f64,
        clipping: Clipping<'_>,
    ) -> M {
        self.steps += 1;
        let OptimizerConfig { beta1, beta2, epsilon, weight_decay, muon, adafactor, .. } = self.config;
        // GPUs update all parameters at once, with one setting. Otherwise the host does it, whatever the device.
        let on_host = !self.grouped.is_uniform() || adafactor.is_some();
        let norm = clipping.norm.known().or_else(|| on_host.then(|| clipping.norm.value()));
        let gradient_scale = norm.map_or(1.0, |norm| clip_factor(norm, clipping.limit) as f32);
        let adamw = AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, step: self.steps };
        let muon = muon.map(|muon| MuonStep { learning_rate, momentum: muon.momentum, weight_decay, gradient_scale });
        let adafactor = adafactor.map(|adafactor| AdafactorStep {
            learning_rate,
            beta2: 1.0 - (self.steps as f64).powf(adafactor.decay_rate),
            epsilon: adafactor.epsilon,
            clip_threshold: adafactor.clip_threshold,
            smallest_scale: adafactor.scale_parameter.then_some(SMALLEST_SCALE),
            weight_decay,
            gradient_scale,
        });
        let mut update = Update {
            gradients,
            states: &mut self.states,
            grouped: &self.grouped,
            matrices: &self.matrices,
            path: PathTracker::default(),
            adamw,
            muon,
            adafactor,
            #[cfg(feature = "cube")]
            together: clipping.norm.on_device().filter(|_| !on_host).map(Together::new),
        };
        let model = model.map(&mut update);
        #[cfg(feature = "cube")]
        if let Some(together) = update.together {
            let (model, states) = together.step(model, adamw, clipping.limit);
            self.states.extend(states);
            return model;
        }
        model
    }
}

/// Path and shape of every trained parameter, in module order.
fn trained<M: Module>(model: &M) -> Vec<(String, Vec<usize>)> {
    struct Lister(PathTracker, Vec<(String, Vec<usize>)>);
    impl ModuleVisitor for Lister {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            if value.is_require_grad() {
                self.1.push((self.0.current(), value.shape().to_vec()));
            }
        }
    }
    let mut lister = Lister(PathTracker::default(), Vec::new());
    model.visit(&mut lister);
    lister.1
}

/// Walks the module and replaces every parameter that has a gradient.
struct Update<'a> {
    gradients: GradientSum,
    states: &'a mut BTreeMap<String, ParameterState>,
    grouped: &'a Grouped,
    matrices: &'a Matrices,
    path: PathTracker,
    adamw: AdamWStep,
    muon: Option<MuonStep>,
    adafactor: Option<AdafactorStep>,
    /// Parameters that are updated on a GPU, all at once.
    #[cfg(feature = "cube")]
    together: Option<Together<'a>>,
}

/// Update rule of a parameter, with its state.
pub(super) enum Rule<'a> {
    AdamW(Moments),
    /// With the row counts of the parameter's matrices.
    Muon(Momentum, MuonStep, &'a [usize]),
    /// With the row counts of the parameter's matrices; empty for a vector.
    Adafactor(Factored, AdafactorStep, Vec<usize>),
}

impl<'a> Update<'a> {
    /// Chooses the rule. The state is zeros before the first step and after a change of rule.
    fn rule(&mut self, path: &str, shape: &[usize]) -> Rule<'a> {
        let state = self.states.remove(path).map(|kept| kept.state);
        let length = shape.iter().product();
        if let Some(step) = self.adafactor {
            let whole = if shape.len() == 2 { vec![shape[0]] } else { Vec::new() };
            let parts = self.matrices.get(path).cloned().unwrap_or(whole);
            let moments = match state {
                Some(State::Adafactor(moments)) => moments,
                _ => Factored::zeros(shape, &parts),
            };
            return Rule::Adafactor(moments, step, parts);
        }
        match (self.muon, self.matrices.get(path), state) {
            (Some(step), Some(parts), Some(State::Muon(momentum))) => Rule::Muon(momentum, step, parts),
            (Some(step), Some(parts), _) => Rule::Muon(Buffers::zeros(length), step, parts),
            (_, _, Some(State::AdamW(moments))) => Rule::AdamW(moments),
            _ => Rule::AdamW(Buffers::zeros(length)),
        }
    }

    fn step<const D: usize>(
        &self,
        path: &str,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        rule: Rule<'_>,
    ) -> (Tensor<D>, State) {
        let own = self.grouped.of(path, D, self.adamw.weight_decay);
        let (learning_rate, weight_decay) = (self.adamw.learning_rate * own.lr_scale, own.weight_decay);
        match rule {
            Rule::Muon(momentum, step, parts) => {
                let step = MuonStep { learning_rate, weight_decay, ..step };
                let (tensor, momentum) = muon_step(tensor, gradient, momentum, parts, step);
                (tensor, State::Muon(momentum))
            }
            Rule::AdamW(moments) => {
                let epsilon = self.adamw.epsilon * own.epsilon_scale;
                let step = AdamWStep { learning_rate, weight_decay, epsilon, ..self.adamw };
                let (tensor, moments) = adamw_step(tensor, gradient, moments, step);
                (tensor, State::AdamW(moments))
            }
            Rule::Adafactor(moments, step, parts) => {
                let step = AdafactorStep { learning_rate, weight_decay, ..step };
                let (tensor, moments) = adafactor_step(tensor, gradient, moments, &parts, step);
                (tensor, State::Adafactor(moments))
            }
        }
    }
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let tracking = Tracking::of(&tensor);
        let path = self.path.current();
        let shape = tensor.shape().to_vec();
        let rule = self.rule(&path, &shape);
        #[cfg(feature = "cube")]
        if let Some(together) = self.together.as_mut() {
            let place = together.take(id, path, tensor.inner(), gradient.inner(), rule);
            return Param::from_mapped_value(id, tracking.restore(place), mapper);
        }
        let (tensor, state) = self.step(&path, tensor.inner(), gradient.inner(), rule);
        self.states.insert(path, ParameterState { shape, state });
        Param::from_mapped_value(id, tracking.restore(tensor), mapper)
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
