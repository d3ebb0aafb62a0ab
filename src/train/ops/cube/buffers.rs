//! Memory of kernels, and how many cubes read it.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::CubeCount;

/// Cubes in one direction of a grid that every device takes.
const LINE: usize = 65_535;

/// A tensor beside `neighbour` whose elements a kernel has yet to write.
pub fn uninitialized(neighbour: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_dtype(neighbour.client.clone(), neighbour.device.clone(), shape.into(), dtype)
}

/// The tensor itself when nobody else has it, otherwise a copy: what a kernel may write to.
pub fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = burn_cubecl::kernel::into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// The type of elements, as kernels name it.
pub fn element_type(tensor: &CubeTensor) -> ElemType {
    dtype_to_storage_type(tensor.dtype)
}

/// At least `cubes` cubes, numbered by `CUBE_POS`; a kernel ignores those that are too many.
pub fn grid(cubes: usize) -> CubeCount {
    let lines = cubes.div_ceil(LINE);
    CubeCount::Static(cubes.min(LINE) as u32, lines as u32, 1)
}
