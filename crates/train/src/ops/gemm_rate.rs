//! Measures how fast a device multiplies large matrices: the upper limit for the speed of a training step.

use std::time::Instant;

use burn::tensor::{Tensor, TensorData};

use super::Kernels;
use crate::device::{self, DeviceError};
use crate::precision::Precision;

/// The first repetitions warm up caches, allocators and tuners.
const REPEATS: usize = 5;

/// Multiplies two `size` x `size` matrices with the kernel of our linear layers, several times, and returns the best
/// rate in floating-point operations per second.
///
/// # Errors
/// When the device cannot be opened.
pub fn gemm_rate(name: &str, size: usize, precision: Precision) -> Result<f64, DeviceError> {
    let device = device::open(name)?;
    let kernels = Kernels::for_device(&device, precision);
    let values: Vec<f32> = (0..size * size).map(|i| (i % 251) as f32 / 251.0 - 0.5).collect();
    let matrix = Tensor::<2>::from_data(TensorData::new(values, [size, size]), &device);
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let started = Instant::now();
        let product = kernels.linear(matrix.clone(), matrix.clone());
        // Reading one element waits for the whole product on any device.
        let corner: f32 = product.slice([0..1, 0..1]).into_scalar();
        let seconds = started.elapsed().as_secs_f64();
        best = if corner.is_finite() { best.min(seconds) } else { best };
    }
    Ok(2.0 * (size as f64).powi(3) / best)
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_positive_number_of_operations() {
        let rate = gemm_rate("flex", 64, Precision::Bf16).expect("the CPU is always there");
        assert!(rate.is_finite() && rate > 1e6, "{rate}");
        assert!(gemm_rate("gpu", 64, Precision::F32).is_err());
    }
}
