//! `stepwell serve`: engine, API and page in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::arguments::LogArgs;
use crate::drive::foreground::lock;
use crate::drive::queue::stop_flag::StopFlag;
use crate::drive::shared_disk;
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::log;
use crate::serve::{InferenceOptions, ProgramDesk, ServedModel};
use crate::session::Session;
use crate::tensorboard::{self, Mirrored};
use crate::view::progress::{ProgressView, Shown};
use stepwell_base::scope::Scope;
use stepwell_engine::{self, EngineOptions, Outcome, Start};
use stepwell_http::{CODE_LASTS, Options, Server, Tls, issue_code, issue_token};
use stepwell_store::{EngineLock, Store, TokenKind};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Time between two tries to become the engine.
const INTERVAL: Duration = Duration::from_millis(500);

/// Serve the page and the API, and run what is pending
///
/// Prints an address, and a code that logs a browser in. If another process is the engine of the state directory, this one
/// shows what that one does, passes requests on to it, and becomes the engine when it ends. Whoever may submit a run has a
/// shell on this machine.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, aliases = ["bind", "addr", "address"], value_name = "ADDRESS", default_value = "127.0.0.1:7878", value_parser = address)]
    pub listen: SocketAddr,
    /// Model that requests to `/v1` can name, as NAME=PATH or PATH, beside those that runs have made (repeatable)
    #[arg(long, value_name = "MODEL")]
    pub model: Vec<String>,
    /// Port to listen on, on this machine only
    #[arg(long, short, value_name = "PORT", hide = true, conflicts_with = "listen")]
    pub port: Option<u16>,
    /// Type in which the weights of models that clients talk to are kept
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = ["f32", "bf16", "q8_0"])]
    pub dtype: String,
    /// Completions that a model computes at once for clients that wait
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..))]
    pub concurrency: u8,
    /// Open the page in a browser
    #[arg(long, alias = "browser")]
    pub open: bool,
    /// Name under which the server may be addressed, such as that of a proxy (repeatable)
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// Certificate chain in PEM form, to speak HTTPS
    #[arg(long, alias = "cert", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM form
    #[arg(long, alias = "key", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Listen on an address that other machines reach, without TLS: whoever sees the traffic can take over
    #[arg(long)]
    pub insecure_listen: bool,
    #[command(flatten)]
    pub logs: LogArgs,
}

impl ServeArgs {
    fn address(&self) -> SocketAddr {
        self.port.map_or(self.listen, |port| SocketAddr::from((LOOPBACK, port)))
    }
}

/// Parses an address; `localhost`, a port alone and `:PORT` mean this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    match local.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from((LOOPBACK, port))),
        Err(_) => text.parse().map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:7878, or a port")),
    }
}

pub fn serve(session: &Session, args: &ServeArgs) -> Result<Exit, CliError> {
    let options = options(session, args)?;
    log::engine(session.state_dir());
    shared_disk::warn(session);
    let stop = StopFlag::catch()?;
    // The first engine of a new state directory makes it, before anybody reads.
    let engine = engine_lock(session)?;
    let store = Store::open(session.state_dir())?;
    let server = start(session, args, options, store)?;
    if let Some(lock) = engine {
        return drive(session, &lock, stop);
    }
    if let Some(holder) = EngineLock::holder(session.state_dir()) {
        session.out.message(&format!(
            "{} is the engine here: this process serves what it does, and takes over when it ends",
            holder.short()
        ));
    }
    let exit = wait(session, stop);
    drop(server);
    exit
}

fn options(session: &Session, args: &ServeArgs) -> Result<Options, CliError> {
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    let tls = tls.map(|(certificates, key)| Tls { certificates, key });
    let listen = args.address();
    if !listen.ip().is_loopback() && tls.is_none() && !args.insecure_listen {
        let message = format!("other machines reach {}, and nothing would protect the traffic", listen.ip());
        return Err(CliError::usage(message)
            .hint("give `--tls-cert FILE --tls-key FILE`, or listen on 127.0.0.1 and use `ssh -L`")
            .hint("`--insecure-listen` listens all the same"));
    }
    Ok(Options { state_dir: session.state_dir().to_owned(), listen, allowed_hosts: args.allow_host.clone(), tls })
}

/// The right to be the engine; `None` while another process is, and in safe mode, in which the page still shows everything.
fn engine_lock(session: &Session) -> Result<Option<EngineLock>, CliError> {
    match lock(session) {
        Err(error) if error.kind == ErrorKind::SafeMode => {
            session.out.error(&error);
            session.out.message("serving without an engine");
            Ok(None)
        }
        other => other,
    }
}

fn start(session: &Session, args: &ServeArgs, options: Options, store: Store) -> Result<Server, CliError> {
    let models = args.model.iter().map(|model| ServedModel::named(model)).collect::<Result<_, _>>()?;
    let inference = InferenceOptions { dtype: args.dtype.clone(), slots: args.concurrency.into() };
    let desk = Arc::new(ProgramDesk::new(session, models, inference));
    let address = options.listen;
    let server = Server::start(options, desk, store).map_err(|error| {
        let hint = match &error {
            stepwell_http::ServeError::Listen { .. } => {
                format!("is another server on it? `--listen {}:0` takes a free port", address.ip())
            }
            stepwell_http::ServeError::Pem { .. } | stepwell_http::ServeError::Certificate(_) => {
                "`--tls-cert` takes the certificate, with those that lead to its issuer, and `--tls-key` its private key".to_owned()
            }
            _ => "see `stepwell serve --help`".to_owned(),
        };
        CliError::usage(error).hint(hint)
    })?;
    if let Some(doubt) = server.doubt() {
        session.out.message(&format!("warning: {doubt}"));
    }
    // Only a server that has started prints them: nobody could see them again.
    let mut store = Store::open(session.state_dir())?;
    let token = match store.reader().tokens(TokenKind::Token)?.is_empty() {
        true => Some(issue_token(&mut store, "first", Scope::Admin, None)?),
        false => None,
    };
    let code = issue_code(&mut store, "browser", Scope::Admin)?;
    let url = server.url();
    let minutes = CODE_LASTS.as_mins();
    let mut human = format!(
        "serving {}\npage:   {url}\ncode:   {}   (logs one browser in, for {minutes} minutes; `stepwell token code` makes another one)",
        session.state_dir().display(),
        code.text
    );
    let mut fields = json!({
        "type": "serving", "url": url, "address": server.address().to_string(), "code": code.text,
        "code_expires_at": Timestamp::now() + CODE_LASTS,
    });
    if let Some(token) = token {
        human.push_str(&format!("\ntoken:  {}   (for scripts; shown only this once)", token.text));
        fields["token"] = json!(token.text);
    }
    session.out.announce(&session.out.pasteable(&human), fields);
    if args.open {
        open(session, &url);
    }
    Ok(server)
}

fn open(session: &Session, url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if let Err(error) = std::process::Command::new(program).arg(url).spawn() {
        session.out.message(&format!("cannot open a browser with `{program}`: {error}"));
    }
}

/// Drives all runs until a signal arrives.
fn drive(session: &Session, lock: &EngineLock, stop: StopFlag) -> Result<Exit, CliError> {
    // The engine has its own handlers.
    drop(stop);
    let mut view = ProgressView::new(session, Shown::All);
    let follower = tensorboard::follow(session, view.printing());
    let mut observer = Mirrored::new(&mut view, follower);
    let outcome = stepwell_engine::drive_locked(
        lock,
        EngineOptions {
            state_dir: session.state_dir().to_owned(),
            scope: stepwell_engine::Scope::All { exit_when_idle: false },
            slots: session.settings.slots.value,
            limits: session.settings.limits(),
            crash_loop_limit: session.settings.crash_loop_limit.value,
            log_limit: session.settings.log_limit.value,
            start: Start::GoOn,
        },
        &mut observer,
    );
    observer.finish();
    view.finish();
    Ok(match outcome? {
        Outcome::Interrupted => Exit::Interrupted,
        Outcome::Failed => Exit::Failed,
        Outcome::Succeeded | Outcome::Canceled | Outcome::Paused | Outcome::Idle => Exit::Ok,
    })
}

/// Waits until the state directory has no engine, then is the engine.
fn wait(session: &Session, stop: StopFlag) -> Result<Exit, CliError> {
    let is_safe_mode = EngineLock::holder(session.state_dir()).is_none();
    while !stop.is_raised() {
        thread::sleep(INTERVAL);
        if is_safe_mode || EngineLock::holder(session.state_dir()).is_some() {
            continue;
        }
        if let Some(lock) = engine_lock(session)? {
            session.out.message("the engine has ended: this process is the engine now");
            return drive(session, &lock, stop);
        }
    }
    Ok(Exit::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_port_alone_is_on_this_machine() {
        for text in ["7000", ":7000", "localhost:7000", "127.0.0.1:7000"] {
            assert_eq!(address(text), Ok("127.0.0.1:7000".parse().unwrap()), "{text}");
        }
        assert_eq!(address("0.0.0.0:80"), Ok("0.0.0.0:80".parse().unwrap()));
        assert!(address("example.org").unwrap_err().contains("127.0.0.1:7878"));
    }
}
