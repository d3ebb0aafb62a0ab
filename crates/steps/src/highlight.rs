//! The results of a step kind that matter to a person.

/// Results of a succeeded step that a person sees at the end of the run. The names are among those that the kind gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Highlight {
    Nothing,
    /// Every value that is a number.
    Numbers,
    /// The texts in the value of this name, which is a list.
    Texts(&'static str),
    /// The files in the output of this name, which is a tree; they are copied to the exports folder.
    Folder(&'static str),
}
