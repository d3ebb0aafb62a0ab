//! Messages of `tensorboard/compat/proto/{event,summary,tensor}.proto` and of two plugins, as far as we write them.

use crate::wire::{Field, Message, fields};

/// The numbers of one training step, by tag.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Row {
    pub train_step: u64,
    pub values: Vec<(String, f32)>,
    pub texts: Vec<Text>,
}

/// A text, which TensorBoard shows as Markdown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    pub tag: String,
    pub markdown: String,
}

/// A parameter of a run, for the table of hyperparameters.
#[derive(Clone, PartialEq, Debug)]
pub enum Hyperparameter {
    Number(f64),
    Flag(bool),
    Text(String),
}

// Fields of `Event`.
const WALL_TIME: u64 = 1;
const STEP: u64 = 2;
const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;
const SESSION_LOG: u64 = 7;
// Of `Summary` and `Summary.Value`.
const VALUE: u64 = 1;
const TAG: u64 = 1;
const SIMPLE_VALUE: u64 = 2;
const TENSOR: u64 = 8;
const METADATA: u64 = 9;
// Of `SessionLog`, with its only status that we need.
const STATUS: u64 = 1;
const START: u64 = 1;

/// The tag of the parameters as a text.
const PARAMETERS: &str = "parameters";

const TENSORS: u64 = 2;
const FLOAT: u64 = 1;
const STRING: u64 = 7;

/// The first record of every file.
pub(crate) fn version(wall_time: f64) -> Vec<u8> {
    Message::default().double(WALL_TIME, wall_time).text(FILE_VERSION, "brain.Event:2").finish()
}

/// Voids everything from a training step on. Readers that run already drop it when they come to this record.
pub(crate) fn session_start(wall_time: f64, from: u64) -> Vec<u8> {
    let log = Message::default().integer(STATUS, START);
    Message::default().double(WALL_TIME, wall_time).integer(STEP, from).message(SESSION_LOG, log).finish()
}

/// All values of a row in one record.
pub(crate) fn row(wall_time: f64, row: &Row) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in &row.values {
        summary = summary.message(VALUE, Message::default().text(TAG, tag).float(SIMPLE_VALUE, *value));
    }
    for text in &row.texts {
        summary = summary.message(VALUE, text_value(text));
    }
    event(wall_time, row.train_step, summary)
}

fn text_value(text: &Text) -> Message {
    let shape = Message::default();
    let tensor = Message::default().integer(1, STRING).message(2, shape).text(8, &text.markdown);
    let metadata = Message::default().message(1, Message::default().text(1, "text")).integer(4, TENSORS);
    Message::default().text(TAG, &text.tag).message(TENSOR, tensor).message(METADATA, metadata)
}

/// The parameters of a run as a session of the plugin `hparams`.
pub(crate) fn session(wall_time: f64, group: &str, parameters: &[(String, Hyperparameter)]) -> Vec<u8> {
    let mut info = Message::default();
    for (name, value) in parameters {
        let value = match value {
            Hyperparameter::Number(number) => Message::default().double(2, *number),
            Hyperparameter::Text(text) => Message::default().text(3, text),
            Hyperparameter::Flag(flag) => Message::default().integer(4, u64::from(*flag)),
        };
        info = info.message(1, Message::default().text(1, name).message(2, value));
    }
    let info = info.text(4, group).double(5, wall_time);
    let content = Message::default().message(3, info).finish();
    let plugin = Message::default().text(1, "hparams").bytes(2, &content);
    let shape = Message::default().message(2, Message::default());
    let tensor = Message::default().integer(1, FLOAT).message(2, shape);
    let value = Message::default()
        .text(TAG, "_hparams_/session_start_info")
        .message(TENSOR, tensor)
        .message(METADATA, Message::default().message(1, plugin));
    event(wall_time, 0, Message::default().message(VALUE, value))
}

/// The parameters of a run as a table, for people who do not open the plugin `hparams`.
pub(crate) fn parameters(wall_time: f64, parameters: &[(String, Hyperparameter)]) -> Vec<u8> {
    let mut markdown = String::new();
    for (name, value) in parameters {
        let value = match value {
            Hyperparameter::Number(number) => number.to_string(),
            Hyperparameter::Flag(flag) => flag.to_string(),
            Hyperparameter::Text(text) => text.clone(),
        };
        markdown.push_str(&preformatted(&format!("{name} = {value}")));
    }
    let text = Text { tag: PARAMETERS.to_owned(), markdown };
    event(wall_time, 0, Message::default().message(VALUE, text_value(&text)))
}

/// Markdown that shows a text as it is: every line is indented.
pub fn preformatted(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn event(wall_time: f64, step: u64, summary: Message) -> Vec<u8> {
    let event = Message::default().double(WALL_TIME, wall_time);
    // A field that is zero is left out, as other writers do.
    let event = if step == 0 { event } else { event.integer(STEP, step) };
    event.message(SUMMARY, summary).finish()
}

/// The row of a record; `None` for the records at the start of a file.
pub(crate) fn read_row(record: &[u8]) -> Option<Row> {
    let (mut found, mut is_row) = (Row::default(), false);
    for (number, field) in fields(record) {
        match (number, field) {
            (STEP, Field::Integer(step)) => found.train_step = step,
            (SUMMARY, Field::Bytes(summary)) => {
                for (_, value) in fields(summary) {
                    let Field::Bytes(value) = value else { continue };
                    is_row |= read_value(value, &mut found);
                }
            }
            _ => {}
        }
    }
    is_row.then_some(found)
}

/// Adds a value to a row; false if it is none of a row.
fn read_value(value: &[u8], row: &mut Row) -> bool {
    let (mut tag, mut number, mut text) = (None, None, None);
    for field in fields(value) {
        match field {
            (TAG, Field::Bytes(bytes)) => tag = String::from_utf8(bytes.to_vec()).ok(),
            (SIMPLE_VALUE, Field::Float(value)) => number = Some(value),
            (TENSOR, Field::Bytes(tensor)) => {
                let string = fields(tensor).find(|(number, _)| *number == 8);
                if let Some((_, Field::Bytes(bytes))) = string {
                    text = String::from_utf8(bytes.to_vec()).ok();
                }
            }
            _ => {}
        }
    }
    match (tag, number, text) {
        (Some(tag), Some(value), _) => row.values.push((tag, value)),
        (Some(tag), None, Some(markdown)) if tag != PARAMETERS => row.texts.push(Text { tag, markdown }),
        _ => return false,
    }
    true
}
