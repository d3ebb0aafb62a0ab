//! Brings batches to their ends. It keeps nothing in memory: it looks at the rows and runs, and takes the one step that
//! follows. A server that is killed between any two steps, or two servers at once, come to the same end.

mod act;
mod check;
mod decide;
mod finish;
mod watch;

#[cfg(test)]
pub use act::round;
pub use watch::keep;
