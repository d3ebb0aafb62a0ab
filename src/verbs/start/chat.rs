//! `stepwell chat --model MODEL [MESSAGE]`

use std::io::{BufRead, IsTerminal, Read};
use std::ops::ControlFlow;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};

use crate::drive::model_source::{find_model, model_files};
use crate::drive::queue::stop_flag::StopFlag;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_batch::body::{Body, Endpoint};
use stepwell_models::Model;
use stepwell_steps::{ChatModel, Reply};

/// Longest message that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// Talk with a model in the terminal
///
/// Prints the answer as it comes, and keeps the conversation: `/new` starts another, `/exit` or Ctrl-D ends. With MESSAGE,
/// or with text on standard input, it answers once: `cat notes.txt | stepwell chat --model MODEL > summary.txt`. With
/// `--lines`, each line of standard input is a message of one conversation.
#[derive(Args, Clone, Debug)]
pub struct ChatArgs {
    /// Message to answer; standard input follows it, if that is no terminal
    #[arg(value_name = "MESSAGE")]
    pub message: Option<String>,
    /// Answer each line of standard input, in one conversation
    #[arg(long, conflicts_with = "message")]
    pub lines: bool,
    /// Hugging Face folder, GGUF file, run with a model (also `WORKFLOW@last`), or output RUN/STEP/NAME
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,
    /// Instruction that comes before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system: Option<String>,
    /// Type in which the weights are kept and multiplied
    #[arg(long, value_name = "TYPE", default_value = "q8_0", value_parser = PossibleValuesParser::new(["f32", "bf16", "q8_0"]))]
    pub dtype: String,
    /// Maximum number of tokens of an answer [default: to the end of the context]
    #[arg(short = 'n', long, value_name = "N")]
    pub max_tokens: Option<u64>,
    /// Randomness of the choice; 0 always picks the likeliest token [default: the model's own]
    #[arg(short, long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Sample only from the k likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<u64>,
    /// Sample only from the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Sample only tokens at least this share as likely as the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f64>,
    /// Scores of tokens that are there already are divided by this
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f64>,
    /// Text that ends an answer (repeatable)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Seed of the random choices; the same seed gives the same answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

pub fn chat(session: &Session, args: &ChatArgs) -> Result<Exit, CliError> {
    let (name, message) = model_and_message(session, args)?;
    let args = &ChatArgs { model: Some(name.clone()), message, ..args.clone() };
    let source = find_model(session, &name)?;
    // Wrong options are told before minutes of loading.
    Conversation::new(args).request("x")?;
    let model = Model::from_files(&model_files(session, &source)?).map_err(CliError::failed)?;
    let mut talk = Talk {
        session,
        model: ChatModel::open(&model, &args.dtype)?,
        conversation: Conversation::new(args),
        stop: StopFlag::catch()?,
        seed: args.seed,
    };
    let typed = std::io::stdin().is_terminal();
    match (&args.message, typed) {
        (None, false) if args.lines => return talk.in_lines(),
        (Some(message), true) => talk.answer(message)?,
        (message, false) => {
            let input = read_all()?;
            let parts: Vec<&str> = message.as_deref().into_iter().chain(Some(input.trim_end())).collect();
            let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
            if text.is_empty() {
                return Err(CliError::usage("there is nothing to answer").hint("write a message, or pipe one in"));
            }
            talk.answer(&text)?
        }
        (None, true) => return talk.in_terminal(),
    };
    Ok(Exit::Ok)
}

/// The model, and the message. Without `--model`, a word that names a model is no message: `stepwell chat ./model`.
fn model_and_message(session: &Session, args: &ChatArgs) -> Result<(String, Option<String>), CliError> {
    match (&args.model, &args.message) {
        (Some(model), message) => Ok((model.clone(), message.clone())),
        (None, Some(word)) if find_model(session, word).is_ok() => Ok((word.clone(), None)),
        (None, _) => Err(CliError::usage("which model? `--model` is missing").hint(
            "`stepwell chat --model MODEL`: a Hugging Face folder, a GGUF file, or a run that trained or imported a model",
        )),
    }
}

/// What has been said, and how answers are sampled.
struct Conversation {
    system: Option<String>,
    messages: Vec<Value>,
    options: Map<String, Value>,
}

impl Conversation {
    fn new(args: &ChatArgs) -> Conversation {
        let options = json!({
            "model": args.model,
            "max_completion_tokens": args.max_tokens,
            "temperature": args.temperature,
            "top_k": args.top_k,
            "top_p": args.top_p,
            "min_p": args.min_p,
            "repetition_penalty": args.repetition_penalty,
            "stop": args.stop,
        });
        let Value::Object(options) = options else { unreachable!("an object is written above") };
        let mut conversation = Conversation { system: args.system.clone(), messages: Vec::new(), options };
        conversation.start();
        conversation
    }

    fn start(&mut self) {
        self.messages = self.system.iter().map(|text| json!({"role": "system", "content": text})).collect();
    }

    /// The request for an answer to `message`, in the form of the API and with its limits.
    fn request(&self, message: &str) -> Result<Body, CliError> {
        let mut body = self.options.clone();
        let mut messages = self.messages.clone();
        messages.push(json!({"role": "user", "content": message}));
        body.insert("messages".to_owned(), Value::from(messages));
        Body::parse(Endpoint::ChatCompletions, body).map_err(CliError::usage)
    }

    fn said(&mut self, message: &str, answer: &str) {
        self.messages.push(json!({"role": "user", "content": message}));
        self.messages.push(json!({"role": "assistant", "content": answer}));
    }
}

struct Talk<'a, 'm> {
    session: &'a Session,
    model: ChatModel<'m>,
    conversation: Conversation,
    stop: StopFlag,
    seed: u64,
}

impl Talk<'_, '_> {
    fn in_terminal(&mut self) -> Result<Exit, CliError> {
        let out = &self.session.out;
        out.message("hint: /new starts another conversation, /exit or Ctrl-D ends");
        loop {
            out.piece("> ")?;
            let line = read_line()?.filter(|_| !self.stop.is_raised());
            let Some(line) = line else {
                out.piece("\n")?;
                return Ok(Exit::Ok);
            };
            match line.trim() {
                "" => {}
                "/exit" | "/quit" => return Ok(Exit::Ok),
                "/new" => self.conversation.start(),
                message => {
                    if let Err(error) = self.answer(message) {
                        // The conversation goes on with another message.
                        out.error(&error);
                    }
                    if self.stop.is_raised() {
                        self.stop = StopFlag::catch()?;
                    }
                }
            }
        }
    }

    /// Answers line by line; the first message that cannot be answered ends it.
    fn in_lines(&mut self) -> Result<Exit, CliError> {
        while let Some(line) = read_line()? {
            match line.trim() {
                "" => {}
                "/exit" | "/quit" => break,
                "/new" => self.conversation.start(),
                message => self.answer(message)?,
            }
            if self.stop.is_raised() {
                break;
            }
        }
        Ok(Exit::Ok)
    }

    fn answer(&mut self, message: &str) -> Result<(), CliError> {
        let out = &self.session.out;
        let body = self.conversation.request(message)?;
        let (mut printed, stop, json) = (Ok(()), &self.stop, out.is_json());
        let see = |piece: &str| {
            if !json {
                printed = out.piece(piece);
            }
            if printed.is_err() || stop.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let reply = self.model.reply(&body, self.seed, see).map_err(CliError::failed)?;
        printed?;
        let Reply { text, finish_reason, usage, seconds } = reply;
        self.conversation.said(message, &text);
        if !json {
            return out.piece("\n");
        }
        let speed = usage.completion_tokens as f64 / seconds.max(1e-3);
        out.json_line(&json!({
            "schema": 1,
            "type": "message",
            "role": "assistant",
            "content": text,
            "finish_reason": finish_reason,
            "usage": usage,
            "tokens_per_second": (speed * 10.0).round() / 10.0,
        }))
        .map(drop)
    }
}

/// The next line; `None` at the end of the input.
fn read_line() -> Result<Option<String>, CliError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_line(&mut line);
    let bytes = read.map_err(|error| CliError::usage(format!("cannot read the message: {error}")))?;
    if bytes as u64 > LONGEST {
        return Err(too_long());
    }
    Ok((bytes > 0).then_some(line))
}

fn too_long() -> CliError {
    CliError::usage(format!("the message has more than {} MiB", LONGEST >> 20))
}

fn read_all() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|error| CliError::usage(format!("cannot read the message: {error}")))?;
    if text.len() as u64 > LONGEST {
        return Err(too_long());
    }
    Ok(text)
}
