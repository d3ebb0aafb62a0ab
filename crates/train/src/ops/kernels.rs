//! Chooses the portable, fused or device implementation once per forward pass.

use burn::backend::DispatchDevice;
use burn::tensor::{Device, Int, Tensor};

#[cfg(feature = "cube")]
use super::cube;
#[cfg(feature = "flex")]
use super::fused;
use super::{Activation, AttentionContext, DropoutMask, HeadLayout, LossOptions, Objective, portable};
use crate::precision::Precision;

/// Implementation of the operations of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// Stock burn tensors on any device.
    Portable,
    /// Hand-written forward and backward passes on the CPU.
    #[cfg(feature = "flex")]
    Fused,
    /// Hand-written kernels on GPUs.
    #[cfg(feature = "cube")]
    Cube,
}

/// Implementation and precision of a forward pass and its backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    pub implementation: Implementation,
    pub precision: Precision,
}

/// Generates methods that call the function of the same name in the chosen implementation; `in` names a setting to pass
/// as the last argument.
macro_rules! operations {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) $(in $setting:ident)? -> $out:ty;)*) => {
        $(
            #[doc = concat!("See `portable::", stringify!($name), "`.")]
            pub fn $name(self, $($arg: $ty),*) -> $out {
                match self.implementation {
                    Implementation::Portable => portable::$name($($arg,)* $(self.$setting)?),
                    #[cfg(feature = "flex")]
                    Implementation::Fused => fused::$name($($arg,)* $(self.$setting)?),
                    #[cfg(feature = "cube")]
                    Implementation::Cube => cube::$name($($arg,)* $(self.$setting)?),
                }
            }
        )*
    };
}

impl Kernels {
    /// The fastest implementation for tensors on `device`.
    pub fn for_device(device: &Device, precision: Precision) -> Self {
        let implementation = match device.clone().without_autodiff().as_dispatch() {
            #[cfg(feature = "flex")]
            DispatchDevice::Flex(_) => Implementation::Fused,
            #[cfg(feature = "cube")]
            DispatchDevice::Cube(_) => Implementation::Cube,
            _ => Implementation::Portable,
        };
        Kernels { implementation, precision }
    }

    /// [`Kernels::cross_entropy`] with options. GPUs have kernels for the plain loss alone.
    pub fn loss(
        self,
        x: Tensor<2>,
        weight: Tensor<2>,
        targets: &[i32],
        objective: Objective,
        options: &LossOptions,
    ) -> Tensor<1> {
        match self.implementation {
            _ if options.is_plain() => self.cross_entropy(x, weight, targets, objective),
            #[cfg(feature = "flex")]
            Implementation::Fused => fused::loss(x, weight, targets, objective, options, self.precision),
            _ => portable::loss(x, weight, targets, objective, options, self.precision),
        }
    }

    /// [`Kernels::token_nll`] of logits with a soft cap; 0 is none.
    pub fn capped_nll(self, x: Tensor<2>, weight: Tensor<2>, targets: &[i32], softcap: f32) -> Tensor<1> {
        match self.implementation {
            _ if softcap == 0.0 => self.token_nll(x, weight, targets),
            #[cfg(feature = "flex")]
            Implementation::Fused => fused::capped_nll(x, weight, targets, softcap, self.precision),
            _ => portable::capped_nll(x, weight, targets, softcap, self.precision),
        }
    }

    operations! {
        fn embedding(weight: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2>;
        fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2>;
        fn linear(x: Tensor<2>, weight: Tensor<2>) in precision -> Tensor<2>;
        fn linear_add(x: Tensor<2>, weight: Tensor<2>, residual: Tensor<2>) in precision -> Tensor<2>;
        fn qk_norm(qkv: Tensor<2>, query: Tensor<1>, key: Tensor<1>, layout: HeadLayout, eps: f32) -> Tensor<2>;
        fn attention(qkv: Tensor<2>, context: &AttentionContext) -> Tensor<2>;
        fn norm_linear(
            x: Tensor<2>, norm_weight: Tensor<1>, weight: Tensor<2>, eps: f32
        ) in precision -> Tensor<2>;
        fn activated(x: Tensor<2>, activation: Activation) -> Tensor<2>;
        fn activated_linear(x: Tensor<2>, activation: Activation, weight: Tensor<2>) in precision -> Tensor<2>;
        fn activated_linear_add(
            x: Tensor<2>, activation: Activation, weight: Tensor<2>, residual: Tensor<2>
        ) in precision -> Tensor<2>;
        fn cross_entropy(
            x: Tensor<2>, weight: Tensor<2>, targets: &[i32], objective: Objective
        ) in precision -> Tensor<1>;
        fn token_nll(x: Tensor<2>, weight: Tensor<2>, targets: &[i32]) in precision -> Tensor<1>;
        fn dropout(x: Tensor<2>, mask: DropoutMask) -> Tensor<2>;
    }
}
