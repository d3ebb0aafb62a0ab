//! Path of a parameter in its module, such as `blocks.3.attention.qkv`.

/// Follows a traversal of a module. The optimizer's files name parameters by path, because burn draws new parameter
/// ids in every process.
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
