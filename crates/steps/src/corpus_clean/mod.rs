//! `corpus.clean`: normalises, filters, deduplicates and divides documents.

mod accounts;
mod across;
mod arguments;
mod cleaned_file;
mod contamination;
mod divide;
mod first_pass;
mod handler;
mod hashing;
mod near;
mod pipeline;
mod quality;
mod shards;
mod sources;
mod split;
mod text;

#[cfg(test)]
mod tests;

pub use handler::CORPUS_CLEAN;
