//! The mapped files of a model, and where each tensor lies in them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::Problem;
use crate::shape::{Place, Shape};
use crate::source::MappedFile;

use super::stored::Stored;
use super::view::{RowOrder, Tensor};

/// A tensor in a file.
#[derive(Clone, Debug)]
pub struct Located {
    /// Index of the file.
    pub file: usize,
    pub bytes: Range<usize>,
    pub stored: Stored,
    pub order: RowOrder,
    /// Rows and columns; a vector is one row.
    pub size: (usize, usize),
}

/// All tensors of a model.
#[derive(Debug)]
pub struct Weights {
    files: Vec<MappedFile>,
    tensors: BTreeMap<Place, Located>,
}

impl Weights {
    /// # Errors
    /// `Damaged` when a tensor is not whole rows within its file.
    pub fn new(files: Vec<MappedFile>, tensors: BTreeMap<Place, Located>) -> Result<Self, Problem> {
        let weights = Weights { files, tensors };
        for (place, located) in &weights.tensors {
            weights
                .view(located)
                .ok_or_else(|| Problem::Damaged(format!("the tensor of {place:?} is not whole rows in the file")))?;
        }
        Ok(weights)
    }

    fn view(&self, located: &Located) -> Option<Tensor<'_>> {
        let bytes = self.files.get(located.file)?.bytes().get(located.bytes.clone())?;
        let (rows, columns) = located.size;
        Tensor::new(rows, columns, located.stored, located.order, bytes)
    }

    pub fn get(&self, place: Place) -> Option<Tensor<'_>> {
        self.tensors.get(&place).and_then(|located| self.view(located))
    }

    /// Gives the memory of all pages that were read back to the system.
    pub fn release_pages(&self) {
        self.files.iter().for_each(MappedFile::release_pages);
    }

    /// Bytes of all tensors in their files.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|located| located.bytes.len() as u64).sum()
    }

    /// Element types, each with its number of tensors.
    pub fn stored_types(&self) -> BTreeMap<&'static str, usize> {
        let mut types = BTreeMap::new();
        for located in self.tensors.values() {
            *types.entry(located.stored.name()).or_insert(0) += 1;
        }
        types
    }

    /// Checks that the tensors are exactly those of the shape. `name` is the name of a place in the file.
    ///
    /// # Errors
    /// `MissingTensor`, `TensorShape`.
    pub fn check(&self, shape: &Shape, name: impl Fn(Place) -> String) -> Result<(), Problem> {
        for place in shape.places() {
            let expected = shape.size(place).unwrap_or_default();
            let located = self.tensors.get(&place).ok_or_else(|| Problem::MissingTensor(name(place)))?;
            if located.size != expected {
                let list =
                    |(rows, columns): (usize, usize)| if rows == 1 { vec![columns] } else { vec![rows, columns] };
                return Err(Problem::TensorShape {
                    name: name(place),
                    found: list(located.size),
                    expected: list(expected),
                });
            }
        }
        Ok(())
    }
}
