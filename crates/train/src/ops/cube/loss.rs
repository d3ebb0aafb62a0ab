//! The loss. Logits are computed, turned into their gradient and consumed one part of the rows at a time, so memory
//! never holds logits of the whole batch, nor two copies of a part.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, TensorMetadata};
use burn::tensor::DType;

use super::launch::cross_entropy::LogitRows;
use super::operations::{DeviceFloat, DeviceInt, cast};
use super::raw::CubeKernels;
use crate::ops::Objective;
use crate::ops::differentiable::Differentiable;

/// See `portable::cross_entropy`.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    pub x: DeviceFloat,
    pub weight: DeviceFloat,
    pub targets: DeviceInt,
    pub shape: LossShape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossShape {
    pub rows: usize,
    pub width: usize,
    pub vocab: usize,
    pub objective: Objective,
    pub part: usize,
    /// Element type of product operands.
    pub compute: DType,
}

/// Gradients of the inputs that need one, for an upstream gradient of 1 for each term of the loss.
#[derive(Clone, Debug)]
pub struct LossGradients([Option<DeviceFloat>; 2]);

impl CrossEntropy {
    /// Cross-entropy of each row, without z-loss: `[rows]`.
    pub fn nll(&self) -> DeviceFloat {
        Cube::float_reshape(self.losses(), [self.shape.rows].into())
    }

    /// Loss terms of all rows, `[rows, terms]`.
    fn losses(&self) -> DeviceFloat {
        let losses = self.parts().map(|(part, x)| self.part(part, &x, false).0).collect();
        joined(losses)
    }

    fn parts(&self) -> impl Iterator<Item = (LogitRows, DeviceFloat)> {
        let LossShape { rows, width, vocab, objective, part, compute } = self.shape;
        let x = cast(self.x.clone(), compute);
        (0..rows).step_by(part).map(move |first| {
            let rows = part.min(rows - first);
            let x = if rows == self.shape.rows {
                x.clone()
            } else {
                Cube::float_slice(x.clone(), &[(first..first + rows).into(), (0..width).into()])
            };
            (LogitRows { rows, vocab, first, objective }, x)
        })
    }

    /// Losses of a part and the gradient of its logits.
    fn part(&self, part: LogitRows, x: &DeviceFloat, with_gradient: bool) -> (DeviceFloat, DeviceFloat) {
        let weight = Cube::float_transpose(cast(self.weight.clone(), self.shape.compute));
        let logits = Cube::cube_product(x.clone(), weight, DType::F32);
        Cube::cube_cross_entropy(logits, self.targets.clone(), part, with_gradient)
    }
}

impl Differentiable<2> for CrossEntropy {
    type Backend = Cube;
    type Saved = LossGradients;

    fn forward(&self) -> DeviceFloat {
        Cube::cube_total(self.losses(), 1.0 / self.shape.objective.divisor)
    }

    fn forward_saving(self, needed: [bool; 2]) -> (DeviceFloat, LossGradients) {
        let compute = self.shape.compute;
        let (mut losses, mut of_x, mut of_weight) = (Vec::new(), Vec::new(), None);
        for (rows, x) in self.parts() {
            let (loss, slopes) = self.part(rows, &x, true);
            let slopes = cast(slopes, compute);
            losses.push(loss);
            if needed[0] {
                of_x.push(Cube::cube_product(slopes.clone(), cast(self.weight.clone(), compute), DType::F32));
            }
            if needed[1] {
                let added = Cube::cube_product(Cube::float_transpose(slopes), x, DType::F32);
                of_weight = Some(match of_weight {
                    Some(sum) => Cube::float_add(sum, added),
                    None => added,
                });
            }
        }
        let total = Cube::cube_total(joined(losses), 1.0 / self.shape.objective.divisor);
        (total, LossGradients([needed[0].then(|| joined(of_x)), of_weight]))
    }

    fn backward(saved: LossGradients, upstream: DeviceFloat, _needed: [bool; 2]) -> [Option<DeviceFloat>; 2] {
        // The terms are only ever added, so their upstream gradients are equal.
        let upstream = match upstream.shape().num_elements() {
            1 => upstream,
            _ => Cube::float_slice(upstream, &[(0..1).into()]),
        };
        let upstream = Cube::float_reshape(upstream, [1, 1].into());
        saved.0.map(|gradient| gradient.map(|gradient| Cube::float_mul(gradient, upstream.clone())))
    }
}

fn joined(mut parts: Vec<DeviceFloat>) -> DeviceFloat {
    match parts.len() {
        1 => parts.remove(0),
        _ => Cube::float_cat(parts, 0),
    }
}
