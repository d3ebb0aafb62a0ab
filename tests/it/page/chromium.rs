//! A headless Chromium with a profile of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest start of a browser on a busy machine.
const START: Duration = Duration::from_secs(30);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

pub struct Chromium {
    child: Child,
    /// Address of its socket for the protocol.
    pub port: u16,
    pub path: String,
}

impl Chromium {
    /// Starts one below `folder`, or says why there is none.
    pub fn start(folder: &Path) -> Option<Chromium> {
        let Some(program) = program() else {
            println!("skipped: no Chromium is installed (`apt-get install chromium`, or CHROMIUM names one)");
            return None;
        };
        let profile = folder.join("browser");
        let child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
            ])
            .args(["--disable-features=Translate,MediaRouter,OptimizationHints", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (port, path) = address(&profile.join("DevToolsActivePort"));
        Some(Chromium { child, port, path })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its helpers end with it; the sandbox of the test ends what is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    NAMES.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()))
}

/// The browser writes its port and path once it listens.
fn address(file: &Path) -> (u16, String) {
    let deadline = Instant::now() + START;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((port, path)) = text.trim().split_once('\n') {
            return (port.parse().unwrap(), path.to_owned());
        }
        assert!(Instant::now() < deadline, "Chromium does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}
