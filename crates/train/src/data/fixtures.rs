//! Token files for tests: BOS is 0, EOS is 1.

use super::shard::TokenShard;
use stepwell_base::token_file::{Header, Width};

pub fn file(documents: &[&[u32]], vocab: u32) -> Vec<u8> {
    let tokens: u64 = documents.iter().map(|document| document.len() as u64 + 2).sum();
    let text_bytes = tokens;
    let header =
        Header { width: Width::U16, documents: documents.len() as u64, tokens, text_bytes, bos: 0, eos: 1, vocab };
    let mut bytes = header.encode().to_vec();
    let mut end = 0u64;
    for document in documents {
        end += document.len() as u64 + 2;
        bytes.extend_from_slice(&end.to_le_bytes());
    }
    for document in documents {
        for token in std::iter::once(&0).chain(document.iter()).chain(std::iter::once(&1)) {
            bytes.extend_from_slice(&(*token as u16).to_le_bytes());
        }
    }
    bytes
}

pub fn shard(documents: &[&[u32]]) -> TokenShard {
    TokenShard::from_bytes(file(documents, 300), "fixture").unwrap()
}
