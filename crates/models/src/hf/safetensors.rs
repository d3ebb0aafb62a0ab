//! Headers of safetensors files.

use safetensors::tensor::{Dtype, SafeTensors};

use crate::error::{Problem, shown};
use crate::source::object;
use crate::tensor::Stored;

/// Bytes of a header. 1,000 layers take one MiB.
const HEADER: u64 = 8 << 20;

/// A tensor of a file.
pub struct Entry {
    pub name: String,
    pub stored: Stored,
    pub shape: Vec<usize>,
    /// Bytes within the file.
    pub bytes: std::ops::Range<usize>,
}

/// Reads the header, and checks that the tensors fill the file without gaps and overlaps.
///
/// # Errors
/// `Damaged`, `Json`, `TooLarge`, `ElementType`.
pub fn entries(file: &[u8]) -> Result<Vec<Entry>, Problem> {
    let length = file.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    let length = length.ok_or_else(|| Problem::Damaged("it has fewer than 8 bytes".into()))?;
    if length > HEADER {
        return Err(Problem::TooLarge { what: "the size of the header", found: length, limit: HEADER });
    }
    let start = 8 + length as usize;
    let header = file.get(8..start);
    let header = header.ok_or_else(|| Problem::Damaged(format!("its header of {length} bytes is cut off")))?;
    // The library takes the last of two tensors with one name.
    let names = object(header, HEADER)?;
    if let Some((name, found)) = names.iter().filter(|(name, _)| *name != "__metadata__").find_map(unknown_type) {
        return Err(Problem::ElementType { name: shown(name), found });
    }
    let damaged = |error| Problem::Damaged(format!("the header does not fit the file: {error}"));
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(damaged)?;
    let entry = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let stored = match info.dtype {
            Dtype::F32 => Stored::F32,
            Dtype::F16 => Stored::F16,
            Dtype::BF16 => Stored::Bf16,
            other => return Err(Problem::ElementType { name: shown(&name), found: format!("{other:?}") }),
        };
        let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
        Ok(Entry { name, stored, shape: info.shape.clone(), bytes })
    };
    metadata.tensors().into_iter().map(entry).collect()
}

/// A tensor with a type that the library may not even know.
fn unknown_type<'a>((name, info): (&'a String, &serde_json::Value)) -> Option<(&'a str, String)> {
    let found = info.get("dtype")?.as_str()?;
    (!["F32", "F16", "BF16"].contains(&found)).then(|| (name.as_str(), shown(found)))
}
