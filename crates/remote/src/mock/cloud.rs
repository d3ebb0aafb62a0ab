//! Instances as files, with a clock that a test may set.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::{self, Fault};
use crate::money::Price;

/// Host types with their prices in dollars per hour.
const TYPES: [(&str, f64); 3] = [("tiny", 0.017), ("small", 0.5), ("large", 2.49)];

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    name: String,
    host_type: String,
    /// By the provider's clock, in milliseconds.
    started_ms: i64,
    ended_ms: Option<i64>,
    /// By the clock of this machine: lists lag in real time, also when the provider's clock stands still.
    made_ms: i64,
}

/// What the process of a call does.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    Prints(Value),
    /// It ends with an error and without a word.
    Silent,
}

/// Answers one call.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn answer(folder: &Path, operation: &str, request: &Value) -> io::Result<Answer> {
    fs::create_dir_all(folder.join("instances"))?;
    let slow = faults::lasting(folder, operation, "slow")?;
    thread::sleep(Duration::from_millis(slow.max(0).cast_unsigned()));
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let fault = faults::next(folder, operation)?;
    let cloud = Cloud { folder, now: now(folder)?, lag: faults::lasting(folder, "list", "lag")? };
    cloud.note(operation, request, fault)?;
    match fault {
        Some(Fault::Fail) => return Ok(Answer::Prints(json!({ "error": "500 internal server error" }))),
        Some(Fault::Refuse) => return Ok(Answer::Prints(json!({ "error": "quota exceeded" }))),
        Some(Fault::Ignore) => return Ok(Answer::Prints(json!({ "now": time(cloud.now) }))),
        Some(Fault::Lost | Fault::Error) | None => {}
    }
    let mut done = match operation {
        "price" => price(request),
        "launch" => cloud.launch(request)?,
        "list" => cloud.list()?,
        "status" => cloud.status(request)?,
        "terminate" => cloud.terminate(request)?,
        other => json!({ "error": format!("no operation `{other}`") }),
    };
    match fault {
        Some(Fault::Lost) => return Ok(Answer::Silent),
        Some(Fault::Error) => done = json!({ "error": "500 internal server error" }),
        _ => done["now"] = json!(time(cloud.now)),
    }
    Ok(Answer::Prints(done))
}

/// The provider's clock: the file `clock` in milliseconds since 1970, or that of this machine, plus the skew.
fn now(folder: &Path) -> io::Result<i64> {
    let skew = faults::lasting(folder, "clock", "skew")?;
    let clock = match fs::read_to_string(folder.join("clock")) {
        Ok(text) => text.trim().parse().map_err(|_| io::Error::other("`clock` is no number of milliseconds"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Timestamp::now().as_millisecond(),
        Err(error) => return Err(error),
    };
    Ok(clock + skew)
}

fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn dollars(host_type: &str) -> Option<f64> {
    TYPES.iter().find(|(name, _)| *name == host_type).map(|(_, price)| *price)
}

fn price(request: &Value) -> Value {
    match dollars(text(request, "host_type")) {
        Some(price) => json!({ "price_per_hour": price }),
        None => json!({ "error": format!("no host type `{}`: try tiny, small or large", text(request, "host_type")) }),
    }
}

struct Cloud<'f> {
    folder: &'f Path,
    now: i64,
    lag: i64,
}

impl Cloud<'_> {
    /// Appends the call to `calls`, for people and tests.
    fn note(&self, operation: &str, request: &Value, fault: Option<Fault>) -> io::Result<()> {
        let mut calls = OpenOptions::new().create(true).append(true).open(self.folder.join("calls"))?;
        let about = request["name"].as_str().or(request["id"].as_str()).unwrap_or("-");
        let fault = fault.map_or_else(|| "-".to_owned(), |fault| format!("{fault:?}"));
        calls.write_all(format!("{operation} {about} {fault}\n").as_bytes())
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join("instances").join(format!("{id}.json"))
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let new = self.folder.join("instances").join(format!("{}.new", record.id));
        fs::write(&new, serde_json::to_vec(record)?)?;
        fs::rename(new, self.file(&record.id))
    }

    fn records(&self) -> io::Result<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        for entry in fs::read_dir(self.folder.join("instances"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.push(serde_json::from_slice(&fs::read(path)?)?);
            }
        }
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    fn visible(&self) -> io::Result<Vec<Record>> {
        let real = Timestamp::now().as_millisecond();
        let mut records = self.records()?;
        records.retain(|record| record.made_ms + self.lag <= real);
        Ok(records)
    }

    fn disk(&self, id: &str) -> PathBuf {
        self.folder.join("disks").join(id)
    }

    fn launch(&self, request: &Value) -> io::Result<Value> {
        if dollars(text(request, "host_type")).is_none() {
            return Ok(price(request));
        }
        let id = format!("i-{}", Uuid::now_v7().simple());
        fs::create_dir_all(self.disk(&id))?;
        let record = Record {
            id: id.clone(),
            name: text(request, "name").to_owned(),
            host_type: text(request, "host_type").to_owned(),
            started_ms: self.now,
            ended_ms: None,
            made_ms: Timestamp::now().as_millisecond(),
        };
        self.write(&record)?;
        Ok(json!({ "id": id }))
    }

    fn form(&self, record: &Record) -> io::Result<Value> {
        Ok(json!({
            "id": record.id,
            "name": record.name,
            "phase": "running",
            "folder": fs::canonicalize(self.disk(&record.id))?,
            "started_at": time(record.started_ms),
            "price_per_hour": dollars(&record.host_type),
        }))
    }

    fn list(&self) -> io::Result<Value> {
        let live = self.visible()?.into_iter().filter(|record| record.ended_ms.is_none());
        let forms = live.map(|record| self.form(&record)).collect::<io::Result<Vec<Value>>>()?;
        Ok(json!({ "instances": forms }))
    }

    fn status(&self, request: &Value) -> io::Result<Value> {
        let found = self.visible()?.into_iter().find(|record| record.id == text(request, "id"));
        Ok(match found {
            None => json!({ "status": "gone" }),
            Some(Record { ended_ms: Some(ended), .. }) => json!({ "status": "gone", "ended_at": time(ended) }),
            Some(record) => json!({ "status": "exists", "instance": self.form(&record)? }),
        })
    }

    fn terminate(&self, request: &Value) -> io::Result<Value> {
        let found = self.records()?.into_iter().find(|record| record.id == text(request, "id"));
        let Some(mut record) = found else { return Ok(json!({ "error": "no such instance" })) };
        if record.ended_ms.is_none() {
            record.ended_ms = Some(self.now);
            self.write(&record)?;
            fs::rename(self.disk(&record.id), self.disk(&format!("{}-ended", record.id)))?;
        }
        Ok(json!({}))
    }
}

/// What the provider charges for all instances that were ever made, in cents per instance.
///
/// # Errors
/// When the folder cannot be read.
pub fn bill(folder: &Path) -> io::Result<Vec<u64>> {
    let cloud = Cloud { folder, now: now(folder)?, lag: 0 };
    let cents = |record: &Record| {
        let time = record.ended_ms.unwrap_or(cloud.now) - record.started_ms;
        let price = dollars(&record.host_type).and_then(Price::from_dollars).unwrap_or_default();
        price.of(Duration::from_millis(time.max(0).cast_unsigned())).0
    };
    Ok(cloud.records()?.iter().map(cents).collect())
}
