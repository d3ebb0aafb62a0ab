//! Folders of Hugging Face `transformers`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Model, Part, Place, Stored};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny")
}

/// A copy of the fixture that a test may damage.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        {
            std::fs::copy(fixture().join(name), dir.path().join(name)).unwrap();
        }
        Folder(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Sets a field of `config.json`.
    fn set(&self, field: &str, value: Value) -> &Self {
        let mut config: Value = serde_json::from_slice(&std::fs::read(self.path("config.json")).unwrap()).unwrap();
        config[field] = value;
        self.write("config.json", config.to_string())
    }

    /// Changes the tensors, each with type, shape and bytes.
    fn tensors(&self, change: impl FnOnce(&mut BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>)) -> &Self {
        let bytes = std::fs::read(self.path("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let owned = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        let mut tensors = file.tensors().into_iter().map(|(name, view)| (name, owned(view))).collect();
        change(&mut tensors);
        self.write("model.safetensors", serialized(&tensors))
    }

    fn open(&self) -> Result<Model, crate::ModelError> {
        Model::open(self.0.path())
    }

    fn refused(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn serialized(tensors: &Tensors) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

const QUERY: &str = "model.layers.1.self_attn.q_proj.weight";

#[test]
fn an_exported_model_is_read_with_all_its_tensors() {
    let model = Model::open(&fixture()).unwrap();
    let shape = &model.shape;
    assert_eq!((shape.hidden, shape.layers, shape.heads, shape.kv_heads, shape.head_dim), (32, 2, 4, 2, 8));
    assert_eq!((shape.vocab, shape.ffn, shape.tied, shape.qk_norm), (288, 48, true, false));
    assert_eq!(model.special.eos.len(), 1);
    assert!(model.remarks.is_empty(), "{:?}", model.remarks);
    let bytes = std::fs::read(fixture().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let expected: Vec<f32> = file
        .tensor(QUERY)
        .unwrap()
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let query = model.tensor(Place::Layer(1, Part::Query)).unwrap();
    assert_eq!((query.rows, query.columns, query.stored()), (32, 32, Stored::F32));
    assert_eq!(query.to_f32(), expected);
    let mut row = [0.0; 32];
    query.row_into(5, &mut row);
    assert_eq!(row, expected[5 * 32..6 * 32]);
    let (head, embedding) = (model.tensor(Place::Head).unwrap(), model.tensor(Place::Embedding).unwrap());
    assert_eq!(head.to_f32(), embedding.to_f32());
    assert_eq!(shape.parameters() * 4, model.weight_bytes());
    assert!(model.tensor(Place::Layer(0, Part::QueryBias)).is_err());
    assert!(model.tensor(Place::Layer(2, Part::Query)).is_err());
}

#[test]
fn sixteen_bits_and_several_files_give_the_same_model() {
    let folder = Folder::new();
    let whole = folder.open().unwrap().tensor(Place::Layer(1, Part::Query)).unwrap().to_f32();
    let narrow = |bits: fn(f32) -> u16| {
        move |bytes: &[u8]| -> Vec<u8> {
            let floats = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            floats.flat_map(|float| bits(float).to_le_bytes()).collect()
        }
    };
    let bf16 = narrow(|float| half::bf16::from_f32(float).to_bits());
    let f16 = narrow(|float| half::f16::from_f32(float).to_bits());
    folder.tensors(|tensors| {
        for (index, (dtype, _, bytes)) in tensors.values_mut().enumerate() {
            (*dtype, *bytes) = if index % 2 == 0 { (Dtype::BF16, bf16(bytes)) } else { (Dtype::F16, f16(bytes)) };
        }
    });
    let model = folder.open().unwrap();
    let query = model.tensor(Place::Layer(1, Part::Query)).unwrap();
    assert_ne!(query.stored(), Stored::F32);
    assert!(query.to_f32().iter().zip(&whole).all(|(narrow, whole)| (narrow - whole).abs() <= whole.abs() / 200.0));
    let before = query.to_f32();
    drop(model);
    // Split into two files.
    let mut map = serde_json::Map::new();
    let mut parts = [Tensors::new(), Tensors::new()];
    folder.tensors(|tensors| {
        for (index, (name, tensor)) in tensors.iter().enumerate() {
            map.insert(name.clone(), format!("part-{}.safetensors", index % 2).into());
            parts[index % 2].insert(name.clone(), tensor.clone());
        }
    });
    std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    for (index, part) in parts.iter().enumerate() {
        folder.write(&format!("part-{index}.safetensors"), serialized(part));
    }
    let index = |map: &serde_json::Map<String, Value>| json!({"metadata": {}, "weight_map": map}).to_string();
    folder.write("model.safetensors.index.json", index(&map));
    assert_eq!(folder.open().unwrap().tensor(Place::Layer(1, Part::Query)).unwrap().to_f32(), before);
    for (name, expected) in [
        ("../part-1.safetensors", "it names the file `../part-1.safetensors`, which is not a plain name"),
        ("/etc/passwd", "it names the file `/etc/passwd`, which is not a plain name"),
        ("absent.safetensors", "absent.safetensors: it is missing"),
        ("part-0.safetensors", "is in `part-1.safetensors`, not in `part-0.safetensors`"),
    ] {
        let mut map = map.clone();
        let moved = map.iter().find(|(_, file)| *file == "part-1.safetensors").map(|(name, _)| name.clone()).unwrap();
        map.insert(moved, name.into());
        folder.write("model.safetensors.index.json", index(&map));
        let error = folder.refused();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn what_would_give_wrong_answers_is_refused_by_name() {
    let refused = |field: &str, value: Value| Folder::new().set(field, value).refused();
    let architecture = refused("architectures", json!(["GemmaForCausalLM"]));
    assert!(
        architecture.starts_with("config.json: architecture `GemmaForCausalLM` is not known; known are `Llama"),
        "{architecture}"
    );
    assert_eq!(
        refused("quantization_config", json!({"quant_method": "gptq", "bits": 4})),
        "config.json: the weights are quantised with `gptq`, which is not known"
    );
    assert_eq!(refused("hidden_act", json!("gelu")), "config.json: `hidden_act` is \"gelu\"; only \"silu\" is known");
    assert_eq!(
        refused("attention_multiplier", json!(0.1)),
        "config.json: `attention_multiplier` is 0.1; models with it are not known"
    );
    assert_eq!(
        refused("num_key_value_heads", json!(3)),
        "config.json: `num_key_value_heads` is 3, which does not divide 4 heads"
    );
    assert_eq!(
        refused("vocab_size", json!(1e12)),
        "config.json: `vocab_size` must be a whole number from 1 to 1048576, not 1000000000000.0"
    );
    assert!(
        refused("vocab_size", json!(287))
            .contains("tensor `model.embed_tokens.weight` has the shape [288, 32] instead of [287, 32]")
    );
    assert!(
        refused("attention_bias", json!(true)).contains("tensor `model.layers.0.self_attn.q_proj.bias` is missing")
    );
    assert!(refused("num_hidden_layers", json!(1)).contains("tensor `model.layers.1."));
    assert!(
        refused("sliding_window", json!(4))
            .contains("`sliding_window` is set, and `LlamaForCausalLM` has no sliding window")
    );
    assert!(refused("tie_word_embeddings", json!(false)).contains("tensor `lm_head.weight` is missing"));
    assert!(
        refused("architectures", json!(["Qwen2ForCausalLM"]))
            .contains("`architectures` is not the class of `model_type`")
    );
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let changed = |change: fn(&mut Tensors)| Folder::new().tensors(change).refused();
    let error =
        changed(|tensors| drop(tensors.insert("model.layers.0.extra".into(), (Dtype::F32, vec![1], vec![0; 4]))));
    assert_eq!(error, "model.safetensors: tensor `model.layers.0.extra` is not part of this architecture");
    let error = changed(|tensors| drop(tensors.remove(QUERY)));
    assert_eq!(error, format!("model.safetensors: tensor `{QUERY}` is missing"));
    let error = changed(|tensors| tensors.get_mut(QUERY).unwrap().1 = vec![16, 64]);
    assert_eq!(error, format!("model.safetensors: tensor `{QUERY}` has the shape [16, 64] instead of [32, 32]"));
    let error = changed(|tensors| tensors.get_mut(QUERY).unwrap().1 = vec![2, 16, 32]);
    assert_eq!(error, format!("model.safetensors: tensor `{QUERY}` has 3 dimensions"));
    let error = changed(|tensors| {
        let tensor = tensors.get_mut(QUERY).unwrap();
        (tensor.0, tensor.2) = (Dtype::F8_E4M3, vec![0; 1024]);
    });
    assert!(error.contains(&format!("tensor `{QUERY}` has the element type `F8_E4M3`; known are F32")), "{error}");
    let embedding = "model.embed_tokens.weight";
    let same = Folder::new();
    same.tensors(|tensors| drop(tensors.insert("lm_head.weight".into(), tensors[embedding].clone())));
    same.open().unwrap();
    let error = changed(|tensors| {
        let mut head = tensors["model.embed_tokens.weight"].clone();
        head.2[0] ^= 1;
        tensors.insert("lm_head.weight".into(), head);
    });
    assert!(error.contains("`lm_head.weight` differs from the embedding"), "{error}");
}

#[test]
fn damaged_files_are_refused() {
    let header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        Folder::new().write("model.safetensors", bytes).refused()
    };
    let x = |offsets: &str| format!(r#"{{"x":{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}}}"#);
    assert!(header(&x("[0,8]"), 7).contains("the header does not fit the file"));
    assert!(header(&x("[0,18446744073709551615]"), 8).contains("the header does not fit the file"));
    assert!(header(&x("[8,0]"), 8).contains("the header does not fit the file"));
    let twice = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    assert!(header(twice, 8).contains("the key `x` occurs twice"));
    let folder = Folder::new();
    let error = folder.write("model.safetensors", u64::MAX.to_le_bytes()).refused();
    assert_eq!(error, "model.safetensors: the size of the header is 18446744073709551615, and at most 8388608 is read");
    assert_eq!(folder.write("model.safetensors", [9, 0, 0]).refused(), "model.safetensors: it has fewer than 8 bytes");
    assert_eq!(
        folder.write("model.safetensors", 9_u64.to_le_bytes()).refused(),
        "model.safetensors: its header of 9 bytes is cut off"
    );
    let twice = Folder::new();
    twice.write("config.json", r#"{"vocab_size": 1, "vocab_size": 2}"#);
    assert!(twice.refused().contains("config.json: the key `vocab_size` occurs twice"), "{}", twice.refused());
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let folder = Folder::new();
        std::fs::remove_file(folder.path(name)).unwrap();
        assert_eq!(folder.refused(), format!("{name}: it is missing"));
    }
}

#[test]
fn windows_follow_the_class() {
    let windows = |fields: &[(&str, Value)]| {
        let folder = Folder::new();
        for (name, value) in fields {
            folder.set(name, value.clone());
        }
        folder.open().map(|model| model.shape.windows).map_err(|error| error.to_string())
    };
    let class = |class: &str, kind: &str| [("architectures", json!([class])), ("model_type", json!(kind))];
    let mistral = class("MistralForCausalLM", "mistral");
    let with = |more: &[(&'static str, Value)]| [&mistral[..], more].concat();
    assert_eq!(windows(&with(&[("sliding_window", json!(5))])), Ok(vec![Some(5), Some(5)]));
    assert_eq!(windows(&with(&[("sliding_window", json!(null))])), Ok(vec![None, None]));
    let mixed = json!(["full_attention", "sliding_attention"]);
    assert!(windows(&with(&[("sliding_window", json!(5)), ("layer_types", mixed.clone())])).is_err());
    let unknown = json!(["full_attention", "chunked_attention"]);
    assert!(
        windows(&with(&[("layer_types", unknown)])).unwrap_err().contains("`layer_types` has \"chunked_attention\"")
    );
}
