//! AdamW with decoupled weight decay, on the host for flex and on the device elsewhere.

use burn::tensor::Tensor;

use super::buffers::Buffers;
use super::gradients::host_slice;
use super::norm::GlobalNorm;
#[cfg(feature = "cube")]
use crate::train::ops::cube;
use crate::train::ops::{AdamWStep, adamw_update};

/// The global norm of the gradients, and its limit (0: none).
#[derive(Clone, Copy)]
pub struct Clipping<'a> {
    pub norm: &'a GlobalNorm,
    pub limit: f64,
}

/// Both moments of a parameter.
pub type Moments = Buffers<2>;

/// One step of one parameter, clipped by the step's scale or, when the norm was not read, by the norm on the device.
pub fn adamw_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments,
    step: AdamWStep,
    clipping: Clipping<'_>,
) -> (Tensor<D>, Moments) {
    match clipping.norm {
        GlobalNorm::Known(_) => host_step(tensor, gradient, moments, step),
        #[cfg(feature = "cube")]
        GlobalNorm::OnDevice(norm) => {
            let (shape, length) = (tensor.shape(), tensor.shape().num_elements());
            let moments = moments.into_device(&tensor.device());
            let (tensor, gradient) = (tensor.reshape([length]), gradient.reshape([length]));
            let (tensor, moments) =
                cube::adamw(tensor, gradient, moments, norm.as_ref().clone(), step, clipping.limit as f32);
            (tensor.reshape(shape), Buffers::Device(Box::new(moments)))
        }
    }
}

fn host_step<const D: usize>(
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
    (Tensor::from_data(data, &device), Buffers::Host([first, second]))
}
