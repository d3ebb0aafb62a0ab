//! The L2 norm over all gradients of a step.

#[cfg(feature = "cube")]
use burn::tensor::Tensor;

/// A norm, and whether it was read. Reading waits for a device to end all that it was told.
pub enum GlobalNorm {
    Known(f64),
    /// `[1]`.
    #[cfg(feature = "cube")]
    OnDevice(Box<Tensor<1>>),
}

impl GlobalNorm {
    /// The norm if it was read.
    pub fn known(&self) -> Option<f64> {
        match self {
            GlobalNorm::Known(norm) => Some(*norm),
            #[cfg(feature = "cube")]
            GlobalNorm::OnDevice(_) => None,
        }
    }

    /// The norm if it is a GPU that knows it.
    #[cfg(feature = "cube")]
    pub fn on_device(&self) -> Option<&Tensor<1>> {
        match self {
            GlobalNorm::Known(_) => None,
            GlobalNorm::OnDevice(norm) => Some(norm),
        }
    }

    pub fn value(&self) -> f64 {
        match self {
            GlobalNorm::Known(norm) => *norm,
            #[cfg(feature = "cube")]
            GlobalNorm::OnDevice(norm) => f64::from(norm.as_ref().clone().into_scalar::<f32>()),
        }
    }
}
