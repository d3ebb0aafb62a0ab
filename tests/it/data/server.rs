//! A server that sends one file slowly, with entity tag and ranges, and counts what it sends.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Bytes between two pauses.
const CHUNK: usize = 64 << 10;

pub struct Shared {
    pub bytes: Vec<u8>,
    pub etag: Mutex<String>,
    pub sent: AtomicU64,
    pause: Duration,
}

pub struct Server {
    pub url: String,
    pub shared: Arc<Shared>,
}

impl Server {
    pub fn start(bytes: Vec<u8>, pause: Duration) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { bytes, etag: Mutex::new("\"v1\"".to_owned()), sent: AtomicU64::new(0), pause });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A killed client ends the answer.
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Server { url, shared }
    }

    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut from = 0;
    let mut condition = None;
    let mut path = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        let lower = line.to_ascii_lowercase();
        if let Some(range) = lower.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
        if lower.starts_with("if-range:") {
            condition = line.split_once(": ").map(|(_, tag)| tag.to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    if path.contains("missing") {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let etag = shared.etag.lock().unwrap().clone();
    if condition.is_some_and(|tag| tag != etag) {
        from = 0;
    }
    let length = shared.bytes.len();
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let mut head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: {etag}\r\nconnection: close\r\n", length - from);
    if from > 0 {
        head.push_str(&format!("content-range: bytes {from}-{}/{length}\r\n", length - 1));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    for chunk in shared.bytes[from..].chunks(CHUNK) {
        stream.write_all(chunk)?;
        shared.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        thread::sleep(shared.pause);
    }
    Ok(())
}
