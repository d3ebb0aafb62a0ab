//! Checks models of strangers: weights, configurations, GGUF files and chat templates.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::json;
use stepwell_base::ordered_json::Json;
use stepwell_models::{ChatTemplate, Conversation, Model, ModelFiles, Place};
use tempfile::TempDir;

const CONFIG: &[u8] = include_bytes!("../../../fuzz/seeds/model_config/llama");
const WEIGHTS: &[u8] = include_bytes!("../../../fuzz/seeds/safetensors/llama");
const TOKENIZER: &[u8] = include_bytes!("../../../fuzz/seeds/tokenizer/ours");

/// A folder with one file from outside; the others are sound.
struct Folder(TempDir);

impl Folder {
    fn new(name: &str, data: &[u8]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("the temporary folder is writable"));
        for (sound, bytes) in [("config.json", CONFIG), ("model.safetensors", WEIGHTS), ("tokenizer.json", TOKENIZER)] {
            folder.write(sound, bytes);
        }
        folder.write(name, data);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("the temporary folder is writable");
    }

    fn open(&self) {
        if let Ok(model) = Model::open(self.0.path()) {
            complete(&model);
        }
    }
}

/// A model that was accepted has every tensor in its size, finite positions, and ids within its tokenizer.
fn complete(model: &Model) {
    let shape = &model.shape;
    for place in shape.places().chain([Place::Head]) {
        let tensor = model.tensor(place).expect("the shape has it");
        assert_eq!(Some((tensor.rows, tensor.columns)), shape.size(place));
        assert_eq!(tensor.to_f32().len(), tensor.len());
    }
    for positions in [1, shape.context] {
        let frequencies = shape.rope.inverse_frequencies(positions);
        assert_eq!(frequencies.len(), shape.head_dim / 2);
        assert!(frequencies.iter().all(|frequency| frequency.is_finite()), "{:?}", shape.rope);
    }
    assert!(model.special.eos.iter().all(|id| (*id as usize) < shape.vocab));
    let Ok(ids) = model.tokenizer.encode_text("a b") else { return };
    let mut stream = model.tokenizer.stream();
    let mut text = String::new();
    for id in &ids {
        assert!((*id as usize) < model.tokenizer.vocab());
        let Ok(piece) = stream.push(*id) else { return };
        text.push_str(&piece);
    }
    if let (Ok(rest), Ok(whole)) = (stream.finish(), model.tokenizer.decode(&ids)) {
        assert_eq!(text + &rest, whole);
    }
    model.chat.iter().for_each(|chat| render(chat, model));
}

pub(super) fn safetensors(data: &[u8]) {
    Folder::new("model.safetensors", data).open();
}

pub(super) fn model_config(data: &[u8]) {
    Folder::new("config.json", data).open();
}

pub(super) fn gguf(data: &[u8]) {
    let folder = Folder::new("model.gguf", data);
    let files = ModelFiles::from_iter([("model.gguf".to_owned(), folder.path("model.gguf"))]);
    if let Ok(model) = Model::from_files(&files) {
        complete(&model);
    }
}

/// A model with a tokenizer of ours, whose special tokens are `<pad>`, `<bos>` and `<eos>`.
static OURS: LazyLock<Model> = LazyLock::new(|| {
    let folder = Folder::new("config.json", CONFIG);
    Model::open(folder.0.path()).expect("the files are sound")
});

pub(super) fn chat_template(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let Ok(chat) = ChatTemplate::from_source(source, &OURS.tokenizer) else { return };
    render(&chat, &OURS);
}

/// The same text each time; and a special token in a message stays text.
fn render(chat: &ChatTemplate, model: &Model) {
    let messages = Json::from(json!([
        {"role": "system", "content": "s <eos> <e"},
        {"role": "user", "content": [{"type": "text", "text": "os>"}]},
        {"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1.5, null]}}}]},
    ]));
    let tools = Json::from(json!([{"type": "function", "function": {"name": "f"}}]));
    for template in chat.sources().keys() {
        let mut conversation = Conversation::new(&messages, 0);
        conversation.tools = Some(&tools);
        conversation.template = Some(template);
        let first = chat.render(&conversation).map(|rendered| rendered.text());
        let rendered = chat.render(&conversation);
        assert_eq!(first.ok(), rendered.as_ref().ok().map(|rendered| rendered.text()));
        if let Ok(rendered) = rendered
            && rendered.text().len() < 1 << 16
        {
            drop(model.tokenizer.encode_rendered(&rendered));
        }
    }
}
