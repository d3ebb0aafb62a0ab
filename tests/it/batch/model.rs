//! Small models with random weights, as folders of Hugging Face: a byte-level tokenizer, some layers of Llama, ChatML.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// All bytes and two special tokens.
const VOCAB: usize = 258;

pub struct Shape {
    pub hidden: usize,
    pub ffn: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub context: usize,
}

const TINY: Shape = Shape { hidden: 32, ffn: 64, layers: 2, heads: 4, kv_heads: 2, context: 512 };

const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

pub fn tiny_model(folder: &Path) {
    model_of(folder, &TINY);
}

pub fn model_of(folder: &Path, shape: &Shape) {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, value: Value| fs::write(folder.join(name), value.to_string()).unwrap();
    write(
        "config.json",
        json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": shape.hidden,
            "intermediate_size": shape.ffn, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads, "max_position_embeddings": shape.context, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu", "eos_token_id": 257,
            "bos_token_id": null, "torch_dtype": "float32",
        }),
    );
    write("tokenizer.json", tokenizer());
    write(
        "tokenizer_config.json",
        json!({"chat_template": TEMPLATE, "eos_token": "<|im_end|>", "model_max_length": shape.context}),
    );
    fs::write(folder.join("model.safetensors"), weights(shape)).unwrap();
}

/// GPT-2's spelling of bytes as printable characters.
fn spelled(byte: u8) -> char {
    let is_plain = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if is_plain(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !is_plain(*other)).count() as u32;
    char::from_u32(256 + before).unwrap()
}

fn tokenizer() -> Value {
    let mut vocab: Map<String, Value> = (0..=255_u8).map(|byte| (spelled(byte).to_string(), json!(byte))).collect();
    let special = ["<|im_start|>", "<|im_end|>"];
    let mut added = Vec::new();
    for (id, token) in (256..).zip(special) {
        vocab.insert(token.to_owned(), json!(id));
        added.push(json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true,
        }));
    }
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": [],
        },
    })
}

/// Numbers around zero from a fixed sequence, so that every test has the same model.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, scale: f32) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1_u64 << 24) as f32 - 0.5) * 2.0 * scale
    }
}

fn weights(shape: &Shape) -> Vec<u8> {
    let (hidden, ffn) = (shape.hidden, shape.ffn);
    let of_keys = hidden / shape.heads * shape.kv_heads;
    let norm = |name: &str| (format!("{name}.weight"), vec![hidden]);
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![VOCAB, hidden]), norm("model.norm")];
    for layer in 0..shape.layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let matrix = |part: &str, rows: usize, columns: usize| (name(part) + ".weight", vec![rows, columns]);
        tensors.extend([
            norm(&name("input_layernorm")),
            norm(&name("post_attention_layernorm")),
            matrix("self_attn.q_proj", hidden, hidden),
            matrix("self_attn.k_proj", of_keys, hidden),
            matrix("self_attn.v_proj", of_keys, hidden),
            matrix("self_attn.o_proj", hidden, hidden),
            matrix("mlp.gate_proj", ffn, hidden),
            matrix("mlp.up_proj", ffn, hidden),
            matrix("mlp.down_proj", hidden, ffn),
        ]);
    }
    let (mut header, mut data, mut numbers) = (Map::new(), Vec::new(), Numbers(17));
    for (name, shape) in tensors {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            let number = if shape.len() == 1 { 1.0 } else { numbers.next(0.5) };
            data.extend_from_slice(&number.to_le_bytes());
        }
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    let padded = header.len().next_multiple_of(8);
    let mut file = (padded as u64).to_le_bytes().to_vec();
    file.extend_from_slice(format!("{header:padded$}").as_bytes());
    file.extend(data);
    file
}
