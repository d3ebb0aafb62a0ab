//! Memory that a template may ask for. A template of a stranger could otherwise double a text until nothing is left.

use std::cell::Cell;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Bytes that every template may move.
const BASE: u64 = 32 << 20;
/// Bytes for each byte of the input.
const PER_INPUT: u64 = 256;
const MOST: u64 = 1 << 30;
/// Bytes of an element of a list.
const ELEMENT: u64 = 32;
/// Largest number in a product.
pub const MOST_FACTOR: u64 = 10_000;

thread_local! {
    /// Bytes left for the template that renders on this thread.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Starts a template for an input of `bytes` bytes.
pub fn start(bytes: usize) {
    LEFT.set(BASE.saturating_add(PER_INPUT.saturating_mul(bytes as u64)).min(MOST));
}

/// Takes bytes from the budget.
///
/// # Errors
/// When not so many are left.
pub fn charge(bytes: u64) -> Result<(), Error> {
    match LEFT.get().checked_sub(bytes) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => Err(Error::new(ErrorKind::InvalidOperation, "the template needs too much memory")),
    }
}

/// Charges for a value that is about to be printed, with all that is in it.
///
/// # Errors
/// Those of [`charge`].
pub fn printed(value: Value) -> Result<Value, Error> {
    charge(size(&value, 0))?;
    Ok(value)
}

/// Charges for a value that is about to be copied: a list has its elements, but not what is in them.
///
/// # Errors
/// Those of [`charge`].
pub fn copied(value: Value) -> Result<Value, Error> {
    charge(size(&value, LEVELS))?;
    Ok(value)
}

/// A side of a product: a number, or a text or list that is repeated.
///
/// # Errors
/// For a number above 10,000, and those of [`charge`].
pub fn factor(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Number => {
            let small = f64::try_from(value.clone()).is_ok_and(|number| number.abs() <= MOST_FACTOR as f64);
            if small {
                return Ok(value);
            }
            let message = format!("a number in a product is at most {MOST_FACTOR}");
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
        _ => {
            charge(size(&value, 0).saturating_mul(MOST_FACTOR))?;
            Ok(value)
        }
    }
}

/// Levels of lists that are counted; deeper ones are printed rarely, and the count itself must end.
const LEVELS: usize = 24;

/// Bytes of a value as text, roughly. Shared lists count each time, as they are printed each time.
pub fn size(value: &Value, level: usize) -> u64 {
    match value.kind() {
        ValueKind::String => value.as_str().map_or(0, |text| text.len() as u64),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let length = value.len().unwrap_or(0) as u64;
            if level >= LEVELS || length == 0 {
                return ELEMENT * (length + 1);
            }
            let mut total = ELEMENT;
            let Ok(items) = value.try_iter() else { return total };
            for item in items {
                let own = if value.kind() == ValueKind::Map { value.get_item(&item).unwrap_or_default() } else { item };
                total = total.saturating_add(ELEMENT + size(&own, level + 1));
                if total > LEFT.get() {
                    break;
                }
            }
            total
        }
        _ => ELEMENT,
    }
}
