//! Reads a file: keys, then the list of tensors, then their bytes.

use std::collections::BTreeMap;

use crate::chat::ChatTemplate;
use crate::error::{ModelError, Problem, shown};
use crate::model::Model;
use crate::shape::{Part, Place, Shape};
use crate::source::{MappedFile, ModelFiles};
use crate::special::{GenerationDefaults, SpecialTokens};
use crate::tensor::{Located, RowOrder, Stored, Weights};

use super::metadata::{Metadata, Value};
use super::reader::Reader;
use super::rope;
use super::shape::{Family, shape};
use super::{names, tokenizer};

const MAGIC: &[u8; 4] = b"GGUF";
const KEYS: u64 = 1 << 16;
const TENSORS: u64 = 1 << 16;
const NAME: u64 = 256;
const DIMENSIONS: u32 = 4;
/// Where tensors start, unless the file says otherwise.
const ALIGNMENT: usize = 32;
const MOST_ALIGNMENT: usize = 1 << 20;

/// A tensor as the file lists it.
pub struct Entry<'a> {
    pub name: &'a str,
    /// Rows and columns; a vector is one row.
    pub size: (usize, usize),
    pub stored: Stored,
    /// Bytes within the file.
    pub bytes: std::ops::Range<usize>,
}

/// Opens the GGUF file `name`.
///
/// # Errors
/// Everything that is damaged or not known.
pub fn read(files: &ModelFiles, name: &str) -> Result<Model, ModelError> {
    let map = files.map(name, name)?;
    model(map).map_err(|problem| problem.in_file(name))
}

fn model(map: MappedFile) -> Result<Model, Problem> {
    let (metadata, entries) = header(map.bytes())?;
    let family = Family::of(&metadata)?;
    let mut by_place = BTreeMap::new();
    let mut factors = BTreeMap::new();
    for entry in &entries {
        match names::place(entry.name) {
            Some(place) => drop(by_place.insert(place, entry)),
            None if rope::FACTORS.contains(&entry.name) => drop(factors.insert(entry.name, entry)),
            None => return Err(Problem::UnknownTensor { first: shown(entry.name), more: 0 }),
        }
    }
    let rows = by_place.get(&Place::Embedding).map(|entry| entry.size.0);
    let vocab = rows.ok_or_else(|| Problem::MissingTensor(names::name(Place::Embedding)))?;
    let mut shape = shape(&metadata, family, vocab, |place| by_place.contains_key(&place))?;
    let values = |name: &str| {
        let entry = factors.get(name)?;
        let mut values = vec![0.0; entry.size.0 * entry.size.1];
        entry.stored.decode(&map.bytes()[entry.bytes.clone()], &mut values);
        Some(values)
    };
    rope::with_factors(&mut shape, values)?;
    let mut tensors = BTreeMap::new();
    for (place, entry) in &by_place {
        if shape.size(*place).is_none() {
            return Err(Problem::UnknownTensor { first: shown(entry.name), more: 0 });
        }
        tensors.insert(*place, locate(*place, entry, &shape, family)?);
    }
    let special = special(&metadata, vocab)?;
    let (tokenizer, tokens) = tokenizer::read(&metadata)?;
    let chat = templates(&metadata, &tokenizer, tokens)?;
    drop((entries, metadata));
    let weights = Weights::new(vec![map], tensors)?;
    weights.check(&shape, names::name)?;
    Ok(Model { shape, special, defaults: GenerationDefaults::default(), tokenizer, chat, remarks: Vec::new(), weights })
}

/// Reads keys and tensors.
///
/// # Errors
/// `Damaged`, `TooLarge`, `ElementType`.
pub fn header(file: &[u8]) -> Result<(Metadata<'_>, Vec<Entry<'_>>), Problem> {
    let mut reader = Reader::new(file);
    if reader.take(4)? != MAGIC {
        return Err(Problem::Damaged("it does not start with GGUF".into()));
    }
    match reader.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() <= 3 => return Err(Problem::Damaged("its numbers are big-endian".into())),
        version => return Err(Problem::Damaged(format!("it has version {version}; known are 2 and 3"))),
    }
    let tensors = reader.count("the number of tensors", TENSORS, 24)?;
    let keys = reader.count("the number of keys", KEYS, 12)?;
    let mut metadata = Metadata::default();
    for _ in 0..keys {
        let key = reader.text(NAME)?;
        metadata.insert(key, Value::read(&mut reader)?)?;
    }
    let mut entries = Vec::with_capacity(tensors);
    for _ in 0..tensors {
        entries.push(entry(&mut reader)?);
    }
    let alignment = metadata.count("general.alignment", 1, MOST_ALIGNMENT)?.unwrap_or(ALIGNMENT);
    let start = reader.position().next_multiple_of(alignment);
    place_in_file(&mut entries, start, file.len())?;
    Ok((metadata, entries))
}

/// An entry whose bytes start at its offset from the first tensor.
fn entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, Problem> {
    let name = reader.text(NAME)?;
    let count = reader.u32()?;
    if count == 0 || count > DIMENSIONS {
        return Err(Problem::Damaged(format!("tensor `{}` has {count} dimensions", shown(name))));
    }
    // The first dimension is that of neighbours in memory.
    let columns = reader.u64()?;
    let mut rows = 1_u64;
    for _ in 1..count {
        let length = reader.u64()?;
        rows = rows
            .checked_mul(length)
            .ok_or_else(|| Problem::Damaged(format!("tensor `{}` is too large", shown(name))))?;
    }
    let kind = reader.u32()?;
    let stored = stored(kind).ok_or_else(|| Problem::ElementType { name: shown(name), found: type_name(kind) })?;
    let offset = reader.u64()?;
    let fits = || -> Option<(usize, usize, usize, usize)> {
        let (rows, columns) = (usize::try_from(rows).ok()?, usize::try_from(columns).ok()?);
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(stored.row_bytes(columns)?.checked_mul(rows)?)?;
        Some((rows, columns, offset, end))
    };
    let (rows, columns, offset, end) = fits().ok_or_else(|| {
        Problem::Damaged(format!(
            "tensor `{}` of {columns} columns is not whole blocks of {}",
            shown(name),
            stored.name()
        ))
    })?;
    Ok(Entry { name, size: (rows, columns), stored, bytes: offset..end })
}

/// Moves the tensors to their place in the file, and checks that they are in it, apart from each other and alone
/// under their name.
fn place_in_file(entries: &mut [Entry<'_>], start: usize, length: usize) -> Result<(), Problem> {
    let outside = |name: &str| Problem::Damaged(format!("tensor `{}` ends behind the end of the file", shown(name)));
    for entry in entries.iter_mut() {
        let moved = start.checked_add(entry.bytes.start).zip(start.checked_add(entry.bytes.end));
        let (from, to) = moved.filter(|(_, end)| *end <= length).ok_or_else(|| outside(entry.name))?;
        entry.bytes = from..to;
    }
    let mut order: Vec<&Entry<'_>> = entries.iter().collect();
    order.sort_by_key(|entry| (entry.bytes.start, entry.bytes.end));
    if let Some(pair) = order.windows(2).find(|pair| pair[0].bytes.end > pair[1].bytes.start) {
        let names = (shown(pair[0].name), shown(pair[1].name));
        return Err(Problem::Damaged(format!("tensors `{}` and `{}` overlap", names.0, names.1)));
    }
    order.sort_by_key(|entry| entry.name);
    match order.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Problem::Damaged(format!("tensor `{}` occurs twice", shown(pair[0].name)))),
        None => Ok(()),
    }
}

fn stored(kind: u32) -> Option<Stored> {
    Some(match kind {
        0 => Stored::F32,
        1 => Stored::F16,
        2 => Stored::Q4_0,
        3 => Stored::Q4_1,
        8 => Stored::Q8_0,
        12 => Stored::Q4K,
        14 => Stored::Q6K,
        30 => Stored::Bf16,
        _ => return None,
    })
}

/// Names of types that are not read, for messages.
fn type_name(kind: u32) -> String {
    let known = [(6, "Q5_0"), (7, "Q5_1"), (10, "Q2_K"), (11, "Q3_K"), (13, "Q5_K"), (15, "Q8_K"), (16, "IQ2_XXS")];
    let more = [(17, "IQ2_XS"), (18, "IQ3_XXS"), (20, "IQ4_NL"), (21, "IQ3_S"), (23, "IQ4_XS"), (39, "MXFP4")];
    let found = known.into_iter().chain(more).find(|(number, _)| *number == kind);
    found.map_or_else(|| format!("number {kind}"), |(_, name)| name.to_owned())
}

fn locate(place: Place, entry: &Entry<'_>, shape: &Shape, family: Family) -> Result<Located, Problem> {
    let order = match place {
        Place::Layer(_, Part::Query | Part::Key) if family == Family::Llama => {
            RowOrder::Interleaved { head_dim: shape.head_dim }
        }
        // Their elements are interleaved, too, and no known file has them.
        Place::Layer(_, Part::QueryBias | Part::KeyBias) if family == Family::Llama => {
            return Err(Problem::UnknownTensor { first: shown(entry.name), more: 0 });
        }
        _ => RowOrder::AsIs,
    };
    Ok(Located { file: 0, bytes: entry.bytes.clone(), stored: entry.stored, order, size: entry.size })
}

fn special(metadata: &Metadata<'_>, vocab: usize) -> Result<SpecialTokens, Problem> {
    let id = |name: &str| -> Result<Option<u32>, Problem> {
        Ok(metadata.count(&format!("tokenizer.ggml.{name}"), 0, vocab - 1)?.map(|id| id as u32))
    };
    // The end of a turn ends a text, too.
    let ends = [id("eos_token_id")?, id("eot_token_id")?, id("eom_token_id")?];
    let mut eos = Vec::new();
    for end in ends.into_iter().flatten() {
        if !eos.contains(&end) {
            eos.push(end);
        }
    }
    Ok(SpecialTokens { bos: id("bos_token_id")?, eos, pad: id("padding_token_id")? })
}

fn templates(
    metadata: &Metadata<'_>,
    tokenizer: &crate::Tokenizer,
    tokens: BTreeMap<&'static str, String>,
) -> Result<Option<ChatTemplate>, Problem> {
    let key = "tokenizer.chat_template";
    let mut sources = BTreeMap::new();
    for name in metadata.keys().filter(|name| name.starts_with(key)) {
        let short = name[key.len()..].strip_prefix('.').unwrap_or("default");
        if let Ok(Some(source)) = metadata.text(name) {
            sources.insert(short.to_owned(), source.to_owned());
        }
    }
    if sources.is_empty() {
        return Ok(None);
    }
    ChatTemplate::new(sources, tokens, tokenizer.marks().clone()).map(Some)
}
