//! Kernel memory and grid sizes.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::CubeCount;

/// Number of cubes in one grid dimension that every device supports.
const LINE: usize = 65_535;

/// Allocates a tensor on the device of `neighbour`; a kernel must write its elements.
pub fn uninitialized(neighbour: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_dtype(neighbour.client.clone(), neighbour.device.clone(), shape.into(), dtype)
}

/// Returns a tensor that a kernel may write to: the tensor itself if nothing else refers to it, otherwise a copy.
pub fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = burn_cubecl::kernel::into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// Element type, as kernels name it.
pub fn element_type(tensor: &CubeTensor) -> ElemType {
    dtype_to_storage_type(tensor.dtype)
}

/// Grid of at least `cubes` cubes, numbered by `CUBE_POS`; kernels ignore the surplus.
pub fn grid(cubes: usize) -> CubeCount {
    let lines = cubes.div_ceil(LINE);
    CubeCount::Static(cubes.min(LINE) as u32, lines as u32, 1)
}
