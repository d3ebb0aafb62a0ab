//! Files of a training.

use crate::train::data::TokenShard;

/// A token file as training reads it: every document can be read, and together they are the file's tokens.
pub(super) fn shard(data: &[u8]) {
    let Ok(shard) = TokenShard::from_bytes(data.to_vec(), "fuzz") else { return };
    let (mut start, mut tokens) = (0, Vec::new());
    for document in 0..shard.header().documents {
        let end = shard.document_end(document);
        assert_eq!(shard.document_of(start), document);
        shard.read(start, end, &mut tokens);
        start = end;
    }
    assert_eq!(tokens.len() as u64, shard.header().tokens);
}
