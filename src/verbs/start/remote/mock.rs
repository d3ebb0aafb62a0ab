//! `stepwell remote mock`: one call to the provider that is a folder.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::json::{Limit, parse};
use stepwell_remote::mock::{Answer, answer};

const REQUEST: Limit = Limit { depth: 16, bytes: 1 << 20 };

/// Answer a call as the provider `mock`, which fails as its file `faults` says
#[derive(Args, Debug)]
pub struct MockArgs {
    /// Folder of the provider
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// `price`, `launch`, `list`, `status` or `terminate`
    #[arg(value_name = "OPERATION")]
    pub operation: String,
}

pub fn mock(session: &Session, args: &MockArgs) -> Result<Exit, CliError> {
    let mut request = Vec::new();
    let read = std::io::stdin().take(REQUEST.bytes + 1).read_to_end(&mut request);
    read.map_err(|error| CliError::internal("read the request", error))?;
    let request = if request.is_empty() { b"{}".to_vec() } else { request };
    let request = parse(&request, REQUEST).map_err(|error| CliError::usage(format!("the request: {error}")))?;
    match answer(&args.folder, &args.operation, &request) {
        Ok(Answer::Prints(value)) => {
            session.out.json_line(&value)?;
            Ok(Exit::Ok)
        }
        Ok(Answer::Silent) => Ok(Exit::Failed),
        Err(error) => Err(CliError::io("use the folder", &args.folder, error)),
    }
}
