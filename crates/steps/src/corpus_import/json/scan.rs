//! Scans JSON text without building values: unused parts are only checked for syntax, at any depth.

use std::ops::Range;

use crate::invisible;

/// The position where text stops being valid JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotJson {
    /// Byte offset in the text.
    pub at: usize,
    pub what: String,
    /// True if the text ends too early but is valid so far.
    pub ends_early: bool,
}

/// A position in JSON text. Each method starts there and moves the position past the part that it reads.
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        Scan { text, at: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Consumes `byte` if it comes next.
    pub fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Expects the end of the text.
    pub fn end(&mut self) -> Result<(), NotJson> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.unexpected("the end of the line")) }
    }

    /// Reads a string and returns the range between its quotes.
    pub fn string(&mut self) -> Result<Range<usize>, NotJson> {
        if !self.takes(b'"') {
            return Err(self.unexpected("a string"));
        }
        let start = self.at;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.error("a control character in a string; it must be escaped")),
                None => return Err(self.unexpected("the end of a string")),
            }
        }
        self.at += 1;
        Ok(start..self.at - 1)
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        let length = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(self.unexpected("an escape such as `\\n` or `\\u00e9`")),
        };
        self.at += 1;
        for _ in 0..length {
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.unexpected("four hexadecimal digits"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Reads the name of an entry and the colon after it.
    pub fn key(&mut self) -> Result<Range<usize>, NotJson> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a field name in quotes"));
        }
        let key = self.string()?;
        self.space();
        if self.takes(b':') { Ok(key) } else { Err(self.unexpected("`:`")) }
    }

    /// Reads an object; calls `each` with the range of every name, without its quotes, and of its value.
    pub fn entries(&mut self, mut each: impl FnMut(Range<usize>, Range<usize>)) -> Result<(), NotJson> {
        self.space();
        if !self.takes(b'{') {
            return Err(self.unexpected("an object"));
        }
        self.space();
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let name = self.key()?;
            self.space();
            let start = self.at;
            self.value()?;
            each(name, start..self.at);
            self.space();
            if self.takes(b'}') {
                return Ok(());
            }
            if !self.takes(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    /// Reads any value. Nesting costs a byte per level and no stack.
    pub fn value(&mut self) -> Result<(), NotJson> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(b'}');
                    self.space();
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(b']');
                    self.space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                let Some(close) = open.last().copied() else { return Ok(()) };
                self.space();
                if self.takes(close) {
                    open.pop();
                } else if self.takes(b',') {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                } else {
                    return Err(self.unexpected(if close == b'}' { "`,` or `}`" } else { "`,` or `]`" }));
                }
            }
        }
    }

    fn scalar(&mut self) -> Result<(), NotJson> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), NotJson> {
        for byte in word.bytes() {
            if !self.takes(byte) {
                return Err(self.unexpected(&format!("`{word}`")));
            }
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    pub fn unexpected(&self, wanted: &str) -> NotJson {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let what = match found {
            None => format!("it ends where {wanted} is expected"),
            Some(c) => {
                let shown = invisible::name(c).unwrap_or_else(|| format!("`{c}`"));
                format!("{shown} where {wanted} is expected")
            }
        };
        NotJson { at: self.at, what, ends_early: found.is_none() }
    }

    fn error(&self, what: &str) -> NotJson {
        NotJson { at: self.at, what: what.to_owned(), ends_early: false }
    }
}
