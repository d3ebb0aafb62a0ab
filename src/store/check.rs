//! Looks for damage.
use super::error::StoreError;
use std::path::Path;

/// Something that should not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub what: String,
    pub hint: String,
}

pub fn check(_state_dir: &Path) -> Result<Vec<Problem>, StoreError> {
    todo!()
}
