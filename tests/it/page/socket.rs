//! The little of the WebSocket protocol (RFC 6455) that a client of the DevTools protocol needs. A library would bring
//! features to crates below the compute backend, which tests would then build a second time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A frame of text or of a close, and the bit of the last frame of a message.
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const LAST: u8 = 0x80;

pub struct Socket {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Socket {
    pub fn connect(port: u16, path: &str, patience: Duration) -> Socket {
        let mut writer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        writer.set_read_timeout(Some(patience)).unwrap();
        writer.set_nodelay(true).unwrap();
        // The key only has to be there: nothing between us and the browser could mistake the answer.
        let hello = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        writer.write_all(hello.as_bytes()).unwrap();
        let mut reader = BufReader::new(writer.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 101 "), "{line}");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Socket { reader, writer }
    }

    /// Sends a text. A client masks its frames; a mask of zeros leaves the bytes as they are.
    pub fn send(&mut self, text: &str) {
        let mut frame = vec![LAST | TEXT];
        match text.len() {
            length @ 0..126 => frame.push(LAST | length as u8),
            length @ 126..65536 => {
                frame.push(LAST | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(LAST | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.writer.write_all(&frame).unwrap();
    }

    /// The next text.
    #[track_caller]
    pub fn receive(&mut self) -> String {
        let mut message = Vec::new();
        loop {
            let [first, second] = self.bytes();
            assert_ne!(first & 0x0f, CLOSE, "the browser has ended");
            let length = match second & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                length => u64::from(length),
            };
            let mut part = vec![0; usize::try_from(length).unwrap()];
            self.reader.read_exact(&mut part).expect("the browser answers in time");
            if first & 0x0f <= TEXT {
                message.extend(part);
                if first & LAST != 0 {
                    return String::from_utf8(message).unwrap();
                }
            }
        }
    }

    #[track_caller]
    fn bytes<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        self.reader.read_exact(&mut bytes).expect("the browser answers in time");
        bytes
    }
}
