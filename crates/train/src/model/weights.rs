//! Named weights on the host, with Hugging Face names and layouts, and their safetensors file.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

/// One weight: row-major f32, linear layers as `[out, in]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor<V = Vec<f32>> {
    /// For example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// Values; their number is the product of `shape`.
    pub data: V,
}

impl<V: Values> NamedTensor<V> {
    /// Reads the values into a vector.
    pub fn into_host(self) -> NamedTensor {
        NamedTensor { name: self.name, shape: self.shape, data: self.data.read(<[f32]>::to_vec) }
    }
}

/// Values of a tensor, wherever they are stored.
pub trait Values {
    /// Calls `use_it` with all values on the host.
    fn read<R>(self, use_it: impl FnOnce(&[f32]) -> R) -> R;
}

impl Values for Vec<f32> {
    fn read<R>(self, use_it: impl FnOnce(&[f32]) -> R) -> R {
        use_it(&self)
    }
}

/// Weights that do not fit the file format or the model.
#[derive(Debug, Error)]
pub enum WeightsError {
    #[error("not a safetensors file; is it truncated?")]
    Format(#[from] safetensors::SafeTensorError),
    #[error("weight `{name}` is stored as {dtype}; only F32, F16 and BF16 can be read")]
    Dtype { name: String, dtype: String },
    #[error("weight `{name}` is missing; the file belongs to a different model shape")]
    Missing { name: String },
    #[error("weight `{name}` is not part of this model; the file belongs to a different model shape")]
    Unexpected { name: String },
    #[error("weight `{name}` has shape {found:?}, the model needs {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
}

/// Encodes the weights as a safetensors file in F32. Equal weights give equal bytes, whatever their order.
pub fn save<V: Values>(tensors: Vec<NamedTensor<V>>) -> Vec<u8> {
    let layout = FileLayout::new(tensors);
    let mut file = Vec::with_capacity(layout.size() as usize);
    layout.write(&mut file).expect("memory takes everything");
    file
}

/// The file of [`save`], for writing it without holding it in memory.
pub struct FileLayout<V> {
    /// Length of the JSON, then the JSON.
    header: Vec<u8>,
    /// Tensors in the order of the file.
    tensors: Vec<NamedTensor<V>>,
    /// Bytes of all values.
    data: usize,
}

impl<V: Values> FileLayout<V> {
    /// Sorts the tensors by name and computes the header of their file.
    pub fn new(mut tensors: Vec<NamedTensor<V>>) -> Self {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let mut end = 0;
        let infos = tensors.iter().map(|tensor| {
            let start = end;
            end += tensor.shape.iter().product::<usize>() * size_of::<f32>();
            let info = TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets: (start, end) };
            (tensor.name.clone(), info)
        });
        // The Python loaders expect `format: pt`.
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let metadata = Metadata::new(Some(format), infos.collect())
            .expect("a named tensor holds exactly the elements of its shape");
        let mut json = serde_json::to_vec(&metadata).expect("metadata has string keys only");
        // The format aligns the data to 8 bytes.
        json.resize(json.len().next_multiple_of(8), b' ');
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.extend(json);
        FileLayout { header, tensors, data: end }
    }

    /// Size of the whole file, in bytes.
    pub fn size(&self) -> u64 {
        (self.header.len() + self.data) as u64
    }

    /// Writes the file. Drops each tensor as soon as it is written.
    ///
    /// # Errors
    /// Errors of `out`.
    ///
    /// # Panics
    /// When a tensor does not have as many values as its shape says.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        let mut buffer = vec![0; WRITE_BUFFER];
        for tensor in self.tensors {
            let elements = tensor.shape.iter().product::<usize>();
            tensor.data.read(|values| {
                assert_eq!(values.len(), elements, "the elements of its shape");
                for values in values.chunks(WRITE_BUFFER / size_of::<f32>()) {
                    let bytes = &mut buffer[..size_of_val(values)];
                    for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                        *bytes = value.to_le_bytes();
                    }
                    out.write_all(bytes)?;
                }
                io::Result::Ok(())
            })?;
        }
        Ok(())
    }
}

/// Reads a safetensors file; half precision is widened to f32.
///
/// # Errors
/// [`WeightsError::Format`] for a damaged file, [`WeightsError::Dtype`] for integer or 64-bit weights.
pub fn load(bytes: &[u8]) -> Result<BTreeMap<String, NamedTensor>, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let data = widen(view.dtype(), view.data())
            .ok_or_else(|| WeightsError::Dtype { name: name.to_owned(), dtype: format!("{:?}", view.dtype()) })?;
        let tensor = NamedTensor { name: name.to_owned(), shape: view.shape().to_vec(), data };
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// Small enough for the processor's cache, large enough for a system call.
const WRITE_BUFFER: usize = 256 * 1024;

fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    let (halves, half_rest) = bytes.as_chunks::<2>();
    match dtype {
        Dtype::F32 if rest.is_empty() => Some(words.iter().map(|word| f32::from_le_bytes(*word)).collect()),
        Dtype::BF16 if half_rest.is_empty() => {
            Some(halves.iter().map(|half| f32::from_bits(u32::from(u16::from_le_bytes(*half)) << 16)).collect())
        }
        Dtype::F16 if half_rest.is_empty() => {
            Some(halves.iter().map(|half| half_to_f32(u16::from_le_bytes(*half))).collect())
        }
        _ => None,
    }
}

/// IEEE 754 binary16 to binary32, exact.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn tensor(name: &str, shape: &[usize], data: &[f32]) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.into(), data: data.into() }
    }

    #[test]
    fn a_file_round_trips_and_its_bytes_do_not_depend_on_order() {
        let a = tensor("a.weight", &[2, 2], &[1.0, -2.5, f32::MIN_POSITIVE, 4.0]);
        let b = tensor("b.weight", &[3], &[0.1, 0.2, 0.3]);
        let file = save(vec![a.clone(), b.clone()]);
        assert_eq!(file, save(vec![b.clone(), a.clone()]));
        let loaded = load(&file).expect("loads");
        assert_eq!(loaded.into_values().collect::<Vec<_>>(), [a, b]);
    }

    #[test]
    fn a_file_is_what_the_library_makes_of_the_same_weights() {
        let long = vec![0.5; WRITE_BUFFER / 4 + 3];
        let tensors = [tensor("b", &[3], &[0.1, -0.0, f32::NAN]), tensor("a.weight", &[1, long.len()], &long)];
        let bytes = tensors.each_ref().map(|t| t.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
            (tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap())
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let file = save(tensors.to_vec());
        assert_eq!(file, safetensors::serialize(views, Some(metadata)).unwrap());
        assert_eq!(file.len() as u64, FileLayout::new(tensors.to_vec()).size());
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let file = save(vec![tensor("a", &[4], &[1.0; 4])]);
        for length in [0, 7, file.len() - 1] {
            assert!(matches!(load(&file[..length]), Err(WeightsError::Format(_))), "length {length}");
        }
    }

    #[test]
    fn half_precision_is_widened_exactly() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8)] {
            assert_eq!(half_to_f32(bits), value);
        }
        assert!(half_to_f32(0x7c01).is_nan());
        assert_eq!(widen(Dtype::BF16, &[0x80, 0x3f]), Some(vec![1.0]));
        assert_eq!(widen(Dtype::I64, &[0; 8]), None);
    }
}
