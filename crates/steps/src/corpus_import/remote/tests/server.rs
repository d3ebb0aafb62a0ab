//! A server for tests: files with entity tags and ranges, and faults.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone, Default)]
pub struct File {
    pub bytes: Vec<u8>,
    pub etag: Option<String>,
    /// Answer without content, with these headers.
    pub status: Option<(u16, Vec<(&'static str, String)>)>,
    /// The first answers end after so many bytes of content.
    pub drops: Vec<usize>,
    /// Ranges are ignored.
    pub whole: bool,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The file that takes its place after its first answer.
    pub then: Option<Box<File>>,
}

impl File {
    pub fn new(bytes: &[u8], etag: &str) -> File {
        File { bytes: bytes.to_vec(), etag: Some(format!("\"{etag}\"")), ..File::default() }
    }

    pub fn status(code: u16) -> File {
        File { status: Some((code, Vec::new())), ..File::default() }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HashMap<String, String>,
}

pub struct Server {
    pub url: String,
    pub files: Arc<Mutex<BTreeMap<String, File>>>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server { url, files: Arc::default(), seen: Arc::default() };
        let (files, seen) = (Arc::clone(&server.files), Arc::clone(&server.seen));
        // The thread ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no fault of the server.
                let _ = answer(stream, &files, &seen);
            }
        });
        server
    }

    pub fn put(&self, path: &str, file: File) {
        self.files.lock().unwrap().insert(path.to_owned(), file);
    }

    pub fn json(&self, path: &str, value: &serde_json::Value) {
        self.put(path, File { bytes: value.to_string().into_bytes(), ..File::default() });
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// `Range` headers of the requests for a path.
    pub fn ranges(&self, path: &str) -> Vec<Option<String>> {
        let seen = self.seen();
        seen.iter().filter(|seen| seen.path == path).map(|seen| seen.headers.get("range").cloned()).collect()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &Mutex<BTreeMap<String, File>>,
    seen: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    seen.lock().unwrap().push(Seen { path: path.clone(), headers: headers.clone() });
    let file = {
        let mut files = files.lock().unwrap();
        let file = files.get(&path).cloned().unwrap_or_else(|| File::status(404));
        if let Some(stored) = files.get_mut(&path) {
            if !stored.drops.is_empty() {
                stored.drops.remove(0);
            }
            if let Some(then) = stored.then.take() {
                *stored = *then;
            }
        }
        file
    };
    let mut head = String::new();
    if let Some((code, more)) = &file.status {
        head.push_str(&format!("HTTP/1.1 {code} x\r\ncontent-length: 0\r\nconnection: close\r\n"));
        for (name, value) in more {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        return stream.write_all(head.as_bytes());
    }
    let condition = headers.get("if-range").is_none_or(|tag| Some(tag) == file.etag.as_ref());
    let from = headers.get("range").filter(|_| condition && !file.whole);
    let from = from.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let start = from.unwrap_or(0).min(file.bytes.len());
    let length = file.bytes.len();
    head.push_str(if from.is_some() { "HTTP/1.1 206 x\r\n" } else { "HTTP/1.1 200 x\r\n" });
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n", length - start));
    if from.is_some() {
        head.push_str(&format!("content-range: bytes {start}-{}/{length}\r\n", length - 1));
    }
    if let Some(etag) = &file.etag {
        head.push_str(&format!("etag: {etag}\r\n"));
    }
    for (name, value) in &file.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let end = file.drops.first().map_or(length, |drop| (start + drop).min(length));
    stream.write_all(&file.bytes[start..end])
}
