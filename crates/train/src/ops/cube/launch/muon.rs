//! Launches of Muon's kernels: gradients to directions, and directions to new weights.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::owned;
use super::optimizer::{Eight, cubes_for, groups};
use crate::ops::cube::kernels::adamw::UNITS;
use crate::ops::cube::kernels::muon::{
    MomentumUpdateLaunch, PlacesLaunch, WeightUpdateLaunch, directions, subtract_updates,
};

/// Maximum number of matrices in a parameter.
pub const PARTS: usize = 3;

/// Layout of a parameter's matrices: the offset of each in the shared buffer, the elements before the second and the
/// third one, and the step size of each.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub places: [usize; PARTS],
    pub ends: [usize; PARTS - 1],
    pub sizes: [f32; PARTS],
}

impl Places {
    fn launch(self) -> PlacesLaunch {
        let Places { places: [first, second, third], ends: [first_end, second_end], sizes } = self;
        let [first_size, second_size, third_size] = sizes;
        PlacesLaunch::new(first, second, third, first_end, second_end, first_size, second_size, third_size)
    }
}

/// Inputs of the directions of some parameters.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct MomentumUpdates<B: Backend> {
    #[extension_type]
    pub gradients: Eight<B>,
    #[extension_type]
    pub momenta: Eight<B>,
    /// One per parameter in use.
    pub places: Vec<Places>,
    /// Global norm, `[1]`, and its limit; a limit of 0 disables clipping.
    pub norm: FloatTensor<B>,
    pub clip: f32,
    pub decay: f64,
}

/// Parameters and the state needed to subtract their updates.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct WeightUpdates<B: Backend> {
    #[extension_type]
    pub parameters: Eight<B>,
    /// One per parameter in use.
    pub places: Vec<Places>,
    pub norm: FloatTensor<B>,
    /// Factor of the parameters after decay.
    pub kept: f32,
}

/// Writes the directions to their places in `buffer`; also returns the new momenta.
pub fn update_momenta(buffer: CubeTensor, updates: MomentumUpdates<CubeBackend>) -> (CubeTensor, Eight<CubeBackend>) {
    let MomentumUpdates { gradients, momenta, places, norm, clip, decay } = updates;
    let (buffer, momenta) = (owned(buffer), momenta.into_owned(places.len()));
    let gradients = gradients.into_array().map(into_contiguous);
    for group in groups(&norm, places.len(), 2, 2) {
        let cubes = cubes_for(&momenta[group.clone()]);
        let mut parameters = SequenceArg::new();
        for at in group {
            let [gradient, momentum] = [&gradients, &momenta].map(|tensors| tensors[at].clone().into_buffer_arg());
            let count = momenta[at].meta.num_elements();
            parameters.push(MomentumUpdateLaunch::new(gradient, momentum, count, places[at].launch()));
        }
        directions::launch(
            &norm.client,
            cubes,
            CubeDim::new_1d(UNITS as u32),
            parameters,
            norm.clone().into_tensor_arg(),
            buffer.clone().into_tensor_arg(),
            decay as f32,
            (1.0 - decay) as f32,
            clip,
        );
    }
    (buffer, Eight::new(momenta, &norm))
}

/// Subtracts the updates in `buffer` and returns the new parameters.
pub fn update_weights(buffer: CubeTensor, updates: WeightUpdates<CubeBackend>) -> Eight<CubeBackend> {
    let WeightUpdates { parameters, places, norm, kept } = updates;
    let (buffer, parameters) = (into_contiguous(buffer), parameters.into_owned(places.len()));
    for group in groups(&norm, places.len(), 1, 2) {
        let cubes = cubes_for(&parameters[group.clone()]);
        let mut updated = SequenceArg::new();
        for at in group {
            let parameter = &parameters[at];
            let count = parameter.meta.num_elements();
            updated.push(WeightUpdateLaunch::new(parameter.clone().into_buffer_arg(), count, places[at].launch()));
        }
        subtract_updates::launch(
            &norm.client,
            cubes,
            CubeDim::new_1d(UNITS as u32),
            updated,
            norm.clone().into_tensor_arg(),
            buffer.clone().into_tensor_arg(),
            kept,
        );
    }
    Eight::new(parameters, &norm)
}
