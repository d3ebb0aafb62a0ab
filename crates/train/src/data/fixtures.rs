//! Token files for tests: BOS is 0, EOS is 1.

use super::shard::TokenShard;
use stepwell_base::token_file::{Header, Unit, Width};

pub fn file(documents: &[&[u32]], vocab: u32) -> Vec<u8> {
    let tokens: u64 = documents.iter().map(|document| document.len() as u64 + 2).sum();
    let text_bytes = tokens;
    let documents_in_all = documents.len() as u64;
    let width = Width::U16;
    let header = Header {
        width,
        documents: documents_in_all,
        tokens,
        text_bytes,
        bos: 0,
        eos: 1,
        vocab,
        masked: false,
        unit: Unit::Document,
    };
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

/// Examples as they are, each a list of tokens and whether it is learned.
pub fn examples(documents: &[&[(u32, bool)]]) -> TokenShard {
    examples_of(Unit::Document, documents)
}

/// The same, with another unit.
pub fn examples_of(unit: Unit, documents: &[&[(u32, bool)]]) -> TokenShard {
    let all: Vec<(u32, bool)> = documents.iter().flat_map(|document| document.iter().copied()).collect();
    let (tokens, documents_in_all) = (all.len() as u64, documents.len() as u64);
    let width = Width::U32;
    let header = Header {
        width,
        documents: documents_in_all,
        tokens,
        text_bytes: 0,
        bos: 0,
        eos: 1,
        vocab: 300,
        masked: true,
        unit,
    };
    let mut bytes = header.encode().to_vec();
    let mut end = 0u64;
    for document in documents {
        end += document.len() as u64;
        bytes.extend_from_slice(&end.to_le_bytes());
    }
    bytes.extend(all.iter().flat_map(|(token, _)| token.to_le_bytes()));
    let byte =
        |bits: &[(u32, bool)]| bits.iter().enumerate().fold(0u8, |byte, (bit, (_, is))| byte | u8::from(*is) << bit);
    bytes.extend(all.chunks(8).map(byte));
    TokenShard::from_bytes(bytes, "fixture").unwrap()
}

pub fn shard(documents: &[&[u32]]) -> TokenShard {
    TokenShard::from_bytes(file(documents, 300), "fixture").unwrap()
}
