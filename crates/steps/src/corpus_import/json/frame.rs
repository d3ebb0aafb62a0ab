//! Finds the end of a JSON value in a byte stream, so that a file of any size is read value by value.

/// Follows one value from its first byte. Checks only brackets and strings.
#[derive(Default)]
pub struct Frame {
    depth: u64,
    in_string: bool,
    is_escaped: bool,
    /// True in a number or a word, which ends at the next separator.
    is_bare: bool,
    has_begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framed {
    /// All bytes belong to the value, which continues.
    More,
    /// The value ends after this many bytes.
    Ends(usize),
}

impl Frame {
    pub fn feed(&mut self, bytes: &[u8]) -> Framed {
        for (index, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Framed::Ends(index + 1);
                        }
                    }
                    // Strings contain no raw line feed: a quote is missing, and another value follows.
                    b'\n' => return Framed::Ends(index),
                    _ => {}
                }
                continue;
            }
            match byte {
                b'{' | b'[' if !self.is_bare => self.depth += 1,
                b'"' if !self.is_bare => self.in_string = true,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Framed::Ends(index + 1);
                    }
                }
                b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' if self.is_bare => return Framed::Ends(index),
                _ if !self.has_begun => self.is_bare = true,
                _ => {}
            }
            self.has_begun = true;
        }
        Framed::More
    }
}
