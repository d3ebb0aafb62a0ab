//! A receiver over real connections that behaves as badly as it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::sha256::{base64, hmac};

/// 32 bytes that the tests know.
const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

/// What the receiver does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    Accepts,
    Answers(u16),
    /// Sends to another host.
    Redirects,
    /// Closes the connection without an answer.
    Closes,
    /// Never answers.
    Hangs,
    /// Answers with a body without end.
    Floods,
}

/// A message that was received whole, with a valid signature.
#[derive(Clone, Debug)]
pub struct Got {
    pub id: String,
    pub body: String,
    pub headers: BTreeMap<String, String>,
    pub manner: Manner,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

type Choice = dyn Fn(usize) -> Manner + Send + Sync;

pub struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    problems: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// `choose` says what to do with each request, by its number.
    pub fn start(choose: impl Fn(usize) -> Manner + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let problems: Arc<Mutex<Vec<String>>> = Arc::default();
        let choose: Arc<Choice> = Arc::new(choose);
        let receiver = Receiver { address, got: Arc::clone(&got), problems: Arc::clone(&problems) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (got, problems, choose) = (Arc::clone(&got), Arc::clone(&problems), Arc::clone(&choose));
                thread::spawn(move || {
                    let Ok(stream) = stream else { return };
                    let mut number = 0;
                    let note = |message: Message| {
                        let mut got = got.lock().unwrap();
                        number = got.len();
                        let manner = choose(number);
                        match message.verified(manner) {
                            Ok(message) => got.push(message),
                            Err(why) => problems.lock().unwrap().push(why),
                        }
                        manner
                    };
                    serve(stream, note);
                });
            }
        });
        receiver
    }

    pub fn secret() -> String {
        format!("whsec_{}", base64(&KEY))
    }

    /// The settings of a webhook that sends here.
    pub fn settings(&self, more: &str) -> String {
        format!("[[webhook]]\nurl = \"http://{}/hook\"\nsecret = {{ file = \"hook.secret\" }}\n{more}\n", self.address)
    }

    pub fn got(&self) -> Vec<Got> {
        assert_eq!(*self.problems.lock().unwrap(), Vec::<String>::new());
        self.got.lock().unwrap().clone()
    }

    pub fn accepted(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.manner == Manner::Accepts).collect()
    }
}

struct Message {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Message {
    /// `None` if the sender died in the middle.
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Message> {
        let mut headers = BTreeMap::new();
        let mut first = String::new();
        if stream.read_line(&mut first).ok()? == 0 || !first.starts_with("POST /hook HTTP/1.1") {
            return None;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        Some(Message { headers, body: String::from_utf8(body).ok()? })
    }

    fn verified(self, manner: Manner) -> Result<Got, String> {
        let header = |name: &str| self.headers.get(name).cloned().ok_or(format!("no header {name}"));
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seconds: u64 = timestamp.parse().map_err(|_| format!("no number: {timestamp}"))?;
        if now.abs_diff(seconds) > 5 {
            return Err(format!("{timestamp} is not now"));
        }
        let content = format!("{id}.{timestamp}.{}", self.body);
        let expected = format!("v1,{}", base64(&hmac(&KEY, content.as_bytes())));
        if !header("webhook-signature")?.split(' ').any(|signature| signature == expected) {
            return Err(format!("the signature of {id} is wrong"));
        }
        if header("content-type")? != "application/json" {
            return Err("no JSON".to_owned());
        }
        Ok(Got { id, body: self.body, headers: self.headers, manner })
    }
}

fn serve(stream: TcpStream, mut note: impl FnMut(Message) -> Manner) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(message) = Message::read(&mut reader) {
        let status = match note(message) {
            Manner::Accepts => "204 No Content\r\nContent-Length: 0\r\n\r\n".to_owned(),
            Manner::Answers(status) => format!("{status} No\r\nContent-Length: 11\r\n\r\nout of luck"),
            Manner::Redirects => "302 Found\r\nLocation: http://127.0.0.2:9/x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            Manner::Closes => return,
            Manner::Hangs => {
                thread::sleep(Duration::from_secs(120));
                return;
            }
            Manner::Floods => {
                let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n");
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
                return;
            }
        };
        if stream.write_all(format!("HTTP/1.1 {status}").as_bytes()).is_err() {
            return;
        }
    }
}
