//! AdamW with decoupled weight decay, one parameter at a time.

use burn::tensor::Tensor;

use super::buffers::Buffers;
use super::norm::GlobalNorm;
use crate::model::shared::host_slice;
use crate::ops::{AdamWStep, adamw_update};

/// Global norm of the gradients, and its limit; 0 disables clipping.
#[derive(Clone, Copy)]
pub struct Clipping<'a> {
    pub norm: &'a GlobalNorm,
    pub limit: f64,
}

/// First and second moment of a parameter.
pub type Moments = Buffers<2>;

/// Takes one step of one parameter on the host, clipped by the step's scale.
pub fn adamw_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments,
    step: AdamWStep,
) -> (Tensor<D>, Moments) {
    let device = tensor.device();
    let [mut first, mut second] = moments.into_host();
    let mut data = tensor.into_data();
    let gradient = gradient.into_data();
    let parameter = data.as_mut_slice().expect("parameters are f32");
    adamw_update(parameter, host_slice(&gradient), &mut first, &mut second, step);
    (Tensor::from_data(data, &device), Buffers::host([first, second]))
}
