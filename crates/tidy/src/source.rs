//! One source file.

use crate::text::Text;

/// A file under `src/` or `crates/*/src/`.
pub struct Source {
    /// From the root of the repository, such as `crates/run/src/state.rs`.
    pub path: String,
    /// Name of the folder under `crates/`, or `stepwell` for the root package.
    pub member: String,
    /// Everything, tests included.
    pub whole: Text,
    /// Without inline tests.
    pub text: Text,
    /// True if only tests compile the file.
    pub is_test: bool,
    /// True if a module of the crate names the file.
    pub is_reached: bool,
}

impl Source {
    pub fn new(path: &str, written: &str) -> Source {
        let member = match path.strip_prefix("crates/") {
            Some(rest) => rest.split('/').next().unwrap_or_default(),
            None => "stepwell",
        };
        let whole = Text::new(written);
        let text = whole.without_tests();
        let member = member.to_owned();
        Source { path: path.to_owned(), member, whole, text, is_test: false, is_reached: false }
    }

    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// `mod.rs` or the root of a crate: a table of contents.
    pub fn is_contents(&self) -> bool {
        matches!(self.file_name(), "mod.rs" | "lib.rs" | "main.rs")
    }

    /// `path:line` of an offset.
    pub fn place(&self, offset: usize) -> String {
        let line = self.text.written.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}
