//! Optimizer for parameters and norm on a GPU: updates several parameters per launch instead of one after another.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Shape, Tensor};

use super::buffers::Buffers;
use super::optimizer::Rule;
use super::state::{ParameterState, State};
use super::tracking::Tracking;
use crate::ops::{AdamWStep, MuonStep, cube};

/// Place in the module to which a parameter returns.
struct Place {
    id: ParamId,
    path: String,
    shape: Shape,
}

/// A parameter taken out of the module until all parameters take their step.
struct Trained {
    place: Place,
    decays: bool,
    trained: cube::Trained,
    gradient: Tensor<1>,
}

/// All parameters of a step, and the norm of all gradients.
pub struct Together<'a> {
    norm: &'a Tensor<1>,
    adamw: Vec<Trained>,
    muon: Vec<(Place, cube::Stack)>,
    /// Settings that all Muon parameters share.
    muon_step: Option<MuonStep>,
}

impl<'a> Together<'a> {
    pub fn new(norm: &'a Tensor<1>) -> Self {
        Together { norm, adamw: Vec::new(), muon: Vec::new(), muon_step: None }
    }

    /// Takes a parameter out of the module, so that it has one owner and can change in place. Returns a placeholder.
    pub fn take<const D: usize>(
        &mut self,
        id: ParamId,
        path: String,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        rule: Rule<'_>,
    ) -> Tensor<D> {
        let (shape, device) = (tensor.shape(), tensor.device());
        let length = shape.num_elements();
        let (parameter, gradient) = (tensor.reshape([length]), gradient.reshape([length]));
        let place = Place { id, path, shape };
        match rule {
            Rule::AdamW(moments) => {
                let trained = cube::Trained { parameter, moments: moments.into_device(&device) };
                self.adamw.push(Trained { place, decays: D >= 2, trained, gradient });
            }
            Rule::Muon(momentum, step, parts) => {
                let [momentum] = momentum.into_device(&device);
                self.muon.push((place, cube::Stack { parameter, momentum, gradient, parts: parts.to_vec() }));
                self.muon_step = Some(step);
            }
            Rule::Adafactor(..) => unreachable!("the host updates with Adafactor"),
        }
        Tensor::empty([1; D], &device)
    }

    /// Takes one step of all parameters. Returns the module with its parameters, and their states by path. `limit` is
    /// the limit of the norm.
    pub fn step<M: Module>(self, model: M, adamw: AdamWStep, limit: f64) -> (M, Vec<(String, ParameterState)>) {
        let (mut returned, mut states) = (Returned::default(), Vec::with_capacity(self.adamw.len() + self.muon.len()));
        let mut put_back = |Place { id, path, shape }: Place, parameter, state| {
            states.push((path, ParameterState { shape: shape.to_vec(), state }));
            returned.0.insert(id, (parameter, shape));
        };
        let (decaying, plain): (Vec<Trained>, Vec<Trained>) = self.adamw.into_iter().partition(|taken| taken.decays);
        for (taken, weight_decay) in [(decaying, adamw.weight_decay), (plain, 0.0)] {
            let (places, given): (Vec<_>, _) =
                taken.into_iter().map(|taken| (taken.place, (taken.trained, taken.gradient))).unzip();
            let stepped = cube::adamw(given, self.norm, AdamWStep { weight_decay, ..adamw }, limit as f32);
            for (place, cube::Trained { parameter, moments }) in places.into_iter().zip(stepped) {
                put_back(place, parameter, State::AdamW(Buffers::Device(Box::new(moments))));
            }
        }
        if let Some(step) = self.muon_step {
            let (places, given): (Vec<_>, _) = self.muon.into_iter().unzip();
            let stepped = cube::muon(given, self.norm, step, limit as f32);
            for (place, [parameter, momentum]) in places.into_iter().zip(stepped) {
                put_back(place, parameter, State::Muon(Buffers::Device(Box::new([momentum]))));
            }
        }
        (model.map(&mut returned), states)
    }
}

/// Updated parameters on their way back to the module.
#[derive(Default)]
struct Returned(BTreeMap<ParamId, (Tensor<1>, Shape)>);

impl ModuleMapper for Returned {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, place, mapper) = param.consume();
        let tensor = match self.0.remove(&id) {
            Some((parameter, shape)) => Tracking::of(&place).restore(parameter.reshape(shape)),
            None => place,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
