//! Checks a workflow with the right keys: ids, kinds, arguments, templates, needs, cycles.

mod argument;
mod check;
mod command;
mod cycle;
mod gate;
mod names;
mod output_in_text;
mod schema;
mod templates;
#[cfg(test)]
mod tests;
mod uses;

pub(crate) use check::{check, known_arguments};
