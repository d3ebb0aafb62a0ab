//! A tokenizer in two forms: one in which special tokens are text, and one for rendered chat templates.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use tokenizers::{AddedToken, Encoding, Tokenizer as Library};

use crate::chat::Rendered;
use crate::error::Problem;

use super::example::Example;
use super::marks::{LEARNED, Marks};
use super::spelling::Spelling;
use super::stream::TokenStream;

/// Converts text to token ids and back.
pub struct Tokenizer {
    /// Special tokens in a text are text.
    plain: Library,
    /// Special tokens have the names of [`Marks`], so that only the template can write them.
    templates: Library,
    /// Ids of special tokens in `templates`, each with its real id.
    real_ids: HashMap<u32, u32>,
    special: BTreeSet<u32>,
    marks: Marks,
    spelling: Spelling,
    /// One more than the largest id.
    vocab: usize,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokenizer").field("vocab", &self.vocab).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// `Tokenizer` when it is damaged or of a version that is not known.
    pub fn from_json(json: &[u8]) -> Result<Tokenizer, Problem> {
        let library = Library::from_bytes(json).map_err(|error| Problem::Tokenizer(error.to_string()))?;
        Tokenizer::new(library)
    }

    pub(crate) fn new(mut plain: Library) -> Result<Tokenizer, Problem> {
        let failed = |error: tokenizers::Error| Problem::Tokenizer(error.to_string());
        plain.with_padding(None);
        plain.with_truncation(None).map_err(failed)?;
        plain.set_encode_special_tokens(true);
        let mut added: Vec<(u32, AddedToken)> = plain.get_added_tokens_decoder().into_iter().collect();
        added.sort_unstable_by_key(|(id, _)| *id);
        let special: BTreeSet<u32> = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        let marks = Marks::new(added.iter().map(|(id, token)| (token.content.as_str(), token.special.then_some(*id))));
        let mut templates = Library::new(plain.get_model().clone());
        templates.with_normalizer(plain.get_normalizer().cloned()).map_err(failed)?;
        templates.with_pre_tokenizer(plain.get_pre_tokenizer().cloned());
        // Without a post-processor: it would add nothing, and leave white space out of the places of tokens.
        let renamed = added.iter().map(|(id, token)| match token.special {
            false => token.clone(),
            true => AddedToken { content: Marks::name(*id), single_word: false, normalized: false, ..token.clone() },
        });
        templates.add_tokens(renamed).map_err(failed)?;
        let inner_id = |id: &u32| templates.token_to_id(&Marks::name(*id)).map(|inner| (inner, *id));
        let real_ids = special.iter().filter_map(inner_id).collect();
        let vocab = plain.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        let spelling = Spelling::of(&plain);
        Ok(Tokenizer { plain, templates, real_ids, special, marks, spelling, vocab })
    }

    /// Encodes a prompt. Special tokens in it are text; the tokenizer adds those that start or end a text.
    ///
    /// # Errors
    /// `Encoding` when the library fails, or produces a special token from text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, Problem> {
        let encoding = self.encode(text)?;
        let encoding = self.plain.post_process(encoding, None, true).map_err(|error| failed(&error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes a part of a text as [`Tokenizer::encode_text`], and adds nothing.
    ///
    /// # Errors
    /// As `encode_text`.
    pub fn encode_fragment(&self, text: &str) -> Result<Vec<u32>, Problem> {
        Ok(self.encode(text)?.get_ids().to_vec())
    }

    fn encode(&self, text: &str) -> Result<Encoding, Problem> {
        let encoding = self.plain.encode_fast(text, false).map_err(|error| failed(&error))?;
        match encoding.get_ids().iter().find(|id| self.special.contains(id)) {
            None => Ok(encoding),
            Some(id) => {
                let token = self.plain.id_to_token(*id).unwrap_or_default();
                Err(Problem::Encoding(format!("the tokenizer makes the special token `{token}` from plain text")))
            }
        }
    }

    /// Encodes a rendered chat. Special tokens that the template wrote are special; those in messages are text.
    ///
    /// # Errors
    /// `Encoding` when the library fails.
    pub fn encode_rendered(&self, rendered: &Rendered) -> Result<Vec<u32>, Problem> {
        let renamed = self.marks.rename(rendered.marked());
        let encoding = self.templates.encode_fast(renamed, false).map_err(|error| failed(&error))?;
        Ok(encoding.get_ids().iter().map(|id| *self.real_ids.get(id).unwrap_or(id)).collect())
    }

    /// Encodes a rendered conversation, and tells which tokens are learned.
    ///
    /// # Errors
    /// `Boundary` when a token is partly answer and partly not, `Encoding` when the library fails.
    pub fn encode_learned(&self, rendered: &Rendered) -> Result<Example, Problem> {
        let (renamed, learned) = self.marks.rename_learned(rendered.marked());
        let encoding = self.templates.encode(renamed.as_str(), false).map_err(|error| failed(&error))?;
        let mut example = Example::of(&encoding, &renamed, &learned)?;
        for id in &mut example.ids {
            *id = *self.real_ids.get(id).unwrap_or(id);
        }
        Ok(example)
    }

    /// Encodes a prompt and its completion as one text, of which the completion is learned. Special tokens in it are
    /// text; those with which the tokenizer starts a text are in front.
    ///
    /// # Errors
    /// As `encode_learned`, and `Encoding` when text gives a special token.
    pub fn encode_completion(&self, prompt: &str, completion: &str) -> Result<Example, Problem> {
        let text = format!("{prompt}{completion}");
        let started = self.encode_text(&text)?;
        let marked = format!(
            "{}{}{}{}",
            self.marks.break_tokens(prompt),
            LEARNED.0,
            self.marks.break_tokens(completion),
            LEARNED.1
        );
        let (renamed, learned) = self.marks.rename_learned(&marked);
        let encoding = self.templates.encode(renamed, false).map_err(|error| failed(&error))?;
        let mut example = Example::of(&encoding, &text, &learned)?;
        let place = started.windows(example.ids.len().max(1)).position(|ids| ids == example.ids);
        let Some(place) = place.or(example.ids.is_empty().then_some(0)) else {
            return Err(Problem::Encoding("the tokenizer changes a text that it starts".to_owned()));
        };
        example.start_with(&started[..place]);
        Ok(example)
    }

    /// Decodes ids, and leaves out special tokens.
    ///
    /// # Errors
    /// `Encoding` when the library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Problem> {
        self.plain.decode(ids, true).map_err(|error| failed(&error))
    }

    /// Decodes ids one by one into text that is complete so far.
    pub fn stream(&self) -> TokenStream<'_> {
        TokenStream::new(self)
    }

    /// One more than the largest id; a model may have more rows.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.plain.token_to_id(token)
    }

    /// The token as the vocabulary spells it.
    pub fn name_of(&self, id: u32) -> Option<String> {
        self.plain.id_to_token(id)
    }

    /// True for a token that was added to the vocabulary and is no special one.
    pub fn is_added(&self, id: u32) -> bool {
        !self.is_special(id) && self.plain.get_added_vocabulary().get_added_tokens_decoder().contains_key(&id)
    }

    /// The tokenizer as `tokenizer.json`.
    ///
    /// # Errors
    /// `Tokenizer` when the library fails.
    pub fn to_json(&self) -> Result<serde_json::Value, Problem> {
        serde_json::to_value(&self.plain).map_err(|error| Problem::Tokenizer(error.to_string()))
    }

    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// Bytes of the text that a token stands for. They may be part of a character; special tokens and unknown ids
    /// have none.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        match self.plain.get_added_vocabulary().get_added_tokens_decoder().get(&id) {
            Some(token) if token.special => Vec::new(),
            Some(token) => token.content.clone().into_bytes(),
            None => self.plain.id_to_token(id).map_or_else(Vec::new, |piece| self.spelling.bytes(&piece)),
        }
    }

    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }
}

fn failed(error: &tokenizers::Error) -> Problem {
    Problem::Encoding(error.to_string())
}
