//! AdamW where parameters and norm are on a GPU: not one parameter after the other but several per launch.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Shape, Tensor};

use super::adamw::Moments;
use super::buffers::Buffers;
use super::tracking::Tracking;
use crate::train::ops::{AdamWStep, cube};

/// A parameter that was taken out of the module until all of them take their step.
struct Taken {
    id: ParamId,
    path: String,
    shape: Shape,
    decays: bool,
    trained: cube::Trained,
    gradient: Tensor<1>,
}

/// All of them, and the norm of all gradients.
pub struct Together<'a> {
    norm: &'a Tensor<1>,
    taken: Vec<Taken>,
}

impl<'a> Together<'a> {
    pub fn new(norm: &'a Tensor<1>) -> Self {
        Together { norm, taken: Vec::new() }
    }

    /// Takes a parameter, so that nobody else has it and it can change in place. What comes back stands in for it.
    pub fn take<const D: usize>(
        &mut self,
        id: ParamId,
        path: String,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        moments: Moments,
    ) -> Tensor<D> {
        let (shape, device) = (tensor.shape(), tensor.device());
        let length = shape.num_elements();
        let moments = moments.into_device(&device);
        let trained = cube::Trained { parameter: tensor.reshape([length]), moments };
        self.taken.push(Taken { id, path, shape, decays: D >= 2, trained, gradient: gradient.reshape([length]) });
        Tensor::empty([1; D], &device)
    }

    /// One step of all parameters, back in their module, and their moments by path with the shape. `limit` is the
    /// norm's.
    pub fn step<M: Module>(self, model: M, step: AdamWStep, limit: f64) -> (M, Vec<(String, Vec<usize>, Moments)>) {
        let (mut returned, mut states) = (Returned::default(), Vec::with_capacity(self.taken.len()));
        let (decaying, plain): (Vec<Taken>, Vec<Taken>) = self.taken.into_iter().partition(|taken| taken.decays);
        for (taken, weight_decay) in [(decaying, step.weight_decay), (plain, 0.0)] {
            let (mut places, mut given) = (Vec::with_capacity(taken.len()), Vec::with_capacity(taken.len()));
            for Taken { id, path, shape, trained, gradient, .. } in taken {
                places.push((id, path, shape));
                given.push((trained, gradient));
            }
            let stepped = cube::adamw(given, self.norm, AdamWStep { weight_decay, ..step }, limit as f32);
            for ((id, path, shape), cube::Trained { parameter, moments }) in places.into_iter().zip(stepped) {
                states.push((path, shape.to_vec(), Buffers::Device(Box::new(moments))));
                returned.0.insert(id, (parameter, shape));
            }
        }
        (model.map(&mut returned), states)
    }
}

/// Parameters that go back to their place.
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
