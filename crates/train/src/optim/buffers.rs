//! Numbers that an optimizer keeps from step to step, stored where they are updated.

use std::sync::Arc;

#[cfg(feature = "cube")]
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::shared::Shared;
#[cfg(feature = "cube")]
use crate::model::shared::host_slice;
use crate::ops::in_parts;

/// `N` numbers per element of a parameter. Numbers read from a file are on the host; the first step moves them to the
/// parameter's device.
pub enum Buffers<const N: usize> {
    /// Shared with a snapshot until the snapshot is written.
    Host([Arc<Vec<f32>>; N]),
    #[cfg(feature = "cube")]
    Device(Box<[Tensor<1>; N]>),
}

impl<const N: usize> Buffers<N> {
    pub fn zeros(length: usize) -> Self {
        Buffers::host([(); N].map(|()| vec![0.0; length]))
    }

    pub fn host(values: [Vec<f32>; N]) -> Self {
        Buffers::Host(values.map(Arc::new))
    }

    /// Numbers of each kind.
    pub fn length(&self) -> usize {
        match self {
            Buffers::Host(values) => values.first().map_or(0, |values| values.len()),
            #[cfg(feature = "cube")]
            Buffers::Device(tensors) => tensors.first().map_or(0, |tensor| tensor.shape().num_elements()),
        }
    }

    /// Returns the current numbers; later updates do not change them.
    pub fn shared(&self) -> [Shared; N] {
        match self {
            Buffers::Host(values) => values.each_ref().map(|values| Shared::host(values.clone())),
            #[cfg(feature = "cube")]
            Buffers::Device(tensors) => tensors.each_ref().map(|tensor| Shared::parameter(tensor.clone())),
        }
    }

    /// Takes the numbers for an update. Copies those that a snapshot has not written yet.
    pub fn into_host(self) -> [Vec<f32>; N] {
        match self {
            Buffers::Host(values) => values.map(|values| Arc::try_unwrap(values).unwrap_or_else(|kept| copy(&kept))),
            #[cfg(feature = "cube")]
            Buffers::Device(tensors) => tensors.map(|tensor| host_slice(&tensor.into_data()).to_vec()),
        }
    }

    #[cfg(feature = "cube")]
    pub fn into_device(self, device: &Device) -> [Tensor<1>; N] {
        match self {
            Buffers::Device(tensors) => *tensors,
            host => host.into_host().map(|values| {
                let length = values.len();
                Tensor::from_data(TensorData::new(values, [length]), device)
            }),
        }
    }
}

/// Copies on all threads: half of the time goes into fresh pages.
fn copy(values: &[f32]) -> Vec<f32> {
    const CHUNK: usize = 1 << 14;
    in_parts(values.len(), CHUNK, |range, part| part.copy_from_slice(&values[range])).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::Values;

    #[test]
    fn numbers_are_copied_only_when_they_change_before_they_are_written() {
        let place = |shared: &Shared| shared.clone().read(|values| values.as_ptr());

        let buffers = Buffers::host([vec![1.0, 2.0]]);
        let [written] = buffers.shared();
        let before = place(&written);
        drop(written);
        let [mut values] = buffers.into_host();
        assert_eq!(values.as_ptr(), before, "nobody else has them");

        values[0] = 3.0;
        let buffers = Buffers::host([values]);
        let [waiting] = buffers.shared();
        assert_eq!(place(&waiting), before, "shared, not copied");
        let [mut values] = buffers.into_host();
        values[0] = 4.0;
        assert_eq!(waiting.read(<[f32]>::to_vec), [3.0, 2.0]);
        assert_eq!(values, [4.0, 2.0]);
    }
}
