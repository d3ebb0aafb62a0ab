//! Numbers that an optimizer keeps from step to step, where they are updated.

#[cfg(feature = "cube")]
use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "cube")]
use super::gradients::host_slice;
use crate::train::ops::in_parts;

/// `N` numbers per element of a parameter. Read from a file they are on the host; the first step takes them
/// to where the parameter is.
pub enum Buffers<const N: usize> {
    Host([Vec<f32>; N]),
    #[cfg(feature = "cube")]
    Device(Box<[Tensor<1>; N]>),
}

impl<const N: usize> Buffers<N> {
    pub fn zeros(length: usize) -> Self {
        Buffers::Host([(); N].map(|()| vec![0.0; length]))
    }

    /// A copy on the host.
    pub fn to_host(&self) -> [Vec<f32>; N] {
        match self {
            Buffers::Host(values) => values.each_ref().map(|values| copy(values)),
            #[cfg(feature = "cube")]
            Buffers::Device(tensors) => tensors.each_ref().map(|tensor| host_slice(&tensor.to_data()).to_vec()),
        }
    }

    pub fn into_host(self) -> [Vec<f32>; N] {
        match self {
            Buffers::Host(values) => values,
            #[cfg(feature = "cube")]
            Buffers::Device(_) => self.to_host(),
        }
    }

    #[cfg(feature = "cube")]
    pub fn into_device(self, device: &Device) -> [Tensor<1>; N] {
        match self {
            Buffers::Device(tensors) => *tensors,
            Buffers::Host(values) => values.map(|values| {
                let length = values.len();
                Tensor::from_data(TensorData::new(values, [length]), device)
            }),
        }
    }
}

/// A copy that all threads make: training stands still for it, and half of the time goes into fresh pages.
fn copy(values: &[f32]) -> Vec<f32> {
    const CHUNK: usize = 1 << 14;
    in_parts(values.len(), CHUNK, |range, part| part.copy_from_slice(&values[range])).0
}
