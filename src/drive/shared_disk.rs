//! Notices a state directory on a network file system, where neither SQLite nor the engine lock is safe.

use std::path::Path;

use crate::session::Session;

/// Types of file systems that several machines share, as `statfs` reports them on Linux.
#[cfg(any(target_os = "linux", test))]
const SHARED: [(u32, &str); 12] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x00C3_6400, "Ceph"),
    (0x1983_0326, "BeeGFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x5346_414F, "AFS"),
    (0x7461_636F, "OCFS2"),
    (0x0116_1970, "GFS2"),
];
#[cfg(any(target_os = "linux", test))]
const FUSE: u32 = 0x6573_5546;

/// FUSE file systems of one machine.
const LOCAL_FUSE: [&str; 6] =
    ["fuseblk", "fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.mergerfs", "fuse.bindfs", "fuse.gocryptfs"];

/// The name of the network file system that holds a path; `None` for a local one and for an unknown one.
pub fn network_file_system(path: &Path) -> Option<String> {
    // The state directory may not exist yet.
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    imp::network_file_system(existing)
}

/// Advice for a state directory on a network file system.
pub const ADVICE: &str = "use a local disk (`--state-dir DIR` or $STEPWELL_STATE_DIR), one machine at a time, and copy the \
                          result to the shared disk with `stepwell db backup --artifacts DIR`";

/// What can go wrong there.
pub fn danger(system: &str) -> String {
    format!(
        "the state directory is on a network file system ({system}): its locks and its database are only safe on a local disk"
    )
}

/// Warns before an engine works on a network file system.
pub fn warn(session: &Session) {
    if let Some(system) = network_file_system(session.state_dir()) {
        session.out.message(&format!("warning: {}", danger(&system)));
        session.out.message(&format!("hint: {ADVICE}"));
    }
}

#[cfg(any(target_os = "linux", test))]
fn by_magic(magic: u32, fuse_type: impl FnOnce() -> Option<String>) -> Option<String> {
    if magic == FUSE {
        return by_name(fuse_type().as_deref().unwrap_or("fuse"));
    }
    SHARED.iter().find(|(known, _)| *known == magic).map(|(_, name)| (*name).to_owned())
}

/// The name for people of a file system's type, if it is a network file system or might be one.
#[cfg(any(target_os = "linux", target_vendor = "apple", test))]
fn by_name(system: &str) -> Option<String> {
    if LOCAL_FUSE.contains(&system) {
        return None;
    }
    let name = match system {
        "nfs" | "nfs4" => "NFS",
        "smbfs" | "cifs" => "SMB",
        "afpfs" => "AFP",
        "webdav" => "WebDAV",
        "lustre" => "Lustre",
        "fuse.sshfs" => "SSHFS",
        other if other.contains("fuse") => return Some(format!("{other}, such as SSHFS")),
        _ => return None,
    };
    Some(name.to_owned())
}

/// The type of the file system with this device, from the text of `/proc/self/mountinfo`.
#[cfg(any(target_os = "linux", test))]
fn mounted_type(mountinfo: &str, device: (u32, u32)) -> Option<String> {
    let device = format!("{}:{}", device.0, device.1);
    let line = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(&device))?;
    let (_, rest) = line.split_once(" - ")?;
    Some(rest.split(' ').next()?.to_owned())
}

#[cfg(target_os = "linux")]
mod imp {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    pub fn network_file_system(path: &Path) -> Option<String> {
        let stat = rustix::fs::statfs(path).ok()?;
        let magic = u32::try_from(stat.f_type & 0xFFFF_FFFF).ok()?;
        super::by_magic(magic, || {
            let device = path.metadata().ok()?.dev();
            let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
            super::mounted_type(&mountinfo, (rustix::fs::major(device), rustix::fs::minor(device)))
        })
    }
}

#[cfg(target_vendor = "apple")]
mod imp {
    use std::path::Path;

    pub fn network_file_system(path: &Path) -> Option<String> {
        let stat = rustix::fs::statfs(path).ok()?;
        let name: Vec<u8> =
            stat.f_fstypename.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
        super::by_name(&String::from_utf8_lossy(&name))
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod imp {
    use std::path::Path;

    pub fn network_file_system(_path: &Path) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_have_a_name_and_local_ones_none() {
        let name = |magic| by_magic(magic, || None);
        assert_eq!(name(0x6969).as_deref(), Some("NFS"));
        assert_eq!(name(0x0BD0_0BD0).as_deref(), Some("Lustre"));
        assert_eq!(name(0xFF53_4D42).as_deref(), Some("CIFS"));
        for local in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630] {
            assert_eq!(name(local), None, "ext4, XFS, btrfs, tmpfs, overlayfs: {local:x}");
        }
    }

    #[test]
    fn fuse_is_told_apart_by_its_mount() {
        let mountinfo = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                         40 22 0:35 / /home/me/far rw,nosuid shared:1 - fuse.sshfs host:/x rw\n\
                         41 22 0:36 / /box rw - fuse.fuse-overlayfs fuse-overlayfs rw\n";
        let system = |minor| by_magic(FUSE, || mounted_type(mountinfo, (0, minor)));
        assert_eq!(system(35).as_deref(), Some("SSHFS"));
        assert_eq!(system(36), None, "a container's own root");
        assert_eq!(system(37).as_deref(), Some("fuse, such as SSHFS"), "not in the list");
    }

    #[test]
    fn the_names_of_macos_are_known() {
        assert_eq!(by_name("smbfs").as_deref(), Some("SMB"));
        assert_eq!(by_name("macfuse").as_deref(), Some("macfuse, such as SSHFS"));
        assert_eq!(by_name("apfs"), None);
    }

    #[test]
    fn a_state_directory_that_does_not_exist_is_judged_by_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let (parent, state) = (network_file_system(folder.path()), network_file_system(&folder.path().join("a/b")));
        assert_eq!(state, parent);
    }
}
