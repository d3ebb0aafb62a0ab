//! `stepwell bench engine|train|generate|infer|tokenize`

mod contestant;
mod engine;
#[cfg(feature = "train")]
mod generate;
mod infer;
mod report;
#[cfg(feature = "train")]
mod tokenize;
#[cfg(feature = "train")]
mod train;

use clap::Subcommand;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Measure how fast this machine runs steps, trains and generates
#[derive(Subcommand, Debug)]
pub enum BenchVerb {
    Engine(engine::EngineArgs),
    #[cfg(feature = "train")]
    Train(train::TrainArgs),
    #[cfg(feature = "train")]
    Generate(generate::GenerateArgs),
    Infer(infer::InferArgs),
    #[cfg(feature = "train")]
    Tokenize(tokenize::TokenizeArgs),
    #[command(hide = true)]
    Contestant(contestant::ContestantArgs),
}

pub fn bench(session: &Session, verb: &BenchVerb) -> Result<Exit, CliError> {
    match verb {
        BenchVerb::Engine(args) => engine::engine(session, args),
        #[cfg(feature = "train")]
        BenchVerb::Train(args) => train::train(session, args),
        #[cfg(feature = "train")]
        BenchVerb::Generate(args) => generate::generate(session, args),
        BenchVerb::Infer(args) => infer::infer(session, args),
        #[cfg(feature = "train")]
        BenchVerb::Tokenize(args) => tokenize::tokenize(session, args),
        BenchVerb::Contestant(args) => contestant::contestant(args),
    }
}
