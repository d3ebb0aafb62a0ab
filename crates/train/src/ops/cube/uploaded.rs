//! Inputs of attention that every block shares, on the device.

use burn::tensor::{Int, Tensor};

/// Attention's inputs besides queries, keys and values, on a device; see [`Attention`].
#[derive(Clone, Debug)]
pub struct Uploaded {
    pub cos: Tensor<1>,
    pub sin: Tensor<1>,
    pub starts: Tensor<1, Int>,
}
