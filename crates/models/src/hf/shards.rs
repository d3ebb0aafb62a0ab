//! The weight files of a folder: `model.safetensors`, or several with an index.

use std::collections::BTreeMap;

use crate::error::{ModelError, Problem, shown};
use crate::shape::{Place, Shape};
use crate::source::{Fields, MappedFile, ModelFiles, object};
use crate::tensor::{Located, RowOrder, Weights};

use super::names;
use super::safetensors::{Entry, entries};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const INDEX_BYTES: u64 = 32 << 20;
/// Files that an index may name.
const MOST_SHARDS: usize = 1024;

/// Maps the weights and checks them against the shape.
///
/// # Errors
/// Every difference between the files, the index and the shape.
pub fn open(files: &ModelFiles, shape: &Shape) -> Result<Weights, ModelError> {
    let (shards, index) = shards(files)?;
    let named_by = if index.is_some() { INDEX } else { SINGLE };
    let mut maps = Vec::new();
    let mut tensors = BTreeMap::new();
    let mut unknown = Vec::new();
    for (file, name) in shards.iter().enumerate() {
        let map = files.map(name, named_by)?;
        let found = entries(map.bytes()).map_err(|problem| problem.in_file(name.clone()))?;
        for entry in found {
            if let Some(index) = &index {
                check_index(index, &entry, name)?;
            }
            let place = names::place(&entry.name);
            match place.filter(|place| shape.size(*place).is_some()) {
                Some(place) => {
                    let located = locate(file, &entry).map_err(|problem| problem.in_file(name.clone()))?;
                    if tensors.insert(place, located).is_some() {
                        let problem =
                            Problem::Damaged(format!("tensor `{}` is in another file, too", shown(&entry.name)));
                        return Err(problem.in_file(name.clone()));
                    }
                }
                None if names::is_derived(&entry.name) => {}
                None => unknown.push((entry.name, name.clone())),
            }
        }
        maps.push(map);
    }
    if let Some((first, file)) = unknown.first() {
        let problem = Problem::UnknownTensor { first: shown(first), more: unknown.len() - 1 };
        return Err(problem.in_file(file.clone()));
    }
    if let Some(index) = &index {
        all_found(index, &tensors)?;
    }
    finish(maps, tensors, shape).map_err(|problem| problem.in_file(named_by))
}

fn finish(maps: Vec<MappedFile>, tensors: BTreeMap<Place, Located>, shape: &Shape) -> Result<Weights, Problem> {
    let weights = Weights::new(maps, tensors)?;
    weights.check(shape, names::name)?;
    // Some tools write the head although it is the embedding; `transformers` then ignores it.
    if let (true, Some(head), Some(embedding)) = (shape.tied, weights.get(Place::Head), weights.get(Place::Embedding)) {
        let same = head.stored() == embedding.stored()
            && head.rows == embedding.rows
            && head.columns == embedding.columns
            && (0..head.rows).all(|row| head.row_bytes(row) == embedding.row_bytes(row));
        if !same {
            return Err(Problem::TiedButDifferent);
        }
    }
    Ok(weights)
}

/// For each tensor, the file that should have it.
type Index = BTreeMap<String, String>;

/// Names of the weight files and of their index.
///
/// # Errors
/// When the index is damaged.
pub fn names(files: &ModelFiles) -> Result<Vec<String>, ModelError> {
    let (mut names, index) = shards(files)?;
    names.extend(index.map(|_| INDEX.to_owned()));
    Ok(names)
}

/// Names of the weight files, in order, and the index.
fn shards(files: &ModelFiles) -> Result<(Vec<String>, Option<Index>), ModelError> {
    let Some(text) = files.read(INDEX, INDEX_BYTES)? else {
        return Ok((vec![SINGLE.to_owned()], None));
    };
    if files.contains(SINGLE) {
        return Err(Problem::Damaged(format!("the folder has it and `{SINGLE}`")).in_file(INDEX));
    }
    let in_index = |problem: Problem| problem.in_file(INDEX);
    let map = object(&text, INDEX_BYTES).map_err(in_index)?;
    let weight_map = Fields::of(&map).object("weight_map").map_err(in_index)?;
    let weight_map = weight_map.ok_or_else(|| in_index(Problem::field("weight_map", "is missing")))?;
    let mut index = Index::new();
    for tensor in weight_map.names() {
        let file = weight_map.text(tensor).map_err(in_index)?.unwrap_or_default();
        index.insert(tensor.to_owned(), file.to_owned());
    }
    let mut names: Vec<String> = index.values().cloned().collect();
    names.sort();
    names.dedup();
    if names.len() > MOST_SHARDS {
        let (found, limit) = (names.len() as u64, MOST_SHARDS as u64);
        return Err(in_index(Problem::TooLarge { what: "the number of files", found, limit }));
    }
    Ok((names, Some(index)))
}

fn check_index(index: &Index, entry: &Entry, file: &str) -> Result<(), ModelError> {
    match index.get(&entry.name) {
        Some(named) if named == file => Ok(()),
        Some(named) => {
            let why = format!("tensor `{}` is in `{file}`, not in `{}`", shown(&entry.name), shown(named));
            Err(Problem::Damaged(why).in_file(INDEX))
        }
        None => {
            Err(Problem::Damaged(format!("tensor `{}` of `{file}` is not in it", shown(&entry.name))).in_file(INDEX))
        }
    }
}

fn all_found(index: &Index, tensors: &BTreeMap<Place, Located>) -> Result<(), ModelError> {
    for (name, file) in index {
        let found = names::is_derived(name) || names::place(name).is_some_and(|place| tensors.contains_key(&place));
        if !found {
            return Err(Problem::MissingTensor(shown(name)).in_file(file.clone()));
        }
    }
    Ok(())
}

fn locate(file: usize, entry: &Entry) -> Result<Located, Problem> {
    let size = match entry.shape[..] {
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => {
            let why = format!("tensor `{}` has {} dimensions", shown(&entry.name), entry.shape.len());
            return Err(Problem::Damaged(why));
        }
    };
    Ok(Located { file, bytes: entry.bytes.clone(), stored: entry.stored, order: RowOrder::AsIs, size })
}
