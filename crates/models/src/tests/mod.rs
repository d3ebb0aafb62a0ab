//! Tests that read whole models or compare with other implementations.

mod chat;
mod folders;
mod gguf;
mod learned;
mod rope;
mod tokens;

/// FNV-1a of 64 bits.
fn digest(bytes: &[u8]) -> String {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}
