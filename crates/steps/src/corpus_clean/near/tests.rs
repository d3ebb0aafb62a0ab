//! Tests the estimate against exact similarity, and the decision against comparing all pairs.

use std::collections::{HashMap, HashSet};

use super::band_files::BandFiles;
use super::decide::{decide, decide_with};
use super::signature::{Signature, Signer};
use stepwell_base::rng::Rng;

/// A text of `words` random words.
fn text(rng: &mut Rng, words: usize) -> Vec<String> {
    (0..words).map(|_| format!("w{}", rng.below(5000))).collect()
}

/// The text with some words replaced.
fn changed(rng: &mut Rng, text: &[String], replaced: usize) -> Vec<String> {
    let mut text = text.to_vec();
    for _ in 0..replaced {
        let at = rng.below(text.len() as u64) as usize;
        text[at] = format!("x{}", rng.below(5000));
    }
    text
}

fn jaccard(one: &[String], other: &[String]) -> f64 {
    let shingles = |text: &[String]| text.windows(5).map(<[String]>::to_vec).collect::<HashSet<_>>();
    let (one, other) = (shingles(one), shingles(other));
    one.intersection(&other).count() as f64 / one.union(&other).count() as f64
}

#[test]
fn the_estimate_is_unbiased() {
    let (signer, mut rng) = (Signer::new(), Rng::new(5));
    for replaced in [0, 2, 6, 15, 40] {
        let (mut error, mut largest) = (0.0, 0.0_f64);
        for _ in 0..200 {
            let one = text(&mut rng, 200);
            let other = changed(&mut rng, &one, replaced);
            let sign = |text: &[String]| signer.sign(&text.join(" ")).unwrap();
            let off = sign(&one).similarity(&sign(&other)) - jaccard(&one, &other);
            error += off / 200.0;
            largest = largest.max(off.abs());
        }
        assert!(error.abs() < 0.015, "{replaced} words: mean error {error}");
        assert!(largest < 0.2, "{replaced} words: {largest}");
    }
}

#[test]
fn case_and_punctuation_do_not_matter_and_a_text_without_words_has_no_signature() {
    let signer = Signer::new();
    let sign = |text: &str| signer.sign(text);
    assert_eq!(sign("The cat, the dog; and THE bird!"), sign("the cat the dog and the bird"));
    assert_ne!(sign("the cat the dog and the bird"), sign("the cat the dog and a bird"));
    assert_eq!(sign("?! -- ..."), None);
    assert!(sign("one").is_some());
    assert_ne!(
        sign("\u{4e2d}\u{6587}\u{6587}\u{672c}\u{4e00}\u{4e8c}"),
        sign("\u{4e2d}\u{6587}\u{6587}\u{672c}\u{4e00}\u{4e09}")
    );
}

/// The decision by comparing every document with every kept one, of those that share a band.
fn all_pairs(signatures: &[Option<Box<Signature>>], similarity: f64) -> HashMap<u32, u32> {
    let mut like = HashMap::new();
    for (at, one) in signatures.iter().enumerate() {
        let Some(one) = one else { continue };
        let kept = (0..at).find(|other| {
            let Some(other_signature) = &signatures[*other] else { return false };
            !like.contains_key(&(*other as u32))
                && (0..14).any(|band| one.band(band) == other_signature.band(band))
                && one.similarity(other_signature) >= similarity
        });
        like.extend(kept.map(|kept| (at as u32, kept as u32)));
    }
    like
}

#[test]
fn the_decision_is_that_of_all_pairs_in_any_number_of_passes() {
    let (signer, mut rng) = (Signer::new(), Rng::new(9));
    let originals: Vec<Vec<String>> = (0..30).map(|_| text(&mut rng, 120)).collect();
    let mut signatures = vec![None];
    for round in 0..6 {
        for original in &originals {
            signatures.push(signer.sign(&changed(&mut rng, original, round).join(" ")));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut files = BandFiles::create(folder.path()).unwrap();
    for signature in &signatures {
        files.add(signature.as_deref()).unwrap();
    }
    let files = files.finish().unwrap();
    let decided = decide(&files, 0.8).unwrap();
    for at_once in [1, 7, 50] {
        assert_eq!(decided, decide_with(&files, 0.8, at_once).unwrap());
    }
    let expected = all_pairs(&signatures, 0.8);
    assert!(expected.len() > 60, "{}", expected.len());
    let like: HashMap<u32, u32> = decided.like.iter().map(|(document, (kept, _))| (*document, *kept)).collect();
    assert_eq!(like, expected);
    files.remove();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
