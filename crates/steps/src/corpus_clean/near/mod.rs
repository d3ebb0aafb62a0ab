//! Near-duplicates by MinHash (Broder 1997) and locality-sensitive hashing: signatures while documents are cleaned,
//! then one decision over all of them.

mod band_files;
mod decide;
mod signature;
#[cfg(test)]
mod tests;

pub use band_files::{BandFiles, Written as WrittenBands};
pub use decide::{NearDuplicates, decide};
pub use signature::{Signature, Signer};
