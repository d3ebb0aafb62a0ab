//! Batches of requests: lines, rows, keys and result files.
