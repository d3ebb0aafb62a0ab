//! Gradients of one optimizer step: summed over micro-batches, measured, clipped.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor, TensorData};

use crate::train::device::is_flex;
use crate::train::ops::sum_squares;

/// The sum of the gradients of all micro-batches so far.
#[derive(Default)]
pub struct GradientSum {
    pub(super) gradients: GradientsParams,
}

impl GradientSum {
    /// Adds the gradients of one micro-batch.
    pub fn add<M: Module>(&mut self, gradients: Gradients, model: &M) {
        let added = GradientsParams::from_grads(gradients, model);
        if self.gradients.is_empty() {
            self.gradients = added;
        } else {
            model.visit(&mut Adder { sum: &mut self.gradients, added });
        }
    }

    /// The L2 norm over the gradients of all parameters, in the order of the module, summed in f64.
    pub fn norm<M: Module>(&mut self, model: &M) -> f64 {
        let mut squares = Squares { gradients: &mut self.gradients, host: 0.0, rows: Vec::new() };
        model.visit(&mut squares);
        let Squares { mut host, rows, .. } = squares;
        if !rows.is_empty() {
            host += host_values(Tensor::cat(rows, 0).into_data()).iter().map(|row| f64::from(*row)).sum::<f64>();
        }
        host.sqrt()
    }
}

/// The factor that brings a global norm down to `limit`, as PyTorch's `clip_grad_norm_`
/// (Pascanu et al. 2013); a `limit` of 0 means no clipping.
pub fn clip_factor(norm: f64, limit: f64) -> f64 {
    if limit == 0.0 { 1.0 } else { (limit / (norm + 1e-6)).min(1.0) }
}

struct Adder<'a> {
    sum: &'a mut GradientsParams,
    added: GradientsParams,
}

impl ModuleVisitor for Adder<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(added) = self.added.remove::<D>(param.id) else { return };
        let total = match self.sum.remove::<D>(param.id) {
            Some(sum) => sum + added,
            None => added,
        };
        self.sum.register(param.id, total);
    }
}

struct Squares<'a> {
    gradients: &'a mut GradientsParams,
    host: f64,
    /// Sums of squares by row, on the device; `sum_dim`, because whole sums may use atomics.
    rows: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let gradient = gradient.inner();
        let device = gradient.device();
        let kept = if is_flex(&device) {
            let data = gradient.into_data();
            self.host += sum_squares(host_slice(&data));
            Tensor::from_data(data, &device)
        } else {
            let square = gradient.clone().square().sum_dim(D - 1);
            let rows = square.shape().num_elements();
            self.rows.push(square.reshape([rows]));
            gradient
        };
        self.gradients.register(param.id, kept);
    }
}

/// The values of an f32 tensor on the host.
pub(super) fn host_slice(data: &TensorData) -> &[f32] {
    data.as_slice().expect("parameters and their gradients are f32")
}

fn host_values(data: TensorData) -> Vec<f32> {
    data.try_into_vec().expect("parameters and their gradients are f32")
}

#[cfg(test)]
mod tests {
    use super::super::paths::PathTracker;
    use super::*;

    struct Reader<'a>(&'a mut GradientsParams, PathTracker, Vec<(String, Vec<f32>)>);

    impl ModuleVisitor for Reader<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.1.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.1.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.2.push((self.1.current(), host_values(gradient.inner().into_data())));
            }
        }
    }

    impl GradientSum {
        /// Gradients by the path of their parameter, in the order of the module.
        pub fn named<M: Module>(&mut self, model: &M) -> Vec<(String, Vec<f32>)> {
            let mut reader = Reader(&mut self.gradients, PathTracker::default(), Vec::new());
            model.visit(&mut reader);
            reader.2
        }
    }

    #[test]
    fn the_clip_factor_only_ever_shrinks() {
        assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert_eq!(clip_factor(1e9, 0.0), 1.0);
    }
}
