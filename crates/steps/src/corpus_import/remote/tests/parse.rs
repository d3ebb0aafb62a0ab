//! Tests addresses: their form, and which of them are public.

use crate::corpus_import::remote::address::is_public;
use crate::corpus_import::remote::hub::HubPath;
use crate::corpus_import::remote::place::Place;
use crate::corpus_import::remote::url::{Url, decoded, encoded};

#[test]
fn only_addresses_of_the_public_internet_are_public() {
    for address in ["1.1.1.1", "9.255.255.255", "100.63.0.1", "172.32.0.1", "198.20.0.1", "223.1.1.1"] {
        assert!(is_public(address.parse().unwrap()), "{address}");
        assert!(is_public(format!("::ffff:{address}").parse().unwrap()), "{address}");
    }
    for address in ["2606:4700::1111", "2a00:1450::1", "64:ff9b::101:101"] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
        assert!(!is_public(format!("::ffff:{address}").parse().unwrap()), "mapped {address}");
        assert!(!is_public(format!("64:ff9b::{address}").parse().unwrap()), "translated {address}");
    }
    for address in [
        "::",
        "::1",
        "::127.0.0.1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "100::1",
    ] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn sources_on_servers_are_told_from_paths() {
    for source in
        ["a.txt", "data/*.jsonl", "httpx/file", "builtin:grammar", "https", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}.txt"]
    {
        assert_eq!(Place::parse(source).unwrap(), None, "{source}");
    }
    let Some(Place::Url(url)) = Place::parse("HTTPS://example.org/a/b%20c.jsonl.gz?x=/y").unwrap() else { panic!() };
    assert_eq!((url.file_name().as_str(), url.sha256), ("b c.jsonl.gz", None));
    let pinned = Url::parse(&format!("https://example.org/#sha256={}", "AB".repeat(32))).unwrap();
    assert_eq!((pinned.file_name().as_str(), pinned.sha256.unwrap()), ("index", "ab".repeat(32)));
    for (source, why) in [
        ("https://", "no address"),
        ("https:///a", "no address"),
        ("https://user:secret@example.org/a", "user name or password"),
        ("https://example.org/a#part", "no checksum"),
        ("https://example.org/a#sha256=12", "no checksum"),
        ("https://exa mple.org/", "no address"),
    ] {
        let failure = Place::parse(source).unwrap_err();
        assert!(failure.message.contains(why) || failure.message.contains("has no host"), "{source}: {failure}");
        assert!(!failure.message.contains("secret"), "{failure}");
        assert!(failure.hint.is_some());
    }
}

#[test]
fn a_path_on_the_hub_names_its_revision() {
    let path = HubPath::parse("hf://datasets/stanford/wiki@0123abc/data/train-*.jsonl").unwrap();
    assert_eq!(
        path.file_url("https://h", "c0ffee", "data/a b.jsonl"),
        "https://h/datasets/stanford/wiki/resolve/c0ffee/data/a%20b.jsonl"
    );
    let model = HubPath::parse("hf://o/m@refs%2Fpr%2F1").unwrap();
    assert_eq!(model.revision, "refs/pr/1");
    assert_eq!(model.file_url("https://h", "c0ffee", "x"), "https://h/o/m/resolve/c0ffee/x");
    for (source, why) in [
        ("hf://datasets/o/n/file", "names no revision"),
        ("hf://datasets/o", "names no repository"),
        ("hf://o/n@", "names no revision"),
        ("hf://o/n@a..b", "names no revision"),
        ("hf://../n@main", "names no repository"),
        ("hf://o/n@main/../../x", "leaves its repository"),
    ] {
        let failure = HubPath::parse(source).unwrap_err();
        assert!(failure.message.contains(why), "{source}: {failure}");
    }
}

#[test]
fn paths_are_encoded_and_names_decoded() {
    assert_eq!(encoded("a b/\u{e9}#?.txt"), "a%20b/%C3%A9%23%3F.txt");
    assert_eq!(decoded("a%20b%2Fc%00%C3%A9%zz%"), "a b%2Fc%00\u{e9}%zz%");
}
