//! AdamW with decoupled weight decay, on the host for flex and on the device elsewhere.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::gradients::{GradientSum, clip_factor, host_slice};
use super::paths::PathTracker;
use crate::train::device::is_flex;
use crate::train::ops::{AdamWStep, adamw_update};
use crate::train::weights::NamedTensor;

/// Settings of the optimizer.
///
/// Weight decay applies to matrices: every projection and the embedding, which is also the output
/// head and needs its norm held down as such. Norm weights (vectors) never decay.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct AdamWConfig {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        AdamWConfig { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 }
    }
}

/// Moments that do not belong to the model.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum OptimizerError {
    #[error("the optimizer state has no `{0}`")]
    Missing(String),
    #[error("the optimizer state holds `{0}`, which is not part of the model")]
    Unexpected(String),
    #[error("`{name}` in the optimizer state has shape {found:?}, the parameter has {expected:?}")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
}

const FIRST: &str = ".exp_avg";
const SECOND: &str = ".exp_avg_sq";

/// The optimizer and its state: two moments per parameter, by the parameter's path in the module.
pub struct AdamW {
    config: AdamWConfig,
    /// Steps taken, for the bias correction.
    steps: u64,
    moments: BTreeMap<String, Moments>,
}

struct Moments {
    shape: Vec<usize>,
    values: Values,
}

enum Values {
    Host { first: Vec<f32>, second: Vec<f32> },
    Device(Box<[Tensor<1>; 2]>),
}

impl AdamW {
    /// An optimizer without history: all moments zero.
    pub fn new(config: AdamWConfig) -> Self {
        AdamW { config, steps: 0, moments: BTreeMap::new() }
    }

    /// An optimizer that goes on after `steps` steps with the moments written by [`AdamW::to_named`].
    ///
    /// # Errors
    /// When the moments are not exactly those of the model's parameters. Absent moments are an
    /// error, never zeros.
    pub fn from_named<M: Module>(
        config: AdamWConfig,
        steps: u64,
        model: &M,
        mut tensors: BTreeMap<String, NamedTensor>,
    ) -> Result<Self, OptimizerError> {
        let mut moments = BTreeMap::new();
        if steps > 0 {
            for (path, shape) in parameters(model) {
                let first = take(&mut tensors, format!("{path}{FIRST}"), &shape)?;
                let second = take(&mut tensors, format!("{path}{SECOND}"), &shape)?;
                moments.insert(path, Moments { shape, values: Values::Host { first, second } });
            }
        }
        match tensors.into_keys().next() {
            Some(name) => Err(OptimizerError::Unexpected(name)),
            None => Ok(AdamW { config, steps, moments }),
        }
    }

    /// The moments on the host, sorted by name: `<path>.exp_avg` and `<path>.exp_avg_sq`.
    pub fn to_named(&self) -> Vec<NamedTensor> {
        let mut named = Vec::with_capacity(2 * self.moments.len());
        for (path, moments) in &self.moments {
            let (first, second) = moments.values.to_host();
            for (suffix, data) in [(FIRST, first), (SECOND, second)] {
                named.push(NamedTensor { name: format!("{path}{suffix}"), shape: moments.shape.clone(), data });
            }
        }
        named
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes one step. `norm` is the global norm of `gradients`, `clip` its limit (0: none).
    pub fn step<M: Module>(&mut self, model: M, gradients: GradientSum, learning_rate: f64, norm: f64, clip: f64) -> M {
        self.steps += 1;
        let AdamWConfig { beta1, beta2, epsilon, weight_decay } = self.config;
        let gradient_scale = clip_factor(norm, clip) as f32;
        let step = AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, step: self.steps };
        let (gradients, moments) = (gradients.gradients, &mut self.moments);
        model.map(&mut Update { gradients, moments, path: PathTracker::default(), step })
    }
}

fn take(
    tensors: &mut BTreeMap<String, NamedTensor>,
    name: String,
    expected: &[usize],
) -> Result<Vec<f32>, OptimizerError> {
    let Some(tensor) = tensors.remove(&name) else { return Err(OptimizerError::Missing(name)) };
    if tensor.shape == expected {
        Ok(tensor.data)
    } else {
        Err(OptimizerError::Shape { name, found: tensor.shape, expected: expected.to_vec() })
    }
}

/// Path and shape of every parameter that is trained, in the order of the module.
fn parameters<M: Module>(model: &M) -> Vec<(String, Vec<usize>)> {
    struct Lister(PathTracker, Vec<(String, Vec<usize>)>);
    impl burn::module::ModuleVisitor for Lister {
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

impl Values {
    fn zeros(length: usize) -> Self {
        Values::Host { first: vec![0.0; length], second: vec![0.0; length] }
    }

    fn to_host(&self) -> (Vec<f32>, Vec<f32>) {
        match self {
            Values::Host { first, second } => (copy(first), copy(second)),
            Values::Device(moments) => {
                let read = |tensor: &Tensor<1>| host_slice(&tensor.to_data()).to_vec();
                (read(&moments[0]), read(&moments[1]))
            }
        }
    }

    fn into_host(self) -> (Vec<f32>, Vec<f32>) {
        match self {
            Values::Host { first, second } => (first, second),
            Values::Device(_) => self.to_host(),
        }
    }

    fn into_device(self, device: &Device) -> [Tensor<1>; 2] {
        match self {
            Values::Device(moments) => *moments,
            Values::Host { first, second } => {
                let upload = |values: Vec<f32>| {
                    let length = values.len();
                    Tensor::from_data(TensorData::new(values, [length]), device)
                };
                [upload(first), upload(second)]
            }
        }
    }
}

/// A copy that all processors make: training stands still for it, and half of the time goes into fresh pages.
fn copy(values: &[f32]) -> Vec<f32> {
    const CHUNK: usize = 1 << 16;
    let mut copy = vec![0.0; values.len()];
    copy.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(to, from)| to.copy_from_slice(from));
    copy
}

/// Walks the module and replaces every parameter that has a gradient.
struct Update<'a> {
    gradients: GradientsParams,
    moments: &'a mut BTreeMap<String, Moments>,
    path: PathTracker,
    step: AdamWStep,
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
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let (requires_grad, checkpointing) = (tensor.is_require_grad(), tensor.gradient_checkpointing_strategy());
        let (tensor, gradient) = (tensor.inner(), gradient.inner());

        let shape = tensor.shape().to_vec();
        let path = self.path.current();
        let moments = self.moments.remove(&path).map(|moments| moments.values);
        let moments = moments.unwrap_or_else(|| Values::zeros(shape.iter().product()));
        let weight_decay = if D >= 2 { self.step.weight_decay } else { 0.0 };
        let step = AdamWStep { weight_decay, ..self.step };
        let (tensor, values) = if is_flex(&tensor.device()) {
            host_step(tensor, gradient, moments, step)
        } else {
            device_step(tensor, gradient, moments, step)
        };
        self.moments.insert(path, Moments { shape, values });

        let mut tensor = Tensor::from_inner(tensor);
        if let Some(strategy) = checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, tensor.set_require_grad(requires_grad), mapper)
    }
}

fn host_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Values,
    step: AdamWStep,
) -> (Tensor<D>, Values) {
    let device = tensor.device();
    let (mut first, mut second) = moments.into_host();
    let mut data = tensor.into_data();
    let gradient = gradient.into_data();
    let parameter = data.as_mut_slice().expect("parameters are f32");
    adamw_update(parameter, host_slice(&gradient), &mut first, &mut second, step);
    (Tensor::from_data(data, &device), Values::Host { first, second })
}

/// The same formula as [`adamw_update`], as tensor operations.
fn device_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Values,
    step: AdamWStep,
) -> (Tensor<D>, Values) {
    let (shape, length) = (tensor.shape(), tensor.shape().num_elements());
    let [first, second] = moments.into_device(&tensor.device());
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let gradient = gradient.reshape([length]) * step.gradient_scale;
    let first = first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = second * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let denominator = second.clone().sqrt() * (1.0 / correction(step.beta2).sqrt()) + step.epsilon;
    let update = first.clone() / denominator * (step.learning_rate / correction(step.beta1));
    let kept = tensor.reshape([length]) * (1.0 - step.learning_rate * step.weight_decay);
    ((kept - update).reshape(shape), Values::Device(Box::new([first, second])))
}

#[cfg(test)]
mod tests;
