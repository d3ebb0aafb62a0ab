//! The optimizer: chooses the update rule of each parameter and keeps its state.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::adamw::{Clipping, Moments, adamw_step};
use super::buffers::Buffers;
use super::config::OptimizerConfig;
use super::gradients::{GradientSum, clip_factor};
use super::muon::{Momentum, muon_step};
#[cfg(feature = "cube")]
use super::on_device::Together;
use super::paths::PathTracker;
use super::tracking::Tracking;
use crate::model::Matrices;
use crate::model::shared::Shared;
use crate::model::weights::NamedTensor;
use crate::ops::{AdamWStep, MuonStep};

/// Optimizer state that does not fit the model.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum OptimizerError {
    #[error("the optimizer state has no `{0}`")]
    Missing(String),
    #[error("the optimizer state holds `{0}`, which is not part of the model")]
    Unexpected(String),
    #[error("`{name}` in the optimizer state has shape {found:?}, the parameter has {expected:?}")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
}

/// Policy for a parameter without state in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Fails: zeros would make it another training.
    Refused,
    /// Starts the state at zero, and drops state that belongs to no parameter. A fork may train other parameters, or
    /// train them in another way, than the run it continues.
    Zero,
}

const FIRST: &str = ".exp_avg";
const SECOND: &str = ".exp_avg_sq";
const MOMENTUM: &str = ".momentum_buffer";

/// The optimizer and its state, keyed by the parameter's path in the module.
pub struct Optimizer {
    config: OptimizerConfig,
    /// Empty without Muon.
    matrices: Matrices,
    /// Steps taken, for the bias correction.
    steps: u64,
    states: BTreeMap<String, ParameterState>,
}

pub(super) struct ParameterState {
    pub shape: Vec<usize>,
    pub state: State,
}

pub(super) enum State {
    AdamW(Moments),
    Muon(Momentum),
}

impl Optimizer {
    /// Creates an optimizer without history.
    pub fn new(config: OptimizerConfig, matrices: Matrices) -> Self {
        let matrices = if config.muon.is_some() { matrices } else { Matrices::new() };
        Optimizer { config, matrices, steps: 0, states: BTreeMap::new() }
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
            let state = if optimizer.matrices.contains_key(&path) {
                source.take(&path, &shape, [MOMENTUM]).map(State::Muon)
            } else {
                source.take(&path, &shape, [FIRST, SECOND]).map(State::AdamW)
            };
            match state {
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

    /// State, shared with this optimizer if it is on the host, sorted by path: `<path>.exp_avg` and
    /// `<path>.exp_avg_sq` of AdamW, `<path>.momentum_buffer` of Muon, as PyTorch names them.
    pub fn shared(&self) -> Vec<NamedTensor<Shared>> {
        let mut named = Vec::with_capacity(2 * self.states.len());
        for (path, ParameterState { shape, state }) in &self.states {
            let mut push = |suffix: &str, data| {
                named.push(NamedTensor { name: format!("{path}{suffix}"), shape: shape.clone(), data });
            };
            match state {
                State::AdamW(moments) => {
                    let [first, second] = moments.shared();
                    push(FIRST, first);
                    push(SECOND, second);
                }
                State::Muon(momentum) => {
                    let [momentum] = momentum.shared();
                    push(MOMENTUM, momentum);
                }
            }
        }
        named
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
        let OptimizerConfig { beta1, beta2, epsilon, weight_decay, muon } = self.config;
        let gradient_scale = clipping.norm.known().map_or(1.0, |norm| clip_factor(norm, clipping.limit) as f32);
        let adamw = AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, step: self.steps };
        let muon = muon.map(|muon| MuonStep { learning_rate, momentum: muon.momentum, weight_decay, gradient_scale });
        let mut update = Update {
            gradients,
            states: &mut self.states,
            matrices: &self.matrices,
            path: PathTracker::default(),
            adamw,
            muon,
            #[cfg(feature = "cube")]
            together: clipping.norm.on_device().map(Together::new),
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

/// Tensors of a file that no parameter has taken yet.
struct Source(BTreeMap<String, NamedTensor>);

impl Source {
    fn take<const N: usize>(
        &mut self,
        path: &str,
        shape: &[usize],
        suffixes: [&str; N],
    ) -> Result<Buffers<N>, OptimizerError> {
        let mut values = [const { Vec::new() }; N];
        for (values, suffix) in values.iter_mut().zip(suffixes) {
            let name = format!("{path}{suffix}");
            let Some(tensor) = self.0.remove(&name) else { return Err(OptimizerError::Missing(name)) };
            if tensor.shape != shape {
                return Err(OptimizerError::Shape { name, found: tensor.shape, expected: shape.to_vec() });
            }
            *values = tensor.data;
        }
        Ok(Buffers::host(values))
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
    matrices: &'a Matrices,
    path: PathTracker,
    adamw: AdamWStep,
    muon: Option<MuonStep>,
    /// Parameters that are updated on a GPU, all at once.
    #[cfg(feature = "cube")]
    together: Option<Together<'a>>,
}

/// Update rule of a parameter, with its state.
pub(super) enum Rule<'a> {
    AdamW(Moments),
    /// With the row counts of the parameter's matrices.
    Muon(Momentum, MuonStep, &'a [usize]),
}

impl<'a> Update<'a> {
    /// Chooses the rule. The state is zeros before the first step and after a change of rule.
    fn rule(&mut self, path: &str, length: usize) -> Rule<'a> {
        let state = self.states.remove(path).map(|kept| kept.state);
        match (self.muon, self.matrices.get(path), state) {
            (Some(step), Some(parts), Some(State::Muon(momentum))) => Rule::Muon(momentum, step, parts),
            (Some(step), Some(parts), _) => Rule::Muon(Buffers::zeros(length), step, parts),
            (_, _, Some(State::AdamW(moments))) => Rule::AdamW(moments),
            _ => Rule::AdamW(Buffers::zeros(length)),
        }
    }

    fn step<const D: usize>(&self, tensor: Tensor<D>, gradient: Tensor<D>, rule: Rule<'_>) -> (Tensor<D>, State) {
        match rule {
            Rule::Muon(momentum, step, parts) => {
                let (tensor, momentum) = muon_step(tensor, gradient, momentum, parts, step);
                (tensor, State::Muon(momentum))
            }
            Rule::AdamW(moments) => {
                let weight_decay = if D >= 2 { self.adamw.weight_decay } else { 0.0 };
                let step = AdamWStep { weight_decay, ..self.adamw };
                let (tensor, moments) = adamw_step(tensor, gradient, moments, step);
                (tensor, State::AdamW(moments))
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
        let rule = self.rule(&path, tensor.shape().num_elements());
        #[cfg(feature = "cube")]
        if let Some(together) = self.together.as_mut() {
            let place = together.take(id, path, tensor.inner(), gradient.inner(), rule);
            return Param::from_mapped_value(id, tracking.restore(place), mapper);
        }
        let (tensor, state) = self.step(tensor.inner(), gradient.inner(), rule);
        self.states.insert(path, ParameterState { shape, state });
        Param::from_mapped_value(id, tracking.restore(tensor), mapper)
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
