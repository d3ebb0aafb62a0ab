//! The file that each kept document comes from, to tell near-duplicates within a source from those across sources.

use std::collections::HashMap;

/// Numbers of files by their names in document ids.
#[derive(Default)]
pub struct Sources {
    known: HashMap<String, u32>,
    of: Vec<u32>,
}

impl Sources {
    /// Adds the next document. Its id is `<file>:<number>`.
    pub fn add(&mut self, id: &str) {
        let file = id.rsplit_once(':').map_or(id, |(file, _)| file);
        let next = self.known.len() as u32;
        let number = match self.known.get(file) {
            Some(number) => *number,
            None => {
                self.known.insert(file.to_owned(), next);
                next
            }
        };
        self.of.push(number);
    }

    /// True if both documents come from one file.
    pub fn same(&self, one: u32, other: u32) -> bool {
        self.of.get(one as usize) == self.of.get(other as usize)
    }
}
