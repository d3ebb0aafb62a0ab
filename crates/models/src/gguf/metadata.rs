//! Keys and values of a file.

use std::collections::BTreeMap;

use crate::error::{Problem, shown};

use super::reader::Reader;

/// Bytes of a text: chat templates are the longest.
const TEXT: u64 = 4 << 20;
/// Elements of a list: tokens and merges of the largest vocabularies are 500,000.
const ELEMENTS: u64 = 1 << 22;

/// A value; texts lie in the mapped file.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    Whole(i128),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    Wholes(Vec<i64>),
    Floats(Vec<f32>),
    Bools(Vec<bool>),
    Texts(Vec<&'a str>),
}

impl<'a> Value<'a> {
    pub fn read(reader: &mut Reader<'a>) -> Result<Value<'a>, Problem> {
        let kind = reader.u32()?;
        if kind == 9 { Value::list(reader) } else { Value::single(reader, kind) }
    }

    fn single(reader: &mut Reader<'a>, kind: u32) -> Result<Value<'a>, Problem> {
        Ok(match kind {
            0 => Value::Whole(u8::from_le_bytes(reader.array()?).into()),
            1 => Value::Whole(i8::from_le_bytes(reader.array()?).into()),
            2 => Value::Whole(u16::from_le_bytes(reader.array()?).into()),
            3 => Value::Whole(i16::from_le_bytes(reader.array()?).into()),
            4 => Value::Whole(u32::from_le_bytes(reader.array()?).into()),
            5 => Value::Whole(i32::from_le_bytes(reader.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(reader.array()?).into()),
            7 => Value::Bool(reader.array::<1>()? != [0]),
            8 => Value::Text(reader.text(TEXT)?),
            10 => Value::Whole(u64::from_le_bytes(reader.array()?).into()),
            11 => Value::Whole(i64::from_le_bytes(reader.array()?).into()),
            12 => Value::Float(f64::from_le_bytes(reader.array()?)),
            other => return Err(Problem::Damaged(format!("a value has the type {other}, which is not known"))),
        })
    }

    fn list(reader: &mut Reader<'a>) -> Result<Value<'a>, Problem> {
        let kind = reader.u32()?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => return Err(Problem::Damaged(format!("a list has elements of the type {other}"))),
        };
        let count = reader.count("the length of a list", ELEMENTS, least)?;
        let mut list = match kind {
            6 | 12 => Value::Floats(Vec::with_capacity(count)),
            7 => Value::Bools(Vec::with_capacity(count)),
            8 => Value::Texts(Vec::with_capacity(count)),
            _ => Value::Wholes(Vec::with_capacity(count)),
        };
        for _ in 0..count {
            match (&mut list, Value::single(reader, kind)?) {
                (Value::Floats(list), Value::Float(float)) => list.push(float as f32),
                (Value::Bools(list), Value::Bool(flag)) => list.push(flag),
                (Value::Texts(list), Value::Text(text)) => list.push(text),
                (Value::Wholes(list), Value::Whole(whole)) => list.push(i64::try_from(whole).unwrap_or(i64::MAX)),
                _ => {}
            }
        }
        Ok(list)
    }
}

/// All keys of a file.
#[derive(Debug, Default)]
pub struct Metadata<'a> {
    values: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Metadata<'a> {
    /// # Errors
    /// `Damaged` for a key that occurs twice.
    pub fn insert(&mut self, key: &'a str, value: Value<'a>) -> Result<(), Problem> {
        match self.values.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(Problem::Damaged(format!("the key `{}` occurs twice", shown(key)))),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.values.keys().copied()
    }

    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.values.get(key)
    }

    fn wrong(key: &str, expected: &str) -> Problem {
        Problem::field(shown(key), format!("must be {expected}"))
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Metadata::wrong(key, "text")),
        }
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Metadata::wrong(key, "true or false")),
        }
    }

    /// A whole number from `least` to `most`; a list of equal numbers counts as one.
    pub fn count(&self, key: &str, least: usize, most: usize) -> Result<Option<usize>, Problem> {
        let number = match self.get(key) {
            None => return Ok(None),
            Some(Value::Whole(whole)) => usize::try_from(*whole).ok(),
            Some(Value::Wholes(list)) => match list.as_slice() {
                [first, rest @ ..] if rest.iter().all(|other| other == first) => usize::try_from(*first).ok(),
                _ => None,
            },
            Some(_) => None,
        };
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                Err(Metadata::wrong(key, &format!("a whole number from {least} to {most}, the same for all layers")))
            }
        }
    }

    pub fn required(&self, key: &str, least: usize, most: usize) -> Result<usize, Problem> {
        self.count(key, least, most)?.ok_or_else(|| Problem::field(key, "is missing"))
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(float)) if float.is_finite() && *float > 0.0 => Ok(Some(*float)),
            Some(_) => Err(Metadata::wrong(key, "a positive number")),
        }
    }

    pub fn texts(&self, key: &str) -> Result<&[&'a str], Problem> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Texts(list)) => Ok(list),
            Some(_) => Err(Metadata::wrong(key, "a list of texts")),
        }
    }
}
