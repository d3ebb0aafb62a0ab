//! Reads a JSON schema. What it does not understand it refuses by name: a constraint that is ignored is worse.

use std::collections::HashMap;

use stepwell_base::ordered_json::Json;

use super::grammar::{Grammar, Length, Member, Need, Node, NodeId, NumberKind, READINGS};

/// Most nodes, members of an object, texts of `enum`, and bytes of all texts.
const NODES: usize = 4096;
const MEMBERS: usize = READINGS;
/// Most alternatives of one value.
const ALTERNATIVES: usize = 64;
const LITERALS: usize = 1024;
const BYTES: usize = 64 << 10;
/// Most schemas inside each other.
const NESTED: usize = 64;
/// Largest number of characters or items that can be asked for.
const LONGEST: u64 = 1 << 20;

/// Keywords that say nothing about which values are allowed, or only where schemas are.
const REMARKS: [&str; 12] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];
/// Keywords of one type each.
const OF_OBJECTS: [&str; 3] = ["properties", "required", "additionalProperties"];
const OF_ARRAYS: [&str; 3] = ["items", "minItems", "maxItems"];
const OF_TEXTS: [&str; 2] = ["minLength", "maxLength"];

/// Values of keywords that are absent.
const NO_MEMBERS: &Json = &Json::Object(Vec::new());
const ANYTHING: &Json = &Json::Bool(true);

/// A schema that is not supported or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` {problem}")]
pub struct SchemaError {
    /// Path of the keyword, such as `schema.properties.name.pattern`.
    pub place: String,
    pub problem: String,
}

type Result<T> = std::result::Result<T, SchemaError>;

fn fail<T>(place: &str, problem: impl Into<String>) -> Result<T> {
    // Names are the caller's; a message need not repeat all of a long one.
    let place: String = place.chars().take(200).collect();
    Err(SchemaError { place, problem: problem.into() })
}

impl Grammar {
    /// Reads a schema; `place` is its name in messages.
    ///
    /// # Errors
    /// The first keyword that is not supported, or a schema that no object or no finite text meets.
    pub fn of(schema: &Json, place: &str) -> Result<Grammar> {
        let mut compiler =
            Compiler { document: schema, nodes: Vec::new(), references: HashMap::new(), any: None, bytes: 0 };
        let root = compiler.reference("", place, 0)?;
        let mut grammar = Grammar { nodes: compiler.nodes, root };
        if grammar.empty_cycle().is_some() {
            return fail(place, "has a `$ref` that leads back to itself without a value in between");
        }
        if !grammar.keep_finite() {
            return fail(place, "allows no finite value");
        }
        if let Some(alternatives) = grammar.flatten().filter(|most| *most > ALTERNATIVES) {
            return fail(
                place,
                format!("has a value with {alternatives} alternatives, at most {ALTERNATIVES} are allowed"),
            );
        }
        if !grammar.is_object() {
            return fail(place, "must be that of an object");
        }
        Ok(grammar)
    }
}

struct Compiler<'j> {
    document: &'j Json,
    nodes: Vec<Node>,
    /// Nodes of schemas by their JSON pointer.
    references: HashMap<String, NodeId>,
    any: Option<NodeId>,
    /// Bytes of all literals and names.
    bytes: usize,
}

impl<'j> Compiler<'j> {
    fn add(&mut self, node: Node, place: &str) -> Result<NodeId> {
        if self.nodes.len() >= NODES {
            return fail(place, format!("has too many parts, at most {NODES} are allowed"));
        }
        self.nodes.push(node);
        Ok(NodeId(self.nodes.len() as u32 - 1))
    }

    /// The schema at a JSON pointer into the document.
    fn reference(&mut self, pointer: &str, place: &str, depth: usize) -> Result<NodeId> {
        if let Some(id) = self.references.get(pointer) {
            return Ok(*id);
        }
        let mut schema = self.document;
        for step in pointer.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            let index = name.parse::<usize>().ok();
            let found = schema.get(&name).or_else(|| index.and_then(|index| schema.items().get(index)));
            let Some(found) = found else { return fail(place, "points to nothing in the schema") };
            schema = found;
        }
        // Known before it is read, so that it may contain itself.
        let id = self.add(Node::AnyOf(Vec::new()), place)?;
        self.references.insert(pointer.to_owned(), id);
        let value = self.value(schema, place, depth)?;
        self.nodes[id.0 as usize] = Node::AnyOf(vec![value]);
        Ok(id)
    }

    fn value(&mut self, schema: &'j Json, place: &str, depth: usize) -> Result<NodeId> {
        if depth > NESTED {
            return fail(place, format!("is nested too deeply, at most {NESTED} levels are allowed"));
        }
        let fields = match schema {
            Json::Bool(true) => return self.any(place),
            Json::Object(fields) => fields,
            _ => return fail(place, "must be a schema, an object"),
        };
        let said: Vec<&str> =
            fields.iter().map(|(name, _)| name.as_str()).filter(|name| !REMARKS.contains(name)).collect();
        let alone = |keyword: &str| match said.iter().find(|name| **name != keyword) {
            Some(other) => fail(&format!("{place}.{other}"), format!("is not supported beside `{keyword}`")),
            None => Ok(()),
        };
        if let Some(reference) = schema.get("$ref") {
            alone("$ref")?;
            let place = format!("{place}.$ref");
            return match reference.text().and_then(|text| text.strip_prefix('#')) {
                Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
                    self.reference(pointer, &place, depth + 1)
                }
                _ => fail(&place, "must be `#` or start with `#/`: only schemas of the same document are known"),
            };
        }
        if let Some(list) = schema.get("anyOf") {
            alone("anyOf")?;
            let place = format!("{place}.anyOf");
            let all = list.items().iter().enumerate();
            let all = all.map(|(index, one)| self.value(one, &format!("{place}[{index}]"), depth + 1));
            let all = all.collect::<Result<Vec<_>>>()?;
            if all.is_empty() {
                return fail(&place, "must be a list of schemas");
            }
            return self.add(Node::AnyOf(all), &place);
        }
        if let Some(unknown) = said.iter().find(|name| !is_known(name)) {
            return fail(&format!("{place}.{unknown}"), "is not supported");
        }
        let types = types(schema, &said, place)?;
        if schema.get("enum").is_some() || schema.get("const").is_some() {
            return self.literals(schema, types.as_deref(), place);
        }
        let Some(types) = types else { return self.any(place) };
        let all = types.into_iter().map(|kind| self.of_type(kind, schema, place, depth)).collect::<Result<Vec<_>>>()?;
        if let [one] = all[..] { Ok(one) } else { self.add(Node::AnyOf(all), place) }
    }

    fn of_type(&mut self, kind: Type, schema: &'j Json, place: &str, depth: usize) -> Result<NodeId> {
        let literal = |text: &str| Node::Literals(vec![text.as_bytes().into()]);
        let node = match kind {
            Type::Null => literal("null"),
            Type::Boolean => Node::Literals(["false", "true"].map(|word| word.as_bytes().into()).to_vec()),
            Type::Integer => Node::Number(NumberKind::Whole),
            Type::Number => Node::Number(NumberKind::Any),
            Type::String => Node::Text(length(schema, OF_TEXTS, place)?),
            Type::Array => {
                let [_, least, most] = OF_ARRAYS;
                let length = length(schema, [least, most], place)?;
                let items = match schema.get("items") {
                    Some(items) => self.value(items, &format!("{place}.items"), depth + 1)?,
                    None => self.any(place)?,
                };
                Node::Array { items, length }
            }
            Type::Object => return self.object(schema, place, depth),
        };
        self.add(node, place)
    }

    fn object(&mut self, schema: &'j Json, place: &str, depth: usize) -> Result<NodeId> {
        let Json::Object(properties) = schema.get("properties").unwrap_or(NO_MEMBERS) else {
            return fail(&format!("{place}.properties"), "must be an object of schemas");
        };
        let required = match schema.get("required") {
            None => Vec::new(),
            Some(Json::List(names)) if names.iter().all(|name| name.text().is_some()) => {
                names.iter().filter_map(Json::text).collect()
            }
            Some(_) => return fail(&format!("{place}.required"), "must be a list of names"),
        };
        let further = schema.get("additionalProperties").unwrap_or(ANYTHING);
        if properties.is_empty() && required.is_empty() && *further != Json::Bool(false) {
            let value = match schema.get("additionalProperties") {
                Some(further) => self.value(further, &format!("{place}.additionalProperties"), depth + 1)?,
                None => self.any(place)?,
            };
            return self.add(Node::Map(value), place);
        }
        let mut members = Vec::new();
        for (name, value) in properties {
            let value = self.value(value, &format!("{place}.properties.{name}"), depth + 1)?;
            let need = if required.contains(&name.as_str()) { Need::Required } else { Need::Optional };
            members.push(Member { key: self.text(&Json::Text(name.clone()), place)?, value, need });
        }
        for name in &required {
            if properties.iter().any(|(known, _)| known == name) {
                continue;
            }
            let place = format!("{place}.required");
            if *further == Json::Bool(false) {
                return fail(&place, "names a member that `properties` does not have");
            }
            let key = self.text(&Json::from(*name), &place)?;
            if members.iter().all(|member| member.key != key) {
                let value = self.any(&place)?;
                members.push(Member { key, value, need: Need::Required });
            }
        }
        if members.len() > MEMBERS {
            return fail(&format!("{place}.properties"), format!("has more than {MEMBERS} members"));
        }
        self.add(Node::Object(members), place)
    }

    /// The values of `enum` and `const` that have one of the types.
    fn literals(&mut self, schema: &Json, types: Option<&[Type]>, place: &str) -> Result<NodeId> {
        let values: Vec<&Json> = match (schema.get("enum"), schema.get("const")) {
            (Some(Json::List(all)), None) if !all.is_empty() && all.len() <= LITERALS => all.iter().collect(),
            (None, Some(one)) => vec![one],
            (Some(Json::List(all)), Some(one)) if all.contains(one) => vec![one],
            _ => return fail(&format!("{place}.enum"), format!("must be a list of 1 to {LITERALS} values")),
        };
        let fits = |value: &&Json| types.is_none_or(|types| types.iter().any(|kind| kind.has(value)));
        let mut texts =
            values.into_iter().filter(fits).map(|value| self.text(value, place)).collect::<Result<Vec<_>>>()?;
        if texts.is_empty() {
            return fail(&format!("{place}.type"), "has none of the values of `enum` or `const`");
        }
        texts.sort();
        texts.dedup();
        self.add(Node::Literals(texts), place)
    }

    /// A value as JSON without white space.
    fn text(&mut self, value: &Json, place: &str) -> Result<Box<[u8]>> {
        let text = serde_json::to_vec(value).unwrap_or_default();
        self.bytes += text.len();
        if self.bytes > BYTES {
            return fail(place, format!("has names and values of more than {BYTES} bytes"));
        }
        Ok(text.into())
    }

    /// Any value at all.
    fn any(&mut self, place: &str) -> Result<NodeId> {
        if let Some(any) = self.any {
            return Ok(any);
        }
        let any = self.add(Node::AnyOf(Vec::new()), place)?;
        let words = [b"false".as_slice(), b"null", b"true"].map(Box::from).to_vec();
        let nodes = [
            Node::Literals(words),
            Node::Text(Length::ANY),
            Node::Number(NumberKind::Any),
            Node::Array { items: any, length: Length::ANY },
            Node::Map(any),
        ];
        let all = nodes.into_iter().map(|node| self.add(node, place)).collect::<Result<Vec<_>>>()?;
        self.nodes[any.0 as usize] = Node::AnyOf(all);
        self.any = Some(any);
        Ok(any)
    }
}

fn is_known(name: &str) -> bool {
    let values = ["type", "enum", "const"];
    [&values[..], &OF_OBJECTS, &OF_ARRAYS, &OF_TEXTS].concat().contains(&name)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    fn named(name: &str) -> Option<Type> {
        let types = [Type::Null, Type::Boolean, Type::Integer, Type::Number, Type::String, Type::Array, Type::Object];
        let names = ["null", "boolean", "integer", "number", "string", "array", "object"];
        names.iter().position(|known| *known == name).map(|index| types[index])
    }

    fn has(self, value: &Json) -> bool {
        match (self, value) {
            (Type::Null, Json::Null)
            | (Type::Boolean, Json::Bool(_))
            | (Type::Integer | Type::Number, Json::Int(_) | Json::Large(_))
            | (Type::Number, Json::Float(_))
            | (Type::String, Json::Text(_))
            | (Type::Array, Json::List(_))
            | (Type::Object, Json::Object(_)) => true,
            (Type::Integer, Json::Float(number)) => number.fract() == 0.0,
            _ => false,
        }
    }
}

/// Types that the value may have; `None` for any. Keywords of one type imply it.
fn types(schema: &Json, said: &[&str], place: &str) -> Result<Option<Vec<Type>>> {
    let place = format!("{place}.type");
    let named = |name: &Json| match name.text().and_then(Type::named) {
        Some(kind) => Ok(kind),
        None => fail(&place, "must be null, boolean, integer, number, string, array, object, or a list of them"),
    };
    match schema.get("type") {
        Some(Json::List(names)) if !names.is_empty() => names.iter().map(named).collect::<Result<_>>().map(Some),
        Some(name) => named(name).map(|kind| Some(vec![kind])),
        None => {
            let implied =
                [(&OF_OBJECTS[..], Type::Object), (&OF_ARRAYS[..], Type::Array), (&OF_TEXTS[..], Type::String)];
            let implied = implied.into_iter().filter(|(words, _)| said.iter().any(|name| words.contains(name)));
            match implied.map(|(_, kind)| kind).collect::<Vec<_>>()[..] {
                [] => Ok(None),
                [kind] => Ok(Some(vec![kind])),
                _ => fail(&place, "is missing, and the keywords belong to several types"),
            }
        }
    }
}

fn length(schema: &Json, [least, most]: [&str; 2], place: &str) -> Result<Length> {
    let number = |name: &str, absent: u32| match schema.get(name) {
        None => Ok(absent),
        Some(Json::Int(number)) if (0..=LONGEST as i64).contains(number) => Ok(*number as u32),
        Some(_) => fail(&format!("{place}.{name}"), format!("must be a whole number from 0 to {LONGEST}")),
    };
    let length = Length { least: number(least, 0)?, most: number(most, u32::MAX)? };
    if length.least > length.most {
        return fail(&format!("{place}.{least}"), format!("is more than `{most}`"));
    }
    Ok(length)
}
