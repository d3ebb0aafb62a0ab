//! GGUF files against `transformers` and the package `gguf`, see scripts/golden/make_gguf.py.

use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use super::digest;
use crate::{GgufType, Model, ModelFiles, Stored};

const BLOCKS: &[u8] = include_bytes!("gguf_blocks.safetensors");
const GOLDEN: &str = include_str!("tiny_gguf.json");

fn open(name: &str) -> Model {
    Model::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests").join(name)).unwrap()
}

#[test]
fn blocks_have_the_values_of_the_reference() {
    let file = SafeTensors::deserialize(BLOCKS).unwrap();
    for stored in [Stored::Q8_0, Stored::Q4_0, Stored::Q4_1, Stored::Q4K, Stored::Q6K] {
        let blocks = file.tensor(&format!("{}.blocks", stored.name())).unwrap();
        let expected = file.tensor(&format!("{}.values", stored.name())).unwrap();
        let expected: Vec<f32> =
            expected.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        let mut found = vec![0.0; expected.len()];
        stored.decode(blocks.data(), &mut found);
        assert_eq!(found, expected, "{}", stored.name());
    }
}

#[test]
fn files_have_the_tensors_and_tokens_of_transformers() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for (family, expected) in golden.as_object().unwrap() {
        let model = open(&format!("tiny_{family}.gguf"));
        let tensors = expected["tensors"].as_object().unwrap();
        assert_eq!(model.shape.places().count(), tensors.len(), "{family}");
        for place in model.shape.places() {
            let name = crate::hf::tensor_name(place);
            let bytes: Vec<u8> = model.tensor(place).unwrap().to_f32().into_iter().flat_map(f32::to_le_bytes).collect();
            assert_eq!(tensors[&name], digest(&bytes), "{family}: {name}");
        }
        for text in expected["texts"].as_array().unwrap() {
            let (text, ids) = (text["text"].as_str().unwrap(), &text["ids"]);
            let found = model.tokenizer.encode_text(text).unwrap();
            assert_eq!(*ids, Value::from(found.clone()), "{family}: {text:?}");
            assert_eq!(model.tokenizer.decode(&found).unwrap(), text);
        }
        assert_eq!((model.special.bos, &model.special.eos[..], model.special.pad), (Some(1), &[2][..], Some(0)));
        assert!(model.chat.is_some());
    }
}

#[test]
fn damaged_headers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/tiny_llama.gguf")).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Model::open(&path).unwrap_err().to_string()
    };
    assert_eq!(refused(b"GGML"), "x.gguf: it does not start with GGUF");
    assert_eq!(refused(b"GGUF\x00\x00\x00\x03"), "x.gguf: its numbers are big-endian");
    assert_eq!(refused(b"GGUF\x09\x00\x00\x00"), "x.gguf: it has version 9; known are 2 and 3");
    assert!(refused(&whole[..whole.len() - 40]).contains("ends behind the end of the file"));
    assert!(refused(&whole[..300]).contains("more than the file holds") || refused(&whole[..300]).contains("cut off"));
    let changed = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        refused(&bytes)
    };
    assert!(changed("llama", "llamx").contains("architecture `llamx` is not known"));
    assert!(changed("llama.rope.freq_base", "llama.rope.freq_bose").contains("`llama.rope.freq_bose` is not known"));
    assert!(changed("smollm", "smolln").contains("pre-tokenizer `smolln` is not known"));
    assert!(changed("attn_norm.weight", "attn_morn.weight").contains("tensor `blk.0.attn_morn.weight` is not part"));
}

#[test]
fn a_file_is_found_by_its_name_or_its_first_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/tiny_qwen3.gguf");
    let blob = dir.path().join("blob");
    std::fs::copy(source, &blob).unwrap();
    let model = Model::open(&blob).unwrap();
    assert!(model.shape.qk_norm && model.shape.tied);
    assert_eq!((model.shape.head_dim, model.shape.hidden), (16, 32));
    let files = ModelFiles::from_iter([("model.gguf".to_owned(), blob)]);
    assert_eq!(Model::from_files(&files).unwrap().shape, model.shape);
}

#[test]
fn a_written_file_is_read_as_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for family in ["llama", "qwen2", "qwen3"] {
        let model = open(&format!("tiny_{family}.gguf"));
        for (kind, bound) in [(GgufType::F32, 0.0), (GgufType::F16, 5e-4), (GgufType::Q8_0, 5e-3)] {
            let path = dir.path().join("written.gguf");
            model.write_gguf(kind, &mut std::fs::File::create(&path).unwrap()).unwrap();
            let read = Model::open(&path).unwrap();
            assert_eq!((&read.shape, &read.special), (&model.shape, &model.special), "{family}");
            for place in model.shape.places() {
                let (one, other) = (model.tensor(place).unwrap().to_f32(), read.tensor(place).unwrap().to_f32());
                let largest = one.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                let same = one.iter().zip(&other).all(|(one, other)| (one - other).abs() <= largest * bound);
                assert!(same, "{family} {kind:?} {place:?}");
            }
            let text = "the cat's 12 hats <|im_end|>";
            assert_eq!(read.tokenizer.encode_text(text).unwrap(), model.tokenizer.encode_text(text).unwrap());
            assert!(read.chat.is_some());
        }
    }
}
