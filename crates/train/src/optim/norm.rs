//! L2 norm over all gradients of a step.

#[cfg(feature = "cube")]
use burn::tensor::Tensor;

/// A norm, on the host or still on a device. Reading it waits until the device has finished all queued work.
pub enum GlobalNorm {
    Known(f64),
    /// `[1]`.
    #[cfg(feature = "cube")]
    OnDevice(Box<Tensor<1>>),
}

impl GlobalNorm {
    /// The norm, if it is on the host.
    pub fn known(&self) -> Option<f64> {
        match self {
            GlobalNorm::Known(norm) => Some(*norm),
            #[cfg(feature = "cube")]
            GlobalNorm::OnDevice(_) => None,
        }
    }

    /// The norm, if it is on a GPU.
    #[cfg(feature = "cube")]
    pub fn on_device(&self) -> Option<&Tensor<1>> {
        match self {
            GlobalNorm::Known(_) => None,
            GlobalNorm::OnDevice(norm) => Some(norm),
        }
    }

    /// Reads the norm, which may wait for the device.
    pub fn value(&self) -> f64 {
        match self {
            GlobalNorm::Known(norm) => *norm,
            #[cfg(feature = "cube")]
            GlobalNorm::OnDevice(norm) => f64::from(norm.as_ref().clone().into_scalar::<f32>()),
        }
    }
}
