//! Weights of adapters, and what they add to the output of a layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::Target;
use crate::ops::{DropoutMask, Kernels};

/// Two matrices of low rank beside a frozen one.
#[derive(Module, Debug)]
pub struct Adapter {
    /// `[r, in]`.
    pub(in crate::model) a: Param<Tensor<2>>,
    /// `[out, r]`.
    pub(in crate::model) b: Param<Tensor<2>>,
    /// Factor on the product.
    #[module(skip)]
    pub(in crate::model) scale: f64,
}

/// The adapters of a block. Fields have the names of PEFT.
#[derive(Module, Debug)]
pub struct BlockAdapters {
    pub(in crate::model) q_proj: Option<Adapter>,
    pub(in crate::model) k_proj: Option<Adapter>,
    pub(in crate::model) v_proj: Option<Adapter>,
    pub(in crate::model) o_proj: Option<Adapter>,
    pub(in crate::model) gate_proj: Option<Adapter>,
    pub(in crate::model) up_proj: Option<Adapter>,
    pub(in crate::model) down_proj: Option<Adapter>,
}

/// Dropout of the inputs of a block's adapters. Each adapter has a mask of its own, as in PEFT.
#[derive(Clone, Copy, Debug)]
pub struct AdapterMasks {
    pub seed: u64,
    pub probability: f32,
    /// Site of the block's first target.
    pub first_site: u64,
}

impl AdapterMasks {
    fn of(self, target: Target) -> DropoutMask {
        DropoutMask::new(self.seed, self.first_site + target as u64, self.probability)
    }
}

/// A matrix in a stack of those that read the same input, and its number of rows.
pub type Part = (Target, usize);

impl Adapter {
    /// `scale * b (a x)` for rows `x`, `[n, in]`: `[n, out]`.
    fn delta(&self, x: &Tensor<2>, kernels: Kernels, mask: Option<DropoutMask>) -> Tensor<2> {
        let x = match mask {
            None => x.clone(),
            Some(mask) => kernels.dropout(x.clone(), mask),
        };
        kernels.linear(kernels.linear(x, self.a.val()), self.b.val()).mul_scalar(self.scale)
    }
}

impl BlockAdapters {
    pub fn get(&self, target: Target) -> Option<&Adapter> {
        match target {
            Target::QProj => self.q_proj.as_ref(),
            Target::KProj => self.k_proj.as_ref(),
            Target::VProj => self.v_proj.as_ref(),
            Target::OProj => self.o_proj.as_ref(),
            Target::GateProj => self.gate_proj.as_ref(),
            Target::UpProj => self.up_proj.as_ref(),
            Target::DownProj => self.down_proj.as_ref(),
        }
    }

    /// True if one of the parts of a stack has an adapter.
    pub fn adapts(&self, parts: &[Part]) -> bool {
        parts.iter().any(|(target, _)| self.get(*target).is_some())
    }

    /// Sum of what the adapters of a stack add to its output for the input `x`; zeros for parts without one.
    pub fn delta(&self, x: &Tensor<2>, parts: &[Part], kernels: Kernels, masks: Option<AdapterMasks>) -> Tensor<2> {
        let rows = x.dims()[0];
        let of_part = |(target, width): &Part| match self.get(*target) {
            Some(adapter) => adapter.delta(x, kernels, masks.map(|masks| masks.of(*target))),
            None => Tensor::zeros([rows, *width], &x.device()),
        };
        match parts {
            [part] => of_part(part),
            parts => Tensor::cat(parts.iter().map(of_part).collect(), 1),
        }
    }
}
