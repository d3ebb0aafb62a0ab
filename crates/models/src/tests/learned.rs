//! Tests the mask of learned tokens in conversations and completions.

use std::path::Path;

use serde_json::{Value, json};
use stepwell_base::ordered_json::Json;

use crate::chat::{ChatTemplate, Conversation};
use crate::{Example, Model, Problem};

const IM_END: u32 = 2;

fn model() -> Model {
    Model::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/tiny_qwen2.gguf")).unwrap()
}

/// Text of the learned tokens; special ones have none.
fn learned(model: &Model, example: &Example) -> String {
    let ids = example.ids.iter().zip(&example.learned).filter(|(_, learned)| **learned);
    let bytes: Vec<u8> = ids.flat_map(|(id, _)| model.tokenizer.token_bytes(*id)).collect();
    String::from_utf8(bytes).unwrap()
}

fn example(model: &Model, chat: &ChatTemplate, messages: Value, first: usize) -> Result<Example, Problem> {
    let messages = Json::from(messages);
    let rendered = chat.render_learned(&Conversation::new(&messages, 0), first)?;
    let example = model.tokenizer.encode_learned(&rendered)?;
    // The same tokens as those of an inference.
    assert_eq!(example.ids, model.tokenizer.encode_rendered(&rendered)?);
    assert_eq!(example.ids.len(), example.learned.len());
    Ok(example)
}

#[test]
fn the_answers_of_a_conversation_are_learned_with_their_end() {
    let model = model();
    let chat = &ChatTemplate::from_source(include_str!("chat/templates/chatml.jinja"), &model.tokenizer).unwrap();
    let messages = json!([
        {"role": "user", "content": "a <|im_end|> b"},
        {"role": "assistant", "content": "caf\u{e9} \u{1f600}"},
        {"role": "user", "content": "more"},
        {"role": "assistant", "content": "yes"},
    ]);
    let both = example(&model, chat, messages.clone(), 0).unwrap();
    assert_eq!(learned(&model, &both), "caf\u{e9} \u{1f600}\nyes\n");
    let ends = both.ids.iter().zip(&both.learned).filter(|(id, learned)| **id == IM_END && **learned).count();
    assert_eq!(ends, 2, "the ends of answers are learned, those of the user's messages are not");
    let last = example(&model, chat, messages, 2).unwrap();
    assert_eq!(learned(&model, &last), "yes\n");
}

#[test]
fn a_template_that_marks_its_answers_decides() {
    let model = model();
    let source = "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}\
                  {% generation %} {{ m.content | trim }}{% endgeneration %}{% else %}{{ m.content }}{% endif %};{% endfor %}";
    let chat = ChatTemplate::from_source(source, &model.tokenizer).unwrap();
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": " ho "}]);
    let rendered = chat.render(&Conversation::new(&Json::from(messages.clone()), 0)).unwrap();
    assert_eq!(rendered.text(), "user:hi;assistant: ho;", "no mark is seen");
    let example = example(&model, &chat, messages, 0).unwrap();
    assert_eq!(learned(&model, &example), " ho");
}

#[test]
fn what_cannot_be_marked_exactly_is_refused() {
    let model = model();
    let own = model.chat.as_ref().unwrap();
    let none = example(&model, own, json!([{"role": "user", "content": "hi"}]), 0).unwrap_err();
    assert!(none.to_string().contains("no message of the assistant"), "{none}");
    // Prints the last answer in full and the earlier ones shortened, as templates of reasoning models do.
    let source =
        "{% for m in messages %}{% if loop.last %}{{ m.content }}{% else %}{{ m.content[:1] }}{% endif %}{% endfor %}";
    let chat = ChatTemplate::from_source(source, &model.tokenizer).unwrap();
    let messages = json!([
        {"role": "assistant", "content": "abc"}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "d"}
    ]);
    let changed = example(&model, &chat, messages, 0).unwrap_err();
    assert!(changed.to_string().contains("message 1") && changed.to_string().contains("generation"), "{changed}");
}

#[test]
fn the_end_of_a_prompt_is_the_end_of_a_token_or_refused() {
    let model = model();
    let tokens = |text: &str| model.tokenizer.encode_text(text).unwrap();
    let whole = model.tokenizer.encode_completion("the cat ", "sat <|im_end|>").unwrap_err();
    assert!(matches!(&whole, Problem::Boundary(token) if token == " s" || token == " sat" || token == " "), "{whole}");
    let example = model.tokenizer.encode_completion("the cat", " sat <|im_end|>").unwrap();
    assert_eq!(example.ids, tokens("the cat sat <|im_end|>"), "a special token in a text is text");
    assert_eq!(learned(&model, &example), " sat <|im_end|>");
    for (prompt, completion) in [("", "all of it"), ("caf\u{e9}", "\u{1f600}!"), ("x", "")] {
        let example = model.tokenizer.encode_completion(prompt, completion).unwrap();
        assert_eq!(
            (&example.ids, learned(&model, &example)),
            (&tokens(&format!("{prompt}{completion}")), completion.to_owned())
        );
    }
}
