//! Reads a text byte by byte. Where the schema has several readings of the same bytes, all are followed.

use std::ops::Range;
use std::sync::Arc;

use super::grammar::{Grammar, Length, Need, Node, NodeId, NumberKind, READINGS};
use crate::sampling::json::{DEPTH, Number, SPACE, Text, TextStep, is_space};

/// State after the bytes read so far.
#[derive(Clone, Debug)]
pub struct SchemaState {
    grammar: Arc<Grammar>,
    readings: Vec<Reading>,
}

/// One way to read the text: the values around this place, the innermost one last. Empty at the end of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    frames: Vec<Frame>,
    /// Bytes of white space just before.
    space: u8,
}

/// A value that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// The start of a value.
    Value(NodeId),
    /// `at` bytes of the texts `low..high`.
    Literals {
        node: NodeId,
        low: u32,
        high: u32,
        at: u32,
    },
    Text {
        state: Text,
        characters: u32,
        length: Length,
    },
    Number(Number, NumberKind),
    /// So many items.
    Array {
        node: NodeId,
        items: u32,
        expects: Expects,
    },
    /// Members up to this one are written or left out.
    Object {
        node: NodeId,
        member: u32,
        expects: Expects,
    },
    /// `at` bytes of the name of a member.
    Key {
        node: NodeId,
        member: u32,
        at: u32,
    },
    Map {
        node: NodeId,
        expects: Expects,
    },
}

/// Next element of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// A name or an item, or the end of an empty container.
    First,
    /// A name, after a comma.
    Key,
    Colon,
    /// A comma or the end.
    Next,
}

impl SchemaState {
    pub fn new(grammar: Arc<Grammar>) -> Self {
        let readings = vec![Reading { frames: vec![Frame::Value(grammar.root)], space: 0 }];
        SchemaState { grammar, readings }
    }

    /// The state after `bytes`, or `None` if no allowed text continues so.
    pub fn after(&self, bytes: &[u8]) -> Option<Self> {
        let mut readings = self.readings.clone();
        let mut next = Vec::with_capacity(readings.len());
        for byte in bytes {
            for reading in readings.drain(..) {
                feed(&self.grammar, reading, *byte, &mut next);
            }
            std::mem::swap(&mut readings, &mut next);
            if readings.is_empty() {
                return None;
            }
        }
        Some(SchemaState { grammar: self.grammar.clone(), readings })
    }

    /// True if the text is complete.
    pub fn is_complete(&self) -> bool {
        self.readings.iter().any(|reading| reading.frames.is_empty())
    }

    /// Characters that may follow whatever they are, as long as they stand for themselves in a string.
    pub fn room_for_text(&self) -> u32 {
        let room = self.readings.iter().map(|reading| match reading.frames.last() {
            Some(Frame::Text { state: Text::Plain, characters, length }) => length.most - characters,
            _ => 0,
        });
        room.max().unwrap_or(0)
    }
}

/// Follows a reading over one byte; it may end, or become several.
fn feed(grammar: &Grammar, reading: Reading, byte: u8, next: &mut Vec<Reading>) {
    let mut step = Step { grammar, reading, byte, next };
    // A number ends before a byte that the value around it reads, and an item starts before its first byte.
    while let Some(frame) = step.reading.frames.pop() {
        if step.innermost(frame) == Flow::Read {
            return;
        }
    }
}

/// Outcome of a byte.
#[derive(PartialEq, Eq)]
enum Flow {
    /// It was read, or the reading has ended.
    Read,
    /// The innermost frame reads it.
    Again,
}

/// A reading, without its innermost frame, and the byte that it reads.
struct Step<'a> {
    grammar: &'a Grammar,
    reading: Reading,
    byte: u8,
    next: &'a mut Vec<Reading>,
}

impl Step<'_> {
    /// Continues with further frames, unless there is such a reading already.
    fn read(&mut self, frames: &[Frame]) -> Flow {
        let mut reading = self.reading.clone();
        reading.frames.extend_from_slice(frames);
        if self.next.len() < READINGS && !self.next.contains(&reading) {
            self.next.push(reading);
        }
        Flow::Read
    }

    /// Lets further frames read the byte.
    fn again(&mut self, frames: &[Frame]) -> Flow {
        self.reading.frames.extend_from_slice(frames);
        Flow::Again
    }

    fn innermost(&mut self, frame: Frame) -> Flow {
        let may_have_space =
            matches!(frame, Frame::Value(_) | Frame::Array { .. } | Frame::Object { .. } | Frame::Map { .. });
        if may_have_space && is_space(self.byte) {
            if self.reading.space < SPACE {
                self.reading.space += 1;
                self.read(&[frame]);
            }
            return Flow::Read;
        }
        self.reading.space = 0;
        match frame {
            Frame::Value(id) => self.value(id),
            Frame::Literals { node, low, high, at } => self.literals(node, low..high, at),
            Frame::Text { state, characters, length } => self.text(state, characters, length),
            Frame::Number(number, kind) => match number.next(self.byte) {
                Some(number) if kind == NumberKind::Any || number.is_whole() => {
                    self.read(&[Frame::Number(number, kind)])
                }
                None if number.is_complete() => Flow::Again,
                _ => Flow::Read,
            },
            Frame::Array { node, items, expects } => self.array(node, items, expects),
            Frame::Object { node, member, expects } => self.object(node, member, expects),
            Frame::Key { node, member, at } => self.key(node, member, at),
            Frame::Map { node, expects } => self.map(node, expects),
        }
    }

    fn value(&mut self, id: NodeId) -> Flow {
        let (first, frame) = match self.grammar.node(id) {
            Node::AnyOf(all) => {
                for one in all {
                    let mut reading = self.reading.clone();
                    reading.frames.push(Frame::Value(*one));
                    feed(self.grammar, reading, self.byte, self.next);
                }
                return Flow::Read;
            }
            Node::Literals(all) => {
                return self.again(&[Frame::Literals { node: id, low: 0, high: all.len() as u32, at: 0 }]);
            }
            Node::Number(kind) => match Number::start(self.byte) {
                Some(number) => return self.read(&[Frame::Number(number, *kind)]),
                None => return Flow::Read,
            },
            Node::Text(length) => (b'"', Frame::Text { state: Text::Plain, characters: 0, length: *length }),
            Node::Array { .. } => (b'[', Frame::Array { node: id, items: 0, expects: Expects::First }),
            Node::Object(_) => (b'{', Frame::Object { node: id, member: 0, expects: Expects::First }),
            Node::Map(_) => (b'{', Frame::Map { node: id, expects: Expects::First }),
        };
        let too_deep = first != b'"' && self.reading.frames.len() as u32 >= DEPTH;
        if self.byte == first && !too_deep { self.read(&[frame]) } else { Flow::Read }
    }

    fn literals(&mut self, node: NodeId, Range { start: low, end: high }: Range<u32>, at: u32) -> Flow {
        let Node::Literals(all) = self.grammar.node(node) else { return Flow::Read };
        let range = &all[low as usize..high as usize];
        let read = |text: &[u8]| text.get(at as usize).copied();
        let start = low + range.partition_point(|text| read(text) < Some(self.byte)) as u32;
        let end = low + range.partition_point(|text| read(text) <= Some(self.byte)) as u32;
        if start == end {
            return Flow::Read;
        }
        // Equal so far, so the shortest comes first.
        let ended = all[start as usize].len() == at as usize + 1;
        let longer = start + u32::from(ended);
        if longer < end {
            self.read(&[Frame::Literals { node, low: longer, high: end, at: at + 1 }]);
        }
        if ended { self.read(&[]) } else { Flow::Read }
    }

    fn text(&mut self, state: Text, characters: u32, length: Length) -> Flow {
        match state.next(self.byte) {
            Some(TextStep::End) if characters >= length.least => self.read(&[]),
            Some(TextStep::Inside(_)) if state == Text::Plain && characters >= length.most => Flow::Read,
            Some(TextStep::Inside(state)) => {
                let characters = characters.saturating_add(u32::from(state == Text::Plain));
                self.read(&[Frame::Text { state, characters, length }])
            }
            _ => Flow::Read,
        }
    }

    fn array(&mut self, node: NodeId, items: u32, expects: Expects) -> Flow {
        let Node::Array { items: item, length } = self.grammar.node(node) else { return Flow::Read };
        let inside =
            [Frame::Array { node, items: items.saturating_add(1), expects: Expects::Next }, Frame::Value(*item)];
        match (expects, self.byte) {
            (_, b']') if items >= length.least => self.read(&[]),
            (Expects::First, _) if length.most > 0 => self.again(&inside),
            (Expects::Next, b',') if items < length.most => self.read(&inside),
            _ => Flow::Read,
        }
    }

    fn object(&mut self, node: NodeId, member: u32, expects: Expects) -> Flow {
        let Node::Object(members) = self.grammar.node(node) else { return Flow::Read };
        let left = &members[member as usize..];
        let required = left.iter().position(|member| member.need == Need::Required);
        let with = |member: u32, expects| Frame::Object { node, member, expects };
        match (expects, self.byte) {
            (Expects::First | Expects::Next, b'}') if required.is_none() => self.read(&[]),
            (Expects::First | Expects::Key, b'"') => {
                // Members up to the next required one may follow.
                let count = required.map_or(left.len(), |place| place + 1) as u32;
                for member in member..member + count {
                    self.read(&[with(member + 1, Expects::Colon), Frame::Key { node, member, at: 1 }]);
                }
                Flow::Read
            }
            (Expects::Colon, b':') => {
                let value = members[member as usize - 1].value;
                self.read(&[with(member, Expects::Next), Frame::Value(value)])
            }
            (Expects::Next, b',') if !left.is_empty() => self.read(&[with(member, Expects::Key)]),
            _ => Flow::Read,
        }
    }

    fn key(&mut self, node: NodeId, member: u32, at: u32) -> Flow {
        let Node::Object(members) = self.grammar.node(node) else { return Flow::Read };
        let key = &members[member as usize].key;
        match key[at as usize] == self.byte {
            true if at as usize + 1 == key.len() => self.read(&[]),
            true => self.read(&[Frame::Key { node, member, at: at + 1 }]),
            false => Flow::Read,
        }
    }

    fn map(&mut self, node: NodeId, expects: Expects) -> Flow {
        let Node::Map(value) = self.grammar.node(node) else { return Flow::Read };
        let with = |expects| Frame::Map { node, expects };
        match (expects, self.byte) {
            (Expects::First | Expects::Next, b'}') => self.read(&[]),
            (Expects::First | Expects::Key, b'"') => {
                let name = Frame::Text { state: Text::Plain, characters: 0, length: Length::ANY };
                self.read(&[with(Expects::Colon), name])
            }
            (Expects::Colon, b':') => self.read(&[with(Expects::Next), Frame::Value(*value)]),
            (Expects::Next, b',') => self.read(&[with(Expects::Key)]),
            _ => Flow::Read,
        }
    }
}
