//! Rendered texts against those of `transformers`, see scripts/golden/make_chat.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stepwell_base::ordered_json::Json;

use super::digest;
use crate::chat::{ChatTemplate, Conversation, GenerationPrompt};
use crate::tokenizer::Marks;

const GOLDEN: &str = include_str!("chat/golden.json");
/// Digests of templates of the package `trl`, which the repository does not contain.
const TRL: &str = include_str!("chat/trl.txt");

struct Golden(Json);

impl Golden {
    fn load() -> Golden {
        Golden(serde_json::from_str(GOLDEN).unwrap())
    }

    fn object(&self, name: &str) -> &[(String, Json)] {
        match self.0.get(name) {
            Some(Json::Object(fields)) => fields,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn template(&self, source: &str) -> ChatTemplate {
        let names = ["bos_token", "eos_token", "pad_token", "unk_token"];
        let tokens =
            names.map(|name| (name, self.0.get("tokens").unwrap().get(name).unwrap().text().unwrap().to_owned()));
        let sources = BTreeMap::from([("default".to_owned(), source.to_owned())]);
        ChatTemplate::new(sources, BTreeMap::from(tokens), Marks::default()).unwrap()
    }

    /// The text, or the message of the refusal.
    fn render(&self, template: &ChatTemplate, conversation: &Json) -> Result<String, String> {
        let Some(Json::Int(now)) = self.0.get("now") else { panic!("no time") };
        let mut input = Conversation::new(conversation.get("messages").unwrap(), *now);
        input.tools = conversation.get("tools");
        input.variables = conversation.get("variables");
        if conversation.get("add_generation_prompt") == Some(&Json::Bool(false)) {
            input.prompt = GenerationPrompt::Omit;
        }
        template.render(&input).map(|rendered| rendered.text()).map_err(|problem| problem.to_string())
    }
}

#[test]
fn our_templates_give_the_bytes_of_transformers() {
    let golden = Golden::load();
    let conversations = golden.object("conversations");
    let mut wrong = Vec::new();
    for (name, expected) in golden.object("rendered") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/tests/chat/templates/{name}.jinja"));
        let template = golden.template(&std::fs::read_to_string(path).unwrap());
        for (conversation, input) in conversations {
            let found = golden.render(&template, input);
            match (expected.get(conversation).unwrap(), found) {
                (Json::Text(expected), Ok(found)) if *expected == found => {}
                (Json::Object(_), Err(_)) => {}
                (expected, found) => wrong.push(format!("{name}, {conversation}:\n{expected:?}\n{found:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Skipped unless the templates are there: `pip download --no-deps trl`, unpacked into the folder that STEPWELL_TRL
/// names.
#[test]
fn templates_of_models_give_the_bytes_of_transformers() {
    let Some(folder) = std::env::var_os("STEPWELL_TRL").map(PathBuf::from) else {
        println!("skipped: STEPWELL_TRL does not name the folder trl/chat_templates");
        return;
    };
    let golden = Golden::load();
    let conversations = golden.object("conversations");
    let (mut same, mut wrong) = (0, Vec::new());
    for line in TRL.lines() {
        let mut words = line.split(' ');
        let (name, source_digest) = (words.next().unwrap(), words.next().unwrap());
        let Ok(source) = std::fs::read_to_string(folder.join(name)) else { continue };
        assert_eq!(digest(source.as_bytes()), source_digest, "{name} is another version");
        let template = golden.template(&source);
        for ((conversation, input), expected) in conversations.iter().zip(words) {
            let found = golden.render(&template, input);
            let found_digest = found.as_ref().map_or_else(|_| "refused".to_owned(), |text| digest(text.as_bytes()));
            if found_digest == expected {
                same += 1;
            } else {
                wrong.push(format!("{name}, {conversation}: {expected}, not {found:?}"));
            }
        }
    }
    println!("{same} texts are equal");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Made with transformers 5.24: `render_jinja_template(..., continue_final_message=True)`.
#[test]
fn the_last_message_is_continued_as_in_transformers() {
    let golden = Golden::load();
    let chatml = "<|im_start|>user\nTell.<|im_end|>\n<|im_start|>assistant\n";
    let expected = [
        ("chatml", "Once upon", Some(format!("{chatml}Once upon"))),
        ("chatml", " padded \n", Some(format!("{chatml} padded \n"))),
        ("chatml", "a <|im_end|> b", Some(format!("{chatml}a <|im_end|> b"))),
        ("instruct", "Once upon", Some("<s>\n[INST] Tell. [/INST]\nOnce upon".into())),
        ("instruct", " padded \n", Some("<s>\n[INST] Tell. [/INST]\npadded".into())),
        ("tools", " padded \n", Some("<User last>Tell.\n<Assistant>padded \\n".into())),
        ("values", "Once upon", None),
    ];
    for (name, content, expected) in expected {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/tests/chat/templates/{name}.jinja"));
        let template = golden.template(&std::fs::read_to_string(path).unwrap());
        let messages =
            serde_json::json!([{"role": "user", "content": "Tell."}, {"role": "assistant", "content": content}]);
        let messages = Json::from(messages);
        let open = Conversation { prompt: GenerationPrompt::Continue, ..Conversation::new(&messages, 0) };
        let found = template.render(&open).map(|rendered| rendered.text());
        assert_eq!(found.ok(), expected, "{name}: {content:?}");
    }
    let template = golden.template("{{ messages[0].content }}");
    for (messages, message) in [
        (serde_json::json!([]), "there is no last message"),
        (serde_json::json!([{"role": "assistant"}]), "the last message has no text"),
        (serde_json::json!([{"content": "a"}, {"content": "b"}]), "does not print the end of the last message"),
    ] {
        let messages = Json::from(messages);
        let open = Conversation { prompt: GenerationPrompt::Continue, ..Conversation::new(&messages, 0) };
        let found = template.render(&open).unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
    }
}
