//! Providers over HTTP against recorded answers, hand-made from their public documentation, and the command provider against
//! small scripts.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{Access, CommandProvider, Http, Lambda, RunPod, Vast};
use crate::money::Price;
use crate::plan::tests::plan;
use crate::provider::{Address, InstanceId, LaunchRequest, Phase, Provider, Status, Wanted};
use crate::provider_error::ProviderError;

/// Answers requests in order, and keeps what it was sent.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: &[(u16, &str)]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let mut answers: VecDeque<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        thread::spawn(move || {
            while let (Some((status, body)), Ok((stream, _))) = (answers.pop_front(), listener.accept()) {
                let mut reader = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    head.push_str(&line);
                }
                let mut sent = vec![0; length];
                reader.read_exact(&mut sent).unwrap();
                noted.lock().unwrap().push(format!("{head}\n{}", String::from_utf8(sent).unwrap()));
                let date = "Thu, 01 Jan 2026 12:00:00 GMT";
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Server { url, seen }
    }

    fn http(&self) -> Http {
        let timeout = Duration::from_secs(5);
        Http::new(Access { url: self.url.clone(), key: "the-key".to_owned(), timeout })
    }

    fn request(&self, number: usize) -> String {
        self.seen.lock().unwrap()[number].clone()
    }
}

fn id(text: &str) -> InstanceId {
    InstanceId::parse(text).unwrap()
}

fn wanted(host_type: &str) -> Wanted<'_> {
    Wanted { host_type, region: None }
}

fn noon() -> jiff::Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

const LAMBDA_TYPES: &str = r#"{"data": {
  "gpu_1x_a10": {"instance_type": {"name": "gpu_1x_a10", "description": "1x A10 (24 GB PCIe)", "price_cents_per_hour": 75,
      "specs": {"vcpus": 30, "memory_gib": 200, "storage_gib": 1400, "gpus": 1}},
    "regions_with_capacity_available": [{"name": "us-west-1", "description": "California, USA"}]},
  "gpu_8x_h100": {"instance_type": {"name": "gpu_8x_h100", "price_cents_per_hour": 2392, "specs": {}},
    "regions_with_capacity_available": []}}}"#;
const LAMBDA_INSTANCES: &str = r#"{"data": [
  {"id": "0920582c7ff041399e34823a0be62549", "name": "stepwell-0123456789abcdef", "ip": "198.51.100.2", "status": "active",
   "ssh_key_names": ["laptop"], "region": {"name": "us-west-1"}, "instance_type": {"name": "gpu_1x_a10", "price_cents_per_hour": 75}},
  {"id": "aaa", "name": null, "ip": null, "status": "booting", "instance_type": {}},
  {"id": "bbb", "name": "old", "status": "terminated", "instance_type": {}}]}"#;

#[test]
fn lambda_is_read_and_written() {
    let one = LAMBDA_INSTANCES.replace("\"data\": [", "\"data\": ").split(",\n  {").next().unwrap().to_owned() + "}";
    let server = Server::start(&[
        (200, LAMBDA_TYPES),
        (200, LAMBDA_TYPES),
        (200, LAMBDA_TYPES),
        (200, r#"{"data": {"instance_ids": ["0920582c7ff041399e34823a0be62549"]}}"#),
        (200, LAMBDA_INSTANCES),
        (200, &one),
        (
            404,
            r#"{"error": {"code": "global/object-does-not-exist", "message": "Specified instance does not exist."}}"#,
        ),
        (200, r#"{"data": {"terminated_instances": []}}"#),
    ]);
    let lambda = Lambda { http: server.http(), ssh_keys: vec!["laptop".to_owned()] };
    let price = lambda.price(wanted("gpu_1x_a10")).unwrap();
    assert_eq!((price.value, price.at), (Price(750_000), Some(noon())));
    assert!(matches!(lambda.price(wanted("gpu_8x_h100")), Err(ProviderError::NoCapacity(..))));
    assert!(matches!(lambda.price(wanted("abacus")), Err(ProviderError::UnknownHostType(_))));
    let plan = plan();
    let request = LaunchRequest {
        name: &plan.key,
        wanted: Wanted { host_type: "gpu_1x_a10", region: Some("us-west-1") },
        image: None,
        price: plan.price,
    };
    let made = lambda.launch(request).unwrap();
    assert_eq!(made.value, id("0920582c7ff041399e34823a0be62549"));
    let sent = server.request(3);
    assert!(sent.starts_with("POST /instance-operations/launch "), "{sent}");
    for part in
        ["\"name\":\"stepwell-0123456789abcdef\"", "\"region_name\":\"us-west-1\"", "[\"laptop\"]", "Bearer the-key"]
    {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    let listed = lambda.list().unwrap().value;
    assert_eq!(listed.iter().map(|one| one.phase).collect::<Vec<_>>(), [Phase::Running, Phase::Starting]);
    assert_eq!(listed[0].address, Address::ssh("198.51.100.2", 22, "ubuntu"));
    let Status::Exists(found) = lambda.status(&made.value) else { panic!() };
    assert_eq!((found.value.name.as_str(), found.value.price), ("stepwell-0123456789abcdef", Some(Price(750_000))));
    assert!(matches!(lambda.status(&made.value), Status::Gone(_)));
    lambda.terminate(&made.value).unwrap();
    assert!(server.request(7).contains("{\"instance_ids\":[\"0920582c7ff041399e34823a0be62549\"]}"));
    assert!(!lambda.launch_call(request).contains("the-key"));
}

const POD: &str = r#"{"id": "xedezhzb9la3ye", "name": "stepwell-0123456789abcdef", "desiredStatus": "RUNNING", "costPerHr": "0.74",
  "adjustedCostPerHr": 0.69, "image": "runpod/pytorch", "lastStartedAt": "2026-01-01T11:00:00.500Z",
  "publicIp": "100.65.0.119", "portMappings": {"22": 10341}}"#;

#[test]
fn runpod_is_read_and_written() {
    let listed = format!("[{POD}, {{\"id\": \"other\", \"desiredStatus\": \"EXITED\"}}]");
    let server = Server::start(&[
        (200, r#"{"data": {"gpuTypes": [{"id": "NVIDIA A40", "securePrice": 0.39}]}}"#),
        (200, r#"{"data": {"gpuTypes": []}}"#),
        (201, POD),
        (200, &listed),
        (200, POD),
        (404, "pod not found"),
        (204, ""),
    ]);
    let runpod = RunPod { http: server.http(), prices: server.http() };
    assert_eq!(runpod.price(wanted("NVIDIA A40")).unwrap().value, Price(390_000));
    assert!(matches!(runpod.price(wanted("abacus")), Err(ProviderError::UnknownHostType(_))));
    let plan = plan();
    let request =
        LaunchRequest { name: &plan.key, wanted: wanted("NVIDIA A40"), image: Some("my/image"), price: plan.price };
    assert_eq!(runpod.launch(request).unwrap().value, id("xedezhzb9la3ye"));
    let sent = server.request(2);
    for part in ["POST /pods ", "\"name\":\"stepwell-0123456789abcdef\"", "\"imageName\":\"my/image\"", "22/tcp"] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    let pods = runpod.list().unwrap().value;
    assert_eq!(pods.iter().map(|pod| pod.phase).collect::<Vec<_>>(), [Phase::Running, Phase::Stopping]);
    let Status::Exists(found) = runpod.status(&id("xedezhzb9la3ye")) else { panic!() };
    assert_eq!(found.value.started_at, Some("2026-01-01T11:00:00.5Z".parse().unwrap()));
    assert_eq!(found.value.price, Some(Price(690_000)));
    assert_eq!(found.value.address, Address::ssh("100.65.0.119", 10341, "root"));
    assert!(matches!(runpod.status(&id("xedezhzb9la3ye")), Status::Gone(_)));
    runpod.terminate(&id("xedezhzb9la3ye")).unwrap();
    assert!(server.request(6).starts_with("DELETE /pods/xedezhzb9la3ye "));
}

const VAST: &str = r#"{"id": 1234568, "label": "stepwell-0123456789abcdef", "actual_status": "running", "intended_status": "running",
  "start_date": 1767265200.25, "dph_total": 0.3456, "gpu_name": "RTX 4090", "ssh_host": "ssh5.vast.ai", "ssh_port": 12345,
  "public_ipaddr": "203.0.113.9 ", "ports": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "40123"}]}}"#;

#[test]
fn vast_is_read_and_written() {
    let offers = r#"{"offers": [{"id": 11, "dph_total": 0.40}, {"id": 10, "dph_total": 0.3456}]}"#;
    let listed = format!("{{\"instances\": [{VAST}, {{\"id\": 5, \"label\": null, \"actual_status\": null}}]}}");
    let one = format!("{{\"instances\": {VAST}}}");
    let server = Server::start(&[
        (200, offers),
        (200, offers),
        (200, r#"{"success": true, "new_contract": 1234568}"#),
        (200, offers),
        (200, &listed),
        (200, &one),
        (200, r#"{"instances": null}"#),
        (200, r#"{"success": false, "error": "no_such_instance", "msg": "Instance 1 not found."}"#),
    ]);
    let vast = Vast { http: server.http() };
    assert_eq!(vast.price(wanted("RTX_4090")).unwrap().value, Price(345_600));
    let plan = plan();
    let request =
        |price| LaunchRequest { name: &plan.key, wanted: wanted("RTX_4090"), image: None, price: Price(price) };
    assert_eq!(vast.launch(request(345_600)).unwrap().value, id("1234568"));
    assert!(server.request(1).contains("\"gpu_name\":{\"eq\":\"RTX 4090\"}"));
    assert!(server.request(2).starts_with("PUT /asks/10/ ") && server.request(2).contains(plan.key.as_str()));
    assert!(matches!(vast.launch(request(345_599)), Err(ProviderError::NoCapacity(..))), "no offer above the price");
    let listed = vast.list().unwrap().value;
    assert_eq!(listed.iter().map(|one| one.phase).collect::<Vec<_>>(), [Phase::Running, Phase::Starting]);
    let Status::Exists(found) = vast.status(&id("1234568")) else { panic!() };
    assert_eq!(found.value.started_at.unwrap().as_millisecond(), 1_767_265_200_250);
    assert_eq!(found.value.address, Address::ssh("203.0.113.9", 40123, "root"));
    assert!(matches!(vast.status(&id("1234568")), Status::Gone(_)));
    assert!(vast.terminate(&id("1")).unwrap_err().to_string().contains("Instance 1 not found."));
}

/// The faults that peers take for "terminated".
#[test]
fn an_error_is_never_an_end() {
    let long = format!("{{\"data\": [\"{}\"", "x".repeat(100));
    for (status, body) in [
        (500, "<html>oops</html>"),
        (401, r#"{"error": {"message": "Invalid API key"}}"#),
        (429, ""),
        (302, ""),
        (200, ""),
        (200, "<html>maintenance</html>"),
        (200, r#"{"data": null}"#),
        (200, r#"{"data": {"id": "other", "status": "active"}, "instances": {"id": "other"}, "id": "other"}"#),
        (200, r#"{"data": {"id": 7}, "instances": {}, "desiredStatus": 3}"#),
        (200, long.as_str()),
    ] {
        let server = Server::start(&[(status, body), (status, body), (status, body)]);
        let lambda = Lambda { http: server.http(), ssh_keys: Vec::new() };
        let runpod = RunPod { http: server.http(), prices: server.http() };
        let vast = Vast { http: server.http() };
        let providers: [&dyn Provider; 3] = [&lambda, &runpod, &vast];
        for (number, provider) in providers.into_iter().enumerate() {
            let answer = provider.status(&id("i-1"));
            assert!(matches!(answer, Status::Unknown(_)), "{status} {body} {number}: {answer:?}");
        }
    }
    let nobody =
        Http::new(Access { url: "http://127.0.0.1:1".to_owned(), key: String::new(), timeout: Duration::from_secs(5) });
    assert!(matches!(Vast { http: nobody }.status(&id("1")), Status::Unknown(ProviderError::NoAnswer(_))));
}

fn script(text: &str) -> CommandProvider {
    let argv = ["sh", "-c", text, "provider"].map(str::to_owned).to_vec();
    CommandProvider { argv, key: Some("s3cret".to_owned()), timeout: Duration::from_secs(5) }
}

#[test]
fn a_program_of_one_s_own_is_asked() {
    let provider = script(
        r#"request=$(cat)
        case $1 in
        price) echo '{"price_per_hour": "1.25", "now": "2026-01-01T12:00:00Z"}';;
        launch) case $request in *stepwell-0123456789abcdef*) echo '{"id": "m-1"}';; esac;;
        list) echo '{"instances": [{"id": "m-1", "name": "n", "phase": "running", "host": "h", "started_at": "2026-01-01T11:00:00Z"}]}';;
        status) [ ${#STEPWELL_REMOTE_KEY} = 6 ] && echo '{"status": "gone", "ended_at": "2026-01-01T11:30:00Z"}';;
        terminate) echo '{"error": "not today"}'; exit 1;;
        esac"#,
    );
    let price = provider.price(wanted("x")).unwrap();
    assert_eq!((price.value, price.at), (Price(1_250_000), Some(noon())));
    let plan = plan();
    let request = LaunchRequest { name: &plan.key, wanted: wanted("x"), image: None, price: plan.price };
    assert_eq!(provider.launch(request).unwrap().value, id("m-1"));
    assert_eq!(provider.list().unwrap().value[0].address, Address::ssh("h", 22, "root"));
    let Status::Gone(gone) = provider.status(&id("m-1")) else { panic!() };
    assert_eq!(gone.value, Some("2026-01-01T11:30:00Z".parse().unwrap()));
    assert!(provider.terminate(&id("m-1")).unwrap_err().to_string().contains("says: not today"));
    assert!(!provider.launch_call(request).contains("s3cret"));
}

#[test]
fn a_program_that_misbehaves_decides_nothing() {
    for text in [
        "exit 3",
        "echo not json",
        "echo '{}'",
        "echo '{\"status\": \"exists\"}'",
        "echo '{\"status\": \"exists\", \"instance\": {\"id\": \"other\", \"phase\": \"running\"}}'",
        "yes | head -c 6000000",
        "echo '{\"status\": \"gone\"}'; exit 1",
    ] {
        assert!(matches!(script(text).status(&id("m-1")), Status::Unknown(_)), "{text}");
    }
    let slow = CommandProvider { timeout: Duration::from_millis(200), ..script("exec sleep 60") };
    assert!(matches!(slow.status(&id("m-1")), Status::Unknown(ProviderError::Program { .. })));
    let missing = CommandProvider { argv: vec!["/no/such/program".to_owned()], ..script("") };
    assert!(matches!(missing.status(&id("m-1")), Status::Unknown(ProviderError::Program { .. })));
}
