use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stepwell_base::artifact::Digest;
use stepwell_base::failure::{Failure, FailureKind};

use super::{ArtifactError, ArtifactStore};

fn store() -> (tempfile::TempDir, ArtifactStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(&dir.path().join("new/state")).unwrap();
    (dir, store)
}

/// Makes a published file writable and changes it in place.
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn files_below(dir: &Path) -> usize {
    walkdir::WalkDir::new(dir).into_iter().filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count()
}

#[test]
fn bytes_come_back_and_are_read_only() {
    let (_dir, store) = store();
    let artifact = store.put_bytes(b"hello", "text/plain").unwrap();
    assert_eq!(artifact.digest, Digest::of(b"hello"));
    assert_eq!((artifact.size, artifact.media_type.as_str()), (5, "text/plain"));
    assert_eq!(store.read(&artifact).unwrap(), b"hello");
    let path = store.verified_path(&artifact).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(path.parent().unwrap().file_name().unwrap().to_str().unwrap(), &artifact.digest.as_str()[..2]);
}

#[test]
fn put_file_streams_a_large_file_to_the_same_digest_as_put_bytes() {
    let (dir, store) = store();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i * 31 % 251) as u8).collect();
    let path = dir.path().join("large");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(store.put_file(&path, "x").unwrap(), store.put_bytes(&bytes, "x").unwrap());
    assert_eq!(files_below(&dir.path().join("new/state/artifacts/blobs")), 1);
}

#[test]
fn a_flipped_byte_is_found_by_every_way_to_read() {
    let (dir, store) = store();
    let artifact = store.put_bytes(b"abcdefgh", "x").unwrap();
    let tree = store.put_tree(&BTreeMap::from([("a/b".to_owned(), artifact.clone())])).unwrap();
    overwrite(&store.blob_path(&artifact.digest), b"abcdefgH");
    let damaged = |result: Result<(), ArtifactError>| match result {
        Err(ArtifactError::Damaged { digest, actual, .. }) => {
            assert_eq!((digest, actual), (Digest::of(b"abcdefgh"), Digest::of(b"abcdefgH")));
        }
        other => panic!("expected damage, got {other:?}"),
    };
    damaged(store.verified_path(&artifact).map(drop));
    damaged(store.read(&artifact).map(drop));
    damaged(store.verify(&artifact));
    damaged(store.verify(&tree));
    let dest = dir.path().join("out");
    damaged(store.materialise(&tree, &dest));
    damaged(store.materialise(&artifact, &dest));
    assert!(!dest.exists());
    let leftovers: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(leftovers, ["new"], "a failed materialise leaves nothing");
}

#[test]
fn a_missing_blob_is_named_and_is_fatal() {
    let (_dir, store) = store();
    let artifact = store.put_bytes(b"x", "x").unwrap();
    fs::remove_file(store.blob_path(&artifact.digest)).unwrap();
    let error = store.verified_path(&artifact).unwrap_err();
    assert!(matches!(error, ArtifactError::Missing { .. }), "{error}");
    assert!(error.to_string().contains(artifact.digest.as_str()) && error.to_string().contains("run the step"));
    let failure = Failure::from(error);
    assert_eq!(failure.kind, FailureKind::Fatal);
    assert!(failure.hint.is_some());
    assert!(matches!(
        store.put_tree(&BTreeMap::from([("a".to_owned(), artifact)])),
        Err(ArtifactError::Missing { .. })
    ));
}

#[test]
fn no_space_is_typed() {
    let error = ArtifactError::io("write", Path::new("blob"), std::io::Error::from_raw_os_error(28));
    assert!(matches!(error, ArtifactError::NoSpace { .. }));
    assert_eq!(Failure::from(error).kind, FailureKind::NoSpace);
}

#[test]
fn an_interrupted_writer_leaves_nothing() {
    let (dir, store) = store();
    let mut writer = store.writer("x").unwrap();
    writer.write_all(&vec![7; 1 << 20]).unwrap();
    assert_eq!(files_below(dir.path()), 1);
    drop(writer);
    assert_eq!(files_below(dir.path()), 0);
}

#[test]
fn clean_temp_removes_what_a_killed_writer_left() {
    let (dir, store) = store();
    let kept = store.put_bytes(b"kept", "x").unwrap();
    fs::write(store.temp_dir().join("half-written"), "half").unwrap();
    assert_eq!(store.unpublished().unwrap().len(), 1);
    assert_eq!(store.clean_temp().unwrap().len(), 1);
    assert_eq!((store.unpublished().unwrap(), store.clean_temp().unwrap()), (vec![], vec![]));
    assert_eq!(files_below(&dir.path().join("new/state/artifacts/blobs")), 1);
    store.verify(&kept).unwrap();
}

/// A server takes an upload while an engine starts.
#[test]
fn the_file_of_a_writer_that_lives_stays() {
    let (dir, store) = store();
    let another = ArtifactStore::open(&dir.path().join("new/state")).unwrap();
    let mut writer = store.writer("x").unwrap();
    writer.write_all(b"one ").unwrap();
    assert_eq!((another.unpublished().unwrap(), another.clean_temp().unwrap()), (vec![], vec![]));
    writer.write_all(b"upload").unwrap();
    assert_eq!(another.read(&writer.finish().unwrap()).unwrap(), b"one upload");
}

#[test]
fn writers_and_cleaners_at_once_lose_nothing() {
    let (dir, store) = store();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            let mut removed = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                removed += store.clean_temp().unwrap().len();
            }
            removed
        });
        for number in 0..300_u32 {
            store.put_bytes(&number.to_le_bytes(), "x").unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        cleaner.join().unwrap();
    });
    assert_eq!(files_below(&dir.path().join("new/state/artifacts/blobs")), 300);
}

#[test]
fn putting_again_keeps_intact_content_and_replaces_damaged_content() {
    let (_dir, store) = store();
    let artifact = store.put_bytes(b"content", "x").unwrap();
    let path = store.blob_path(&artifact.digest);
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let first = modified();
    store.put_bytes(b"content", "x").unwrap();
    assert_eq!(modified(), first);
    for damage in [&b"Content"[..], b"con"] {
        overwrite(&path, damage);
        assert!(store.verify(&artifact).is_err());
        store.put_bytes(b"content", "x").unwrap();
        store.verify(&artifact).unwrap();
    }
}

#[test]
fn a_reference_with_another_size_is_refused() {
    let (_dir, store) = store();
    let mut artifact = store.put_bytes(b"four", "x").unwrap();
    artifact.size = 5;
    assert!(matches!(store.verified_path(&artifact), Err(ArtifactError::WrongSize { actual: 4, .. })));
    assert!(matches!(store.read(&artifact), Err(ArtifactError::WrongSize { actual: 4, .. })));
}

#[test]
fn trees_have_canonical_manifests_and_become_folders() {
    let (dir, store) = store();
    let a = store.put_bytes(b"a", "x").unwrap();
    let b = store.put_bytes(b"b", "x").unwrap();
    let inner = store.put_tree(&BTreeMap::from([("b".to_owned(), b.clone())])).unwrap();
    let entries =
        BTreeMap::from([("a".to_owned(), a.clone()), ("sub/deep/b".to_owned(), b), ("inner".to_owned(), inner)]);
    let tree = store.put_tree(&entries).unwrap();
    assert!(tree.is_tree());
    assert_eq!(store.read_tree(&tree).unwrap().entries, entries);
    store.verify(&tree).unwrap();
    let manifest = String::from_utf8(store.read(&tree).unwrap()).unwrap();
    assert!(manifest.starts_with(&format!(r#"[{{"digest":"{}","media_type":"x","path":"a","size":1}},"#, a.digest)));

    let dest = dir.path().join("out/tree");
    store.materialise(&tree, &dest).unwrap();
    for (path, content) in [("a", "a"), ("sub/deep/b", "b"), ("inner/b", "b")] {
        assert_eq!(fs::read_to_string(dest.join(path)).unwrap(), content);
    }
    assert!(matches!(store.materialise(&tree, &dest), Err(ArtifactError::Occupied { .. })));
    assert!(matches!(store.materialise(&a, &dest), Err(ArtifactError::Occupied { .. })));
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    store.materialise(&tree, &empty).unwrap();
    assert!(matches!(store.read_tree(&a), Err(ArtifactError::InvalidTree { .. })));
}

#[test]
fn a_link_or_a_device_is_never_written_over() {
    let (dir, store) = store();
    let file = store.put_bytes(b"new", "x").unwrap();
    let tree = store.put_tree(&BTreeMap::from([("a".to_owned(), file.clone())])).unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("target"), "old").unwrap();
    fs::create_dir(at("folder")).unwrap();
    for (link, target) in [("to_file", "target"), ("to_folder", "folder"), ("to_nothing", "gone")] {
        std::os::unix::fs::symlink(target, at(link)).unwrap();
        for artifact in [&file, &tree] {
            let result = store.materialise(artifact, &at(link));
            assert!(matches!(result, Err(ArtifactError::Occupied { .. })), "{link}: {result:?}");
        }
    }
    let device = store.materialise(&file, Path::new("/dev/null"));
    assert!(matches!(device, Err(ArtifactError::Occupied { .. })), "{device:?}");
    assert_eq!(fs::read_to_string(at("target")).unwrap(), "old");
    store.materialise(&file, &at("target")).unwrap();
    assert_eq!(fs::read_to_string(at("target")).unwrap(), "new");
}

#[test]
fn trees_cannot_leave_their_folder() {
    let (_dir, store) = store();
    let a = store.put_bytes(b"a", "x").unwrap();
    for path in ["/abs", "../up", "a/../b", "", "a//b", "./a", "a\\b", "a/"] {
        let result = store.put_tree(&BTreeMap::from([(path.to_owned(), a.clone())]));
        assert!(matches!(result, Err(ArtifactError::InvalidTree { .. })), "`{path}` was accepted");
    }
    let both = BTreeMap::from([("a".to_owned(), a.clone()), ("a/b".to_owned(), a)]);
    assert!(matches!(store.put_tree(&both), Err(ArtifactError::InvalidTree { .. })));
}

#[test]
fn the_start_of_content_is_read_without_the_rest() {
    let (_dir, store) = store();
    let small = store.put_bytes(b"abcdefgh", "x").unwrap();
    assert_eq!(store.read_start(&small, 3).unwrap(), b"abc");
    assert_eq!(store.read_start(&small, 100).unwrap(), b"abcdefgh");
    let large = store.put_bytes(&vec![b'x'; 2 << 20], "x").unwrap();
    assert_eq!(store.read_start(&large, 3).unwrap(), b"xxx");
    overwrite(&store.blob_path(&small.digest), b"abcdefgH");
    assert!(matches!(store.read_start(&small, 3), Err(ArtifactError::Damaged { .. })));
    overwrite(&store.blob_path(&large.digest), &vec![b'x'; 3 << 20]);
    assert!(matches!(store.read_start(&large, 3), Err(ArtifactError::WrongSize { .. })));
    overwrite(&store.blob_path(&large.digest), b"xxx");
    assert!(matches!(store.read_start(&large, 3), Err(ArtifactError::Damaged { .. })));
}
