//! Brackets to be closed, such as `close: ( [ { } -> ] )`.

use super::line::Line;
use stepwell_base::rng::Rng;

const KINDS: [[char; 2]; 3] = [['(', ')'], ['[', ']'], ['{', '}']];

/// Opens `size` brackets; each may be closed again at once, but the last one stays open.
pub fn line(rng: &mut Rng, size: u64) -> Line {
    let (mut asked, mut open) = (Vec::new(), Vec::new());
    for left in (0..size.max(1)).rev() {
        let [opening, closing] = KINDS[rng.below(KINDS.len() as u64) as usize];
        asked.push(opening);
        if left > 0 && rng.below(4) == 0 {
            asked.push(closing);
        } else {
            open.push(closing);
        }
    }
    open.reverse();
    Line { asked: format!("close: {} ->", spaced(&asked)), answer: spaced(&open) }
}

fn spaced(marks: &[char]) -> String {
    marks.iter().map(char::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answer_are_balanced() {
        let mut rng = Rng::new(1);
        for size in [1, 4, 40] {
            for _ in 0..50 {
                let Line { asked, answer } = line(&mut rng, size);
                let marks = format!("{}{answer}", asked.replace("close: ", "").replace(" ->", ""));
                let mut open = Vec::new();
                for mark in marks.chars().filter(|mark| *mark != ' ') {
                    match KINDS.iter().find(|kind| kind[0] == mark) {
                        Some(kind) => open.push(kind[1]),
                        None => assert_eq!(open.pop(), Some(mark), "{asked} {answer}"),
                    }
                }
                assert!(open.is_empty() && !answer.is_empty(), "{asked} {answer}");
            }
        }
    }
}
