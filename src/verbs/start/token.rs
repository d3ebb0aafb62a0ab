//! `stepwell token create|list|revoke|code`

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::arguments::label;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;
use stepwell_base::duration;
use stepwell_base::scope::Scope;
use stepwell_http::{CODE_LASTS, issue_code, issue_token};
use stepwell_store::{Store, TokenKind, TokenRow};

/// Give and take back the right to use the server
///
/// A token is for scripts (`Authorization: Bearer TOKEN`), a code logs a browser in. A token of scope `run` or `admin` may run
/// any command on this machine; one of scope `infer` may only use models.
#[derive(Subcommand, Debug)]
pub enum TokenVerb {
    Create(CreateArgs),
    /// List the tokens and the browsers that are logged in
    List,
    /// Revoke a token, or log a browser out
    Revoke {
        /// Name or id, as `stepwell token list` prints it
        #[arg(value_name = "TOKEN")]
        token: String,
    },
    /// Print a code that logs one browser in
    Code {
        /// What the browser may do
        #[arg(long, value_name = "SCOPE", default_value = "admin", value_parser = scopes(Scope::NAMES_FOR_BROWSERS))]
        scope: Scope,
    },
}

/// Make a token and print it, this once
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Name of the token, such as that of the script that uses it
    #[arg(value_name = "NAME", value_parser = label)]
    pub name: String,
    /// `read` looks, `infer` only uses `/v1` (models, completions, files, batches), `run` also submits and steers runs, `admin` also gives tokens
    #[arg(long, aliases = ["role", "permission"], value_name = "SCOPE", default_value = "read", value_parser = scopes(Scope::NAMES))]
    pub scope: Scope,
    /// Time after which it no longer works, such as `30d`; without it, it works until it is revoked
    #[arg(long, aliases = ["ttl", "expires-in", "expiry"], value_name = "TIME", value_parser = duration_of)]
    pub expires: Option<SignedDuration>,
}

fn scopes<const N: usize>(names: [&'static str; N]) -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Scope>())
}

fn duration_of(text: &str) -> Result<SignedDuration, String> {
    let found = duration::parse(text).and_then(|found| SignedDuration::try_from(found).ok());
    found.ok_or_else(|| format!("`{text}` is not a duration such as `30d`"))
}

pub fn token(session: &Session, verb: &TokenVerb) -> Result<Exit, CliError> {
    match verb {
        TokenVerb::Create(args) => create(session, args)?,
        TokenVerb::List => list(session)?,
        TokenVerb::Revoke { token } => revoke(session, token)?,
        TokenVerb::Code { scope } => code(session, *scope)?,
    }
    Ok(Exit::Ok)
}

fn create(session: &Session, args: &CreateArgs) -> Result<(), CliError> {
    let mut store = Store::open(session.state_dir())?;
    let now = Timestamp::now();
    let known = store.reader().tokens(TokenKind::Token)?;
    if known.iter().any(|token| token.name == args.name && token.is_valid(now)) {
        return Err(CliError::usage(format!("there is a token `{}` already", args.name))
            .hint("choose another name, or revoke it first"));
    }
    let expires_at = args.expires.and_then(|lasts| now.checked_add(lasts).ok());
    let secret = issue_token(&mut store, &args.name, args.scope, expires_at)?;
    session.out.message("this token is shown only this once:");
    let fields =
        json!({ "token": { "name": args.name, "scope": args.scope, "expires_at": expires_at, "secret": secret.text } });
    session.out.document(&secret.text, fields)
}

fn code(session: &Session, scope: Scope) -> Result<(), CliError> {
    let secret = issue_code(&mut Store::open(session.state_dir())?, "browser", scope)?;
    session.out.message(&format!("logs one browser in, for {} minutes:", CODE_LASTS.as_mins()));
    let fields =
        json!({ "code": { "scope": scope, "expires_at": Timestamp::now() + CODE_LASTS, "secret": secret.text } });
    session.out.document(&secret.text, fields)
}

fn list(session: &Session) -> Result<(), CliError> {
    let reader = session.reader()?;
    let now = Timestamp::now();
    let mut rows = reader.tokens(TokenKind::Token)?;
    rows.extend(reader.tokens(TokenKind::Session)?);
    rows.retain(|row| row.is_valid(now));
    let human = match rows.is_empty() {
        true => session.out.pasteable("no tokens yet: `stepwell serve` makes the first one"),
        false => {
            table(&["id", "kind", "name", "scope", "created", "used", "expires"], rows.iter().map(cells).collect())
        }
    };
    let values: Vec<Value> = rows.iter().map(form).collect();
    session.out.document(&human, json!({ "tokens": values }))
}

fn cells(row: &TokenRow) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map(|at| at.strftime("%Y-%m-%d %H:%MZ").to_string()).unwrap_or_default();
    vec![
        row.id().to_owned(),
        row.kind.as_str().to_owned(),
        row.name.clone(),
        row.scope.to_string(),
        time(Some(row.created_at)),
        time(row.used_at),
        time(row.expires_at),
    ]
}

fn form(row: &TokenRow) -> Value {
    json!({
        "id": row.id(), "kind": row.kind.as_str(), "name": row.name, "scope": row.scope, "created_at": row.created_at,
        "used_at": row.used_at, "expires_at": row.expires_at,
    })
}

fn revoke(session: &Session, named: &str) -> Result<(), CliError> {
    let mut store = Store::open(session.state_dir())?;
    let now = Timestamp::now();
    let mut rows = store.reader().tokens(TokenKind::Token)?;
    rows.extend(store.reader().tokens(TokenKind::Session)?);
    // A name also stands for the browsers that logged in with the token.
    let chosen = |row: &&TokenRow| row.is_valid(now) && (row.name == named || row.id() == named || row.hash == named);
    let chosen: Vec<&TokenRow> = rows.iter().filter(chosen).collect();
    if chosen.is_empty() {
        return Err(CliError::not_found(format!("there is no token `{named}` that works"))
            .hint("`stepwell token list` shows them"));
    }
    for row in &chosen {
        store.revoke_token(&row.hash, now)?;
    }
    let ids: Vec<&str> = chosen.iter().map(|row| row.id()).collect();
    session.out.document(&format!("revoked {}", ids.join(", ")), json!({ "revoked": ids }))
}
