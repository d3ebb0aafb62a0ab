//! Checks files of training runs.

use std::collections::BTreeMap;

use stepwell_train::data::TokenShard;
use stepwell_train::model::hf_config::SavedModel;
use stepwell_train::model::weights::{self, NamedTensor};
use stepwell_train::training::checkpoint::TrainState;

/// Reads a token file as training does: every document is readable, and together they hold all tokens of the file.
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

/// Checks `state.json` of a checkpoint and `config.json` of a model. A state is written back unchanged. The
/// parameters of a valid model can be counted.
pub(super) fn checkpoint(data: &[u8]) {
    if let Ok(state) = TrainState::from_file(data) {
        let again = TrainState::from_file(&state.to_file()).expect("what was read can be written and read");
        // Compares the files, because NaN does not equal itself and has no JSON form.
        assert_eq!(again.to_file(), state.to_file());
    }
    if let Ok(saved) = serde_json::from_slice::<SavedModel>(data)
        && saved.stepwell.validate().is_ok()
    {
        assert!(saved.stepwell.parameter_counts().total > 0);
    }
}

/// Checks a safetensors file. Readable tensors are written as F32 and read back unchanged.
pub(super) fn weights(data: &[u8]) {
    let Ok(tensors) = weights::load(data) else { return };
    assert!(tensors.values().all(|tensor| tensor.data.len() == tensor.shape.iter().product::<usize>()));
    let file = weights::save(tensors.values().cloned().collect());
    assert_eq!(bits(weights::load(&file).expect("what was written can be read")), bits(tensors));
}

fn bits(tensors: BTreeMap<String, NamedTensor>) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let bits = |tensor: NamedTensor| (tensor.name, tensor.shape, tensor.data.iter().map(|x| x.to_bits()).collect());
    tensors.into_values().map(bits).collect()
}
