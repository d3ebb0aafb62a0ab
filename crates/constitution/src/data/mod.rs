//! Records, and what they must be to become rows.

mod overlap;
mod pair;
mod quality;
mod record;
mod trim;

pub use overlap::{Held, check_overlap};
pub use pair::{Preference, PreferencePair};
pub use quality::{Quality, Summary, judge};
pub use record::{Metadata, Provenance, Record, Revision, SftRow, read_lines, write_lines};
pub use trim::{CutOff, Flags, first_paragraph, flags, normalised, trim};
