//! Streams of events: none lost, none twice, in order, whatever is cut.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use futures_util::StreamExt;

use super::fixture::{Lab, bearer, request, submit};

fn open(lab: &Lab, query: &str, last: Option<&str>) -> Response<Body> {
    let mut request =
        request("GET", &format!("/api/v1/events{query}")).header(header::AUTHORIZATION, bearer(&lab.read));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = lab.send(request.body(Body::empty()).unwrap());
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    answer
}

/// Ids of the events in the next frames, at most `most` of them within `time`.
fn ids(lab: &Lab, answer: Response<Body>, most: usize, time: Duration) -> Vec<i64> {
    let mut found = Vec::new();
    lab.runtime.block_on(async {
        let mut frames = answer.into_body().into_data_stream();
        let deadline = Instant::now() + time;
        while found.len() < most {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(Some(frame)) = tokio::time::timeout(left, frames.next()).await else { break };
            let frame = String::from_utf8(frame.unwrap().to_vec()).unwrap();
            let id = frame.lines().find_map(|line| line.strip_prefix("id: "));
            found.extend(id.filter(|_| frame.contains("data: {\"seq\"")).map(|id| id.parse::<i64>().unwrap()));
        }
    });
    found
}

#[test]
fn ten_thousand_events_survive_random_disconnects() {
    let lab = Lab::new();
    let dir = lab.dir.path().to_owned();
    let writer = std::thread::spawn(move || {
        let mut store = stepwell_store::Store::open(&dir).unwrap();
        // Two events each.
        for number in 0..5000 {
            submit(&mut store, &format!("r{number}"));
        }
    });
    let mut seen: Vec<i64> = Vec::new();
    let mut random = 7u64;
    while seen.len() < 10_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let most = (random >> 33) as usize % 400 + 1;
        let last = seen.last().copied().unwrap_or(0).to_string();
        let found = ids(&lab, open(&lab, "", Some(&last)), most, Duration::from_secs(5));
        assert!(!found.is_empty(), "nothing after {last}");
        seen.extend(found);
    }
    writer.join().unwrap();
    let all: Vec<i64> = (1..=10_000).collect();
    assert!(seen == all, "first difference: {:?}", seen.iter().zip(&all).find(|(seen, all)| seen != all));
}

#[test]
fn a_stream_of_one_run_has_only_its_events() {
    let lab = Lab::new();
    let one = lab.submit("one");
    lab.submit("two");
    let three = lab.submit("three");
    let found = ids(&lab, open(&lab, &format!("?run={one}&after=0"), None), 9, Duration::from_millis(600));
    assert_eq!(found, [1, 2]);
    let found = ids(&lab, open(&lab, &format!("?run={three}&after=0"), None), 2, Duration::from_secs(5));
    assert_eq!(found, [5, 6]);
}

#[test]
fn an_event_arrives_within_a_second() {
    let lab = Lab::new();
    let answer = open(&lab, "", None);
    let dir = lab.dir.path().to_owned();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        submit(&mut stepwell_store::Store::open(&dir).unwrap(), "late");
        Instant::now()
    });
    let found = ids(&lab, answer, 2, Duration::from_secs(5));
    let took = writer.join().unwrap().elapsed();
    assert_eq!(found, [1, 2]);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_unknown_id_resets_the_client() {
    let lab = Lab::new();
    lab.submit("one");
    for unknown in ["99", "-1", "x"] {
        let answer = open(&lab, "", Some(unknown));
        let first = lab.runtime.block_on(async {
            let frame = answer.into_body().into_data_stream().next().await.unwrap().unwrap();
            String::from_utf8(frame.to_vec()).unwrap()
        });
        assert!(first.contains("event: reset") && first.contains("id: 2"), "{first}");
    }
}

#[test]
fn nobody_looks_for_events_when_nobody_listens() {
    let lab = Lab::new();
    let answer = open(&lab, "", None);
    assert_eq!(lab.app.feed().listeners(), 1);
    drop(answer);
    assert_eq!(lab.app.feed().listeners(), 0);
}
