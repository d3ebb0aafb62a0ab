//! Character classes of GPT-2's expression, from the same Unicode tables that the `regex` crates use.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as Ranges, HirKind};

/// Character classes that the expression distinguishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Class {
    /// Every other character.
    Other,
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
}

pub struct Classes {
    ascii: [Class; 128],
    all: Vec<Class>,
}

static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::from_tables);

impl Classes {
    pub fn get() -> &'static Classes {
        &CLASSES
    }

    pub fn of(&self, c: char) -> Class {
        self.all[c as usize]
    }

    /// Class of an ASCII character; `None` for a byte of a longer character.
    pub fn of_byte(&self, byte: u8) -> Option<Class> {
        self.ascii.get(usize::from(byte)).copied()
    }

    fn from_tables() -> Classes {
        let mut all = vec![Class::Other; char::MAX as usize + 1];
        for (expression, class) in [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space)] {
            let parsed = regex_syntax::parse(expression).expect("the expression is fixed and valid");
            if let HirKind::Class(Ranges::Unicode(ranges)) = parsed.kind() {
                for range in ranges.iter() {
                    all[range.start() as usize..=range.end() as usize].fill(class);
                }
            }
        }
        let mut ascii = [Class::Other; 128];
        ascii.copy_from_slice(&all[..128]);
        Classes { ascii, all }
    }
}
