//! Sums and differences, such as `47 - 8 = 39`.

use super::line::Line;
use stepwell_base::rng::Rng;

/// Numbers have 1 to `digits` digits, each length equally often; no difference is below 0.
pub fn line(rng: &mut Rng, digits: u64) -> Line {
    let mut number = || {
        let length = 1 + rng.below(digits) as u32;
        rng.below(10_u64.pow(length))
    };
    let (one, other) = (number(), number());
    let (larger, smaller) = (one.max(other), one.min(other));
    if rng.below(2) == 0 {
        Line { asked: format!("{one} + {other} ="), answer: (one + other).to_string() }
    } else {
        Line { asked: format!("{larger} - {smaller} ="), answer: (larger - smaller).to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_right_also_for_the_longest_numbers() {
        let mut rng = Rng::new(1);
        for digits in [1, 2, 17] {
            for _ in 0..200 {
                let Line { asked, answer } = line(&mut rng, digits);
                let words: Vec<&str> = asked.split(' ').collect();
                let [one, other] = [words[0], words[2]].map(|word| word.parse::<i128>().unwrap());
                let wanted = if words[1] == "+" { one + other } else { one - other };
                assert!(wanted >= 0 && answer == wanted.to_string(), "{asked} {answer}");
            }
        }
    }
}
