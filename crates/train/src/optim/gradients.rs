//! Gradients of one optimizer step: summed over micro-batches, measured, clipped.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

use super::norm::GlobalNorm;
use super::paths::PathTracker;
use crate::model::shared::host_slice;
use crate::ops::sum_squares;

/// Sum of the gradients of all micro-batches so far.
#[derive(Default)]
pub struct GradientSum {
    pub(super) gradients: GradientsParams,
}

impl GradientSum {
    pub fn add<M: Module>(&mut self, gradients: Gradients, model: &M) {
        let added = GradientsParams::from_grads(gradients, model);
        if self.gradients.is_empty() {
            self.gradients = added;
        } else {
            model.visit(&mut Adder { sum: &mut self.gradients, added });
        }
    }

    /// Sum of squares of the gradient of each parameter that has one, by its path, in module order.
    pub fn squares<M: Module>(&self, model: &M) -> Vec<(String, f64)> {
        let mut squares = SquaresByPath { gradients: &self.gradients, path: PathTracker::default(), found: Vec::new() };
        model.visit(&mut squares);
        squares.found
    }

    /// L2 norm over the gradients of all parameters, in module order; on the host, summed in f64.
    pub fn norm<M: Module>(&mut self, model: &M) -> GlobalNorm {
        #[cfg(feature = "cube")]
        if let Some(norm) = device::norm(&self.gradients, model) {
            return GlobalNorm::OnDevice(Box::new(norm));
        }
        let mut squares = Squares { gradients: &mut self.gradients, sum: 0.0 };
        model.visit(&mut squares);
        GlobalNorm::Known(squares.sum.sqrt())
    }
}

/// Factor that scales a global norm down to `limit`, as PyTorch's `clip_grad_norm_` does (Pascanu et al. 2013). A
/// `limit` of 0 disables clipping.
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
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let device = gradient.device();
        let data = gradient.into_data();
        self.sum += sum_squares(host_slice(&data));
        self.gradients.register(param.id, Tensor::<D>::from_data(data, &device));
    }
}

struct SquaresByPath<'a> {
    gradients: &'a GradientsParams,
    path: PathTracker,
    found: Vec<(String, f64)>,
}

impl ModuleVisitor for SquaresByPath<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.found.push((self.path.current(), sum_squares(host_slice(&gradient.inner().into_data()))));
        }
    }
}

/// Computes the norm where the gradients are.
#[cfg(feature = "cube")]
mod device {
    use super::*;
    use crate::device::is_cube;
    use crate::ops::cube;

    /// Norm of all gradients, `[1]`; `None` unless they are on a GPU.
    pub(super) fn norm<M: Module>(gradients: &GradientsParams, model: &M) -> Option<Tensor<1>> {
        let mut flat = Flat { gradients, tensors: Vec::new() };
        model.visit(&mut flat);
        let on_gpu = flat.tensors.first().is_some_and(|tensor| is_cube(&tensor.device()));
        on_gpu.then(|| cube::global_norm(flat.tensors))
    }

    struct Flat<'a> {
        gradients: &'a GradientsParams,
        tensors: Vec<Tensor<1>>,
    }

    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
            let elements = gradient.shape().num_elements();
            self.tensors.push(gradient.inner().reshape([elements]));
        }
    }
}

#[cfg(test)]
mod tests {
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
                self.2.push((self.1.current(), host_slice(&gradient.inner().into_data()).to_vec()));
            }
        }
    }

    impl GradientSum {
        /// Gradients by the path of their parameter, in module order.
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
