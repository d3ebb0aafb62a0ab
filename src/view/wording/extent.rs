//! How much of something a person wants to see.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// About one screen.
    Screen,
    All,
}
