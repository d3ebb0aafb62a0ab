//! Where a parameter sits in its module, such as `blocks.3.attention.qkv`.

/// Follows a traversal of a module. The path names a parameter in the optimizer's files, because
/// burn's parameter ids are drawn anew in every process.
#[derive(Default)]
pub struct PathTracker(Vec<String>);

impl PathTracker {
    pub fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub fn exit(&mut self) {
        self.0.pop();
    }

    pub fn current(&self) -> String {
        self.0.join(".")
    }
}
