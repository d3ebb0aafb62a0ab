//! Sequences in company, against the same sequences alone.

use proptest::prelude::*;

use super::*;
use crate::cpu::Instructions;
use crate::kernels::Dtype;
use crate::network::tests::RandomModel;
use crate::sampling::SamplingOptions;

fn options() -> EngineOptions {
    EngineOptions { threads: 1, cache_bytes: 1 << 24, prefill_chunk: 64, ..EngineOptions::default() }
}

fn engine(options: &EngineOptions) -> Engine<'static> {
    Engine::from_source(&RandomModel::tiny(), vec![149], options).unwrap()
}

fn prompt(len: usize, salt: u32) -> Vec<u32> {
    (0..len as u32).map(|index| (index * 31 + salt * 17 + index * index % 7) % 149).collect()
}

/// Runs until nothing is left.
fn run(engine: &mut Engine<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..10_000 {
        if engine.is_idle() {
            return events;
        }
        events.extend(engine.step());
    }
    panic!("the engine does not come to an end");
}

fn tokens_of(events: &[Event], id: u64) -> Vec<(Vec<u32>, Reason)> {
    let finished = events.iter().filter_map(|event| match event {
        Event::Finished(finished) if finished.id == id => Some((finished.choice, finished)),
        _ => None,
    });
    let mut finished: Vec<_> = finished.collect();
    finished.sort_by_key(|(choice, _)| *choice);
    finished.into_iter().map(|(_, finished)| (finished.tokens.clone(), finished.reason.clone())).collect()
}

/// Log-probabilities of all tokens, as bits.
fn bits_of(events: &[Event], id: u64) -> Vec<(usize, u32, Vec<u64>)> {
    let mut all: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Token { id: of, choice, token, logprobs: Some(logprobs), .. } if *of == id => {
                let all = logprobs.top.iter().chain([&logprobs.chosen]);
                Some((
                    *choice,
                    *token,
                    all.map(|one| (u64::from(one.token) << 32) | u64::from(one.logprob.to_bits())).collect(),
                ))
            }
            _ => None,
        })
        .collect();
    all.sort_by_key(|(choice, ..)| *choice);
    all
}

fn request(id: u64, len: usize) -> Request {
    let sampling = SamplingOptions {
        max_tokens: Some(20 + id as usize % 30),
        temperature: [0.0, 1.0, 2.0][id as usize % 3],
        top_p: [1.0, 0.9][id as usize % 2],
        repetition_penalty: [1.0, 1.3][id as usize / 2 % 2],
        seed: id,
        n: 1 + id as usize % 2,
        logprobs: Some(20),
        ..SamplingOptions::default()
    };
    // Half of the prompts start alike.
    Request { id, prompt: prompt(len, if id.is_multiple_of(2) { 0 } else { id as u32 }), sampling }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The claim of this crate.
    #[test]
    fn tokens_and_log_probabilities_have_equal_bits_in_any_company(
        lens in prop::collection::vec(1..120usize, 1..7),
        order in any::<prop::sample::Index>(),
        gaps in prop::collection::vec(0..6usize, 7),
        slots in 1..9usize,
        prefill_chunk in 1..100usize,
        threads in 1..4usize,
        blocks in 6..40usize,
        shared in 1..40usize,
        prefix_cache in prop::sample::select(vec![PrefixCache::On, PrefixCache::Off]),
        dtype in prop::sample::select(vec![Dtype::F32, Dtype::Bf16, Dtype::Q8_0]),
        set in any::<prop::sample::Index>(),
    ) {
        let all = Instructions::all();
        let instructions = Some(*set.get(&all));
        let block = 3 * 2 * (20 + 32) * 32 * if dtype == Dtype::F32 { 4 } else { 2 };
        let mut together = engine(&EngineOptions {
            dtype, slots, prefill_chunk, threads, prefix_cache, instructions, cache_bytes: blocks * block,
            shared_cache_bytes: shared * block, ..options()
        });
        let mut events = Vec::new();
        let start = order.index(lens.len());
        for (index, gap) in gaps.iter().enumerate().take(lens.len()) {
            let id = (index + start) % lens.len();
            together.submit(request(id as u64, lens[id])).unwrap();
            for _ in 0..*gap {
                events.extend(together.step());
            }
        }
        events.extend(run(&mut together));
        prop_assert_eq!(together.stats().blocks_used, 0);
        for (id, len) in lens.iter().enumerate() {
            let mut alone = engine(&EngineOptions { dtype, ..options() });
            alone.submit(request(id as u64, *len)).unwrap();
            let expected = run(&mut alone);
            prop_assert_eq!(tokens_of(&events, id as u64), tokens_of(&expected, id as u64));
            prop_assert_eq!(bits_of(&events, id as u64), bits_of(&expected, id as u64));
        }
    }
}

/// Three sequences that fit one at a time, but not together, to their end.
#[test]
fn a_full_cache_preempts_the_youngest_and_all_finish() {
    let block = 3 * 2 * (20 + 32) * 32 * 4;
    let mut engine = engine(&EngineOptions { cache_bytes: 5 * block, ..options() });
    for id in 0..3 {
        let sampling =
            SamplingOptions { max_tokens: Some(100), temperature: 0.0, ignore_eos: true, ..SamplingOptions::default() };
        engine.submit(Request { id, prompt: prompt(30, id as u32), sampling }).unwrap();
    }
    let events = run(&mut engine);
    assert!(engine.stats().preemptions > 0);
    for id in 0..3 {
        let [(tokens, reason)] = &tokens_of(&events, id)[..] else { panic!("one completion") };
        assert_eq!((tokens.len(), reason), (100, &Reason::Length));
    }
}

/// Two sequences share three blocks at most; one that is longer runs alone, in as much as it needs.
#[test]
fn company_shares_less_of_the_cache_than_one_alone_may_take() {
    let block = 3 * 2 * (20 + 32) * 32 * 4;
    let shared = EngineOptions { shared_cache_bytes: 3 * block, prefix_cache: PrefixCache::Off, ..options() };
    let mut engine = engine(&shared);
    for (id, len) in [(0, 20), (1, 20), (2, 200), (3, 20)] {
        let sampling = SamplingOptions { max_tokens: Some(10), ignore_eos: true, ..SamplingOptions::default() };
        engine.submit(Request { id, prompt: prompt(len, id as u32), sampling }).unwrap();
    }
    let mut seen = Vec::new();
    while !engine.is_idle() {
        engine.step();
        let Stats { running, blocks_used, .. } = engine.stats();
        seen.push((running, blocks_used));
        assert!(running < 2 || blocks_used <= 3, "{running} sequences hold {blocks_used} blocks");
    }
    assert!(seen.contains(&(1, 7)), "210 tokens: {seen:?}");
    assert!(seen.iter().any(|(running, _)| *running > 1), "{seen:?}");
}

/// The number of bytes stands in specs/inference.md.
#[test]
fn the_usual_cache_holds_one_long_sequence_and_company_less() {
    let tiny = RandomModel::tiny().shape;
    let shape = stepwell_models::Shape { layers: 30, heads: 9, kv_heads: 3, head_dim: 64, context: 8192, ..tiny };
    let cache = |dtype| {
        let EngineOptions { cache_bytes, shared_cache_bytes, .. } = EngineOptions::for_model(&shape, dtype);
        (cache_bytes >> 20, shared_cache_bytes >> 20)
    };
    assert_eq!([cache(Dtype::F32), cache(Dtype::Bf16), cache(Dtype::Q8_0)], [(360, 192), (192, 192), (192, 192)]);
}

#[test]
fn a_prefix_is_computed_once() {
    let mut engine = engine(&options());
    let greedy = SamplingOptions { max_tokens: Some(2), temperature: 0.0, n: 3, ..SamplingOptions::default() };
    for id in 0..2 {
        engine.submit(Request { id, prompt: prompt(100, 0), sampling: greedy.clone() }).unwrap();
        run(&mut engine);
    }
    let stats = engine.stats();
    // 96 of 100 tokens are whole blocks.
    assert_eq!((stats.prompt_tokens, stats.cached_tokens), (100 + 5 * 4, 5 * 96));
}

#[test]
fn scores_of_a_prompt_are_those_of_its_tokens_one_by_one() {
    let text = prompt(70, 3);
    let sampling = SamplingOptions {
        max_tokens: Some(1),
        temperature: 0.0,
        logprobs: Some(2),
        prompt_logprobs: Some(2),
        ..SamplingOptions::default()
    };
    let score = |engine: &mut Engine<'_>, len: usize| {
        engine.submit(Request { id: 1, prompt: text[..len].to_vec(), sampling: sampling.clone() }).unwrap();
        run(engine)
    };
    let mut engine = engine(&EngineOptions { prefill_chunk: 13, ..options() });
    let Event::Prompt { logprobs, .. } = &score(&mut engine, 70)[0] else { panic!("scores of the prompt come first") };
    assert_eq!((logprobs.len(), logprobs[0].is_none()), (70, true));
    for position in 1..70 {
        let events = score(&mut engine, position);
        let Event::Token { logprobs: Some(next), .. } = &events[1] else { panic!("a token") };
        let found = logprobs[position].as_ref().unwrap();
        assert_eq!((found.chosen.token, &found.top), (text[position], &next.top));
    }
}

#[test]
fn the_end_of_a_text_is_one_of_its_tokens_or_the_limit() {
    let mut engine = engine(&options());
    let greedy = SamplingOptions { max_tokens: Some(30), temperature: 0.0, ..SamplingOptions::default() };
    let mut answer = |id, sampling: SamplingOptions| {
        engine.submit(Request { id, prompt: prompt(5, 1), sampling }).unwrap();
        tokens_of(&run(&mut engine), id).remove(0)
    };
    let (free, reason) = answer(1, greedy.clone());
    assert_eq!((free.len(), reason), (30, Reason::Length));
    let (token, until) = (free[7], free.iter().position(|token| *token == free[7]).unwrap());
    let stop = SamplingOptions { stop_token_ids: vec![token], ..greedy.clone() };
    assert_eq!(answer(2, stop.clone()), (free[..until].to_vec(), Reason::Stop(StopCause::Token(token))));
    let (later, _) = answer(3, SamplingOptions { min_tokens: until + 3, ..stop });
    assert!(later.len() >= until + 3 && later[..until] == free[..until]);
    let eos = SamplingOptions { logit_bias: vec![(149, 100.0)], ..greedy };
    assert_eq!(answer(4, eos.clone()), (vec![], Reason::Stop(StopCause::Eos(149))));
    let (ignored, reason) = answer(5, SamplingOptions { ignore_eos: true, ..eos });
    assert_eq!((ignored, reason), (vec![149; 30], Reason::Length));
}

#[test]
fn what_cannot_be_computed_is_refused_and_nothing_is_queued() {
    let block = 3 * 2 * (20 + 32) * 32 * 4;
    let mut engine = engine(&EngineOptions { cache_bytes: 4 * block, ..options() });
    let mut refused = |prompt: Vec<u32>, sampling: SamplingOptions| {
        engine.submit(Request { id: 1, prompt, sampling }).map_err(|error| error.to_string()).unwrap_err()
    };
    let free = SamplingOptions::default();
    assert_eq!(refused(vec![], free.clone()), "the prompt has no tokens");
    assert!(refused(vec![1, 150], free.clone()).starts_with("token 150 at position 1 of the prompt is outside"));
    assert!(refused(vec![1; 300], free.clone()).starts_with("the prompt has 300 tokens, but the context has 300"));
    let message = refused(vec![1; 100], SamplingOptions { max_tokens: Some(30), ..free.clone() });
    assert!(message.starts_with("prompt and answer have up to 130 tokens, but the cache holds 128"), "{message}");
    assert!(refused(vec![1], SamplingOptions { n: 0, ..free.clone() }).starts_with("`n` is 0"));
    assert!(engine.is_idle());
    let short = Request { id: 1, prompt: vec![1], sampling: SamplingOptions { max_tokens: Some(5), ..free } };
    assert_eq!(engine.submit(short.clone()), Ok(()));
    assert_eq!(engine.submit(short), Err(Refused::DuplicateId { id: 1 }));
    engine.step();
    assert!(engine.cancel(1) && engine.is_idle() && !engine.cancel(1));
    assert_eq!(engine.stats().blocks_used, 0);
}
