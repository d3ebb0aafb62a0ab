//! Muon for many parameters: matrices of one shape are multiplied together.

use std::collections::BTreeMap;

use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor};

use super::launch::muon::{MomentumUpdates, PARTS, Places, WeightUpdates};
use super::launch::optimizer::Eight;
use super::raw::CubeKernels;
use crate::ops::MuonStep;

/// Elements that are multiplied together, unless one parameter has more: 256 MiB, plus a few temporaries of that size.
const ELEMENTS_PER_GROUP: usize = 1 << 26;

/// A parameter that is a stack of matrices with `parts` rows each. Parameter, gradient and momentum are flat.
pub struct Stack {
    pub parameter: Tensor<1>,
    pub momentum: Tensor<1>,
    pub gradient: Tensor<1>,
    pub parts: Vec<usize>,
}

impl Stack {
    fn columns(&self) -> usize {
        self.parameter.dims()[0] / self.parts.iter().sum::<usize>()
    }
}

/// One step of Muon for some parameters, as `muon_update` does for one; returns parameters and momenta. The global
/// `norm` `[1]` and its limit `clip` (0 disables it) clip the gradients; a norm that is not finite changes nothing.
/// `step.gradient_scale` is ignored.
///
/// # Panics
/// If a parameter has more than three matrices.
pub fn muon(given: Vec<Stack>, norm: &Tensor<1>, step: MuonStep, clip: f32) -> Vec<[Tensor<1>; 2]> {
    muon_in_groups(given, norm, step, clip, ELEMENTS_PER_GROUP)
}

/// [`muon`] for at most `at_once` elements at a time.
pub(super) fn muon_in_groups(
    given: Vec<Stack>,
    norm: &Tensor<1>,
    step: MuonStep,
    clip: f32,
    at_once: usize,
) -> Vec<[Tensor<1>; 2]> {
    let (mut stepped, mut group, mut elements) = (Vec::with_capacity(given.len()), Vec::new(), 0);
    for stack in given {
        let length = stack.parameter.dims()[0];
        if !group.is_empty() && elements + length > at_once {
            stepped.extend(muon_of_group(std::mem::take(&mut group), norm, step, clip));
            elements = 0;
        }
        elements += length;
        group.push(stack);
    }
    if !group.is_empty() {
        stepped.extend(muon_of_group(group, norm, step, clip));
    }
    stepped
}

fn muon_of_group(given: Vec<Stack>, norm: &Tensor<1>, step: MuonStep, clip: f32) -> Vec<[Tensor<1>; 2]> {
    let (shapes, places) = arrange(&given, step);
    let device = norm.device();
    let total = shapes.iter().map(|([rows, columns], count)| rows * columns * count).sum::<usize>();
    let mut buffer = Tensor::<1>::empty([total], &device).into_dispatch();
    let norm = || norm.clone().into_dispatch();
    let (mut parameters, mut momenta) = (Vec::with_capacity(given.len()), Vec::with_capacity(given.len()));
    let mut given = given.into_iter();
    for places in places.chunks(Eight::<Dispatch>::MAX) {
        let [mut old, mut gradients] = [const { Vec::new() }; 2];
        for Stack { parameter, momentum, gradient, .. } in given.by_ref().take(places.len()) {
            parameters.push(parameter.into_dispatch());
            old.push(momentum.into_dispatch());
            gradients.push(gradient.into_dispatch());
        }
        let updates = MomentumUpdates {
            gradients: Eight::new(gradients, &norm()),
            momenta: Eight::new(old, &norm()),
            places: places.to_vec(),
            norm: norm(),
            clip,
            decay: step.momentum,
        };
        let new;
        (buffer, new) = Dispatch::cube_muon_directions(buffer, updates);
        momenta.extend(new.into_array().into_iter().take(places.len()));
    }
    let buffer = orthogonal_matrices(Tensor::from_dispatch(buffer), &shapes).into_dispatch();
    let mut stepped = Vec::with_capacity(momenta.len());
    let mut parameters = parameters.into_iter();
    for places in places.chunks(Eight::<Dispatch>::MAX) {
        let group: Vec<_> = parameters.by_ref().take(places.len()).collect();
        let (parameters, places) = (Eight::new(group, &norm()), places.to_vec());
        let (count, kept) = (places.len(), step.kept() as f32);
        let updates = WeightUpdates { parameters, places, norm: norm(), kept };
        let updated = Dispatch::cube_muon_updates(buffer.clone(), updates).into_array();
        stepped.extend(updated.into_iter().take(count));
    }
    let pairs = stepped.into_iter().zip(momenta);
    pairs.map(|(parameter, momentum)| [parameter, momentum].map(Tensor::from_dispatch)).collect()
}

/// Number of matrices by shape.
type Shapes = BTreeMap<[usize; 2], usize>;

/// Lays out all matrices of one shape side by side, in the order of their parameters. Returns the number of matrices of
/// each shape and the places of each parameter.
fn arrange(given: &[Stack], step: MuonStep) -> (Shapes, Vec<Places>) {
    let mut shapes = Shapes::new();
    for stack in given {
        assert!(stack.parts.len() <= PARTS, "a parameter has three matrices at most");
        stack.parts.iter().for_each(|rows| *shapes.entry([*rows, stack.columns()]).or_default() += 1);
    }
    let mut next = 0;
    let mut free: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for (shape, count) in &shapes {
        free.insert(*shape, next);
        next += shape[0] * shape[1] * count;
    }
    let place = |stack: &Stack| {
        let columns = stack.columns();
        let length = stack.parameter.dims()[0];
        let mut places = Places { places: [0; PARTS], ends: [length; PARTS - 1], sizes: [0.0; PARTS] };
        let mut end = 0;
        for (part, rows) in stack.parts.iter().enumerate() {
            let free = free.get_mut(&[*rows, columns]).expect("counted above");
            places.places[part] = *free;
            places.sizes[part] = step.step_size(*rows, columns) as f32;
            *free += rows * columns;
            end += rows * columns;
            if part < PARTS - 1 {
                places.ends[part] = end;
            }
        }
        places
    };
    let places = given.iter().map(place).collect();
    (shapes, places)
}

/// Makes each matrix of the buffer nearly orthogonal.
fn orthogonal_matrices(buffer: Tensor<1>, shapes: &Shapes) -> Tensor<1> {
    let mut start = 0;
    let parts = shapes.iter().map(|([rows, columns], count)| {
        let length = rows * columns * count;
        let part = buffer.clone().slice(start..start + length).reshape([*count, *rows, *columns]);
        start += length;
        orthogonal(part).reshape([length])
    });
    Tensor::cat(parts.collect(), 0)
}

/// Like `orthogonalize` in `cpu/muon.rs`, for a stack `[count, rows, columns]`.
fn orthogonal(x: Tensor<3>) -> Tensor<3> {
    let [count, rows, columns] = x.dims();
    let [a, b, c] = MuonStep::COEFFICIENTS;
    // Row by row, because a single unit computes each sum.
    let squares = x.clone().square().reshape([count * rows, columns]).sum_dim(1).reshape([count, rows]).sum_dim(1);
    let norm = squares.sqrt().clamp_min(MuonStep::EPSILON).reshape([count, 1, 1]);
    let mut x = x / norm;
    let side = rows.min(columns);
    let identity = Tensor::<2>::eye(side, &x.device()).reshape([1, side, side]) * a;
    for _ in 0..MuonStep::ITERATIONS {
        let (transposed, wide) = (x.clone().swap_dims(1, 2), rows <= columns);
        let gram = if wide { multiply(&x, &transposed) } else { multiply(&transposed, &x) };
        let polynomial = multiply(&gram, &gram) * c + gram * b + identity.clone();
        x = if wide { multiply(&polynomial, &x) } else { multiply(&x, &polynomial) };
    }
    x
}

fn multiply(left: &Tensor<3>, right: &Tensor<3>) -> Tensor<3> {
    let [left, right] = [left, right].map(|tensor| tensor.clone().into_dispatch());
    Tensor::from_dispatch(Dispatch::cube_product(left, right, DType::F32))
}
