//! Letters to be repeated or put in order, such as `sort: d a c -> a c d`.

use super::line::Line;
use stepwell_base::rng::Rng;

const LETTERS: u64 = 26;

pub fn copy(rng: &mut Rng, size: u64) -> Line {
    let letters: Vec<u8> = (0..size).map(|_| b'a' + rng.below(LETTERS) as u8).collect();
    Line { asked: format!("copy: {} ->", spaced(&letters)), answer: spaced(&letters) }
}

/// The letters are different, so that there is one order.
pub fn sort(rng: &mut Rng, size: u64) -> Line {
    let mut left: Vec<u8> = (b'a'..=b'z').collect();
    let letters: Vec<u8> =
        (0..size.min(LETTERS)).map(|_| left.swap_remove(rng.below(left.len() as u64) as usize)).collect();
    let mut ordered = letters.clone();
    ordered.sort_unstable();
    Line { asked: format!("sort: {} ->", spaced(&letters)), answer: spaced(&ordered) }
}

fn spaced(letters: &[u8]) -> String {
    letters.iter().map(|letter| char::from(*letter).to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_repeated_or_in_order() {
        let mut rng = Rng::new(1);
        for size in [1, 5, 26] {
            let Line { asked, answer } = copy(&mut rng, size);
            assert_eq!(asked, format!("copy: {answer} ->"));
            let Line { asked, answer } = sort(&mut rng, size);
            let mut letters: Vec<&str> = asked["sort: ".len()..].split(' ').filter(|word| *word != "->").collect();
            letters.sort_unstable();
            assert_eq!((letters.len() as u64, letters.join(" ")), (size, answer));
        }
    }
}
