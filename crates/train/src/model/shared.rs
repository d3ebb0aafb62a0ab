//! Copy-on-write values, shared between a snapshot and the training that continues.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::weights::Values;
#[cfg(feature = "cube")]
use crate::device::is_cube;

/// Consecutive f32 values that do not change while this handle exists.
#[derive(Clone)]
pub struct Shared {
    whole: Whole,
    part: Range<usize>,
}

#[derive(Clone)]
enum Whole {
    Host(Arc<Vec<f32>>),
    /// A parameter on the host, without gradient. An update that finds it shared makes a new one.
    Parameter(Box<Tensor<1>>),
}

impl Shared {
    /// Wraps values that an optimizer keeps.
    pub fn host(values: Arc<Vec<f32>>) -> Self {
        Shared { part: 0..values.len(), whole: Whole::Host(values) }
    }

    /// Wraps the values of a parameter, row by row. Copies those on a GPU, which are updated in place.
    pub fn parameter<const D: usize>(tensor: Tensor<D>) -> Self {
        let length = tensor.shape().num_elements();
        let flat = tensor.inner().reshape([length]);
        #[cfg(feature = "cube")]
        if is_cube(&flat.device()) {
            return Shared::host(Arc::new(host_slice(&flat.into_data()).to_vec()));
        }
        Shared { whole: Whole::Parameter(Box::new(flat)), part: 0..length }
    }

    /// Splits into consecutive parts of these lengths.
    ///
    /// # Panics
    /// When the lengths add up to more values than there are.
    pub fn split(&self, lengths: &[usize]) -> Vec<Shared> {
        let mut start = self.part.start;
        let mut take = |length: &usize| {
            let part = start..start + length;
            start = part.end;
            assert!(start <= self.part.end, "parts of what there is");
            Shared { whole: self.whole.clone(), part }
        };
        lengths.iter().map(&mut take).collect()
    }
}

impl Values for Shared {
    fn read<R>(self, use_it: impl FnOnce(&[f32]) -> R) -> R {
        match self.whole {
            Whole::Host(values) => use_it(&values[self.part]),
            Whole::Parameter(tensor) => use_it(host_slice(&tensor.slice([self.part]).into_data())),
        }
    }
}

/// Values of an f32 tensor that is on the host.
pub fn host_slice(data: &TensorData) -> &[f32] {
    data.as_slice().expect("parameters and their gradients are f32")
}

#[cfg(feature = "flex")]
#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn values(shared: &Shared) -> Vec<f32> {
        shared.clone().read(<[f32]>::to_vec)
    }

    #[test]
    fn parts_are_those_of_their_place() {
        let numbers: Vec<f32> = (0..12).map(|x| x as f32).collect();
        let matrix = Tensor::<2>::from_data(TensorData::new(numbers.clone(), [4, 3]), &Device::flex());
        for shared in [Shared::parameter(matrix), Shared::host(Arc::new(numbers.clone()))] {
            assert_eq!(values(&shared), numbers);
            let parts = shared.split(&[3, 6, 2]);
            assert_eq!(parts.iter().map(values).collect::<Vec<_>>(), [&numbers[..3], &numbers[3..9], &numbers[9..11]]);
            assert_eq!(values(&parts[1].split(&[1, 5])[1]), numbers[4..9]);
        }
    }

    #[test]
    #[should_panic(expected = "parts of what there is")]
    fn a_part_past_the_end_is_refused() {
        Shared::host(Arc::new(vec![0.0; 5])).split(&[3, 3]);
    }

    #[test]
    fn whoever_changes_a_parameter_has_another_one() {
        let tensor = Tensor::<1>::from_data([1.0f32, 2.0], &Device::flex());
        let shared = Shared::parameter(tensor.clone());
        let mut data = tensor.into_data();
        data.as_mut_slice::<f32>().unwrap()[0] = 7.0;
        assert_eq!(values(&shared), [1.0, 2.0]);
    }
}
