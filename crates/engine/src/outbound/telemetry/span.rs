//! A span as a collector gets it.

use jiff::Timestamp;

/// A value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

pub(super) type Attributes = Vec<(&'static str, Value)>;

/// Something that happened within a span.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Moment {
    pub(super) name: &'static str,
    pub(super) at: Timestamp,
    pub(super) attributes: Attributes,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Status {
    Unset,
    Ok,
    Error(String),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Span {
    pub(super) trace: [u8; 16],
    pub(super) id: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: String,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) attributes: Attributes,
    pub(super) moments: Vec<Moment>,
    pub(super) status: Status,
}
