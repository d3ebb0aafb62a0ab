//! Arguments of `infer`.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::work::Ended;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::duration;
use stepwell_base::failure::Failure;
use stepwell_batch::body::Endpoint;
use stepwell_batch::lines::{self, Limits, Rules};
use stepwell_batch::window::Deadline;

/// Most completions at once. Each has a cache of the model's context.
const MOST_AT_ONCE: u64 = 4096;

/// Most memory for keys and values.
const MOST_CACHE_MIB: u64 = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Output of a step that gives a model, or the path of a Hugging Face folder or of a GGUF file.
    pub model: Source,
    /// Tokenizer of a model that has none in its files, such as the output of `train`.
    #[serde(default)]
    pub tokenizer: Option<ArtifactRef>,
    /// File of requests, one JSON object per line as in OpenAI's Batch API: an output, or a path.
    pub requests: Source,
    /// Type in which the weights are kept and multiplied.
    #[serde(default)]
    pub dtype: Dtype,
    /// Number of completions that are computed at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroU64,
    /// Memory for the keys and values of all rows together, in MiB. Default: 192 for several rows, more
    /// for one of the whole context, at most 1,024.
    #[serde(default)]
    pub cache_mib: Option<NonZeroU64>,
    /// What a line that is no request does. An invalid body is an error line in any case.
    #[serde(default)]
    pub on_bad_line: OnBadLine,
    /// Time after which rows without an answer get the error `batch_expired`: `24h` from the first attempt, or a point in time.
    #[serde(default)]
    pub deadline: Option<String>,
    /// Longest time of one request, such as `10m`: one that takes longer gets the error `request_timeout`. Default: no limit.
    #[serde(default)]
    pub request_timeout: Option<String>,
    /// The only url that requests may have, such as `/v1/chat/completions`. Default: each that is known.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Names of the model in requests. Default: any one name.
    #[serde(default)]
    pub served_model_name: Vec<String>,
    /// `openai` allows 50,000 requests and 200 MB, `local` 1,000,000 and 16 GiB.
    #[serde(default)]
    pub limits: LimitsName,
    /// Seconds since 1970 that answers give as `created`. With the default 0, equal batches have equal files.
    #[serde(default)]
    pub created: i64,
    /// What becomes of requests that no earlier batch has answered.
    #[serde(default)]
    pub remaining: Remaining,
    /// Use answers of earlier batches to equal requests.
    #[serde(default = "default_reuse")]
    pub reuse: bool,
}

/// An output of a step, or a path on this machine.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Source {
    Output(ArtifactRef),
    Path(String),
}

impl Source {
    /// The path, relative to the folder of the workflow file; `None` for an output.
    pub(crate) fn path(&self, project: &Path) -> Option<PathBuf> {
        match self {
            Source::Output(_) => None,
            Source::Path(path) => Some(project.join(path)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dtype {
    #[default]
    F32,
    Bf16,
    #[serde(rename = "q8_0")]
    Q8_0,
}

impl Dtype {
    /// # Errors
    /// When no type has this name.
    pub(super) fn named(name: &str) -> Result<Dtype, Failure> {
        serde_json::from_value(name.into()).map_err(|_| {
            Failure::fatal(format!("`{name}` is no type of weights")).with_hint("there is f32, bf16, q8_0")
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::Q8_0 => "q8_0",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnBadLine {
    /// Compute nothing and name every bad line.
    Fail,
    /// Write an error line and answer the others.
    #[default]
    ErrorLine,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Remaining {
    /// They are computed.
    #[default]
    Compute,
    /// They get the error `batch_expired`.
    Expired,
    /// They get the error `batch_cancelled`.
    Cancelled,
}

impl Remaining {
    pub(super) fn ended(self) -> Option<Ended> {
        match self {
            Remaining::Compute => None,
            Remaining::Expired => Some(Ended::Expired),
            Remaining::Cancelled => Some(Ended::Cancelled),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LimitsName {
    Openai,
    #[default]
    Local,
}

fn default_concurrency() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(15)
}

fn default_reuse() -> bool {
    true
}

impl Arguments {
    /// # Errors
    /// Names the argument that is wrong.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.rules()?;
        self.deadline()?;
        self.request_timeout()?;
        if self.concurrency.get() > MOST_AT_ONCE {
            return Err(Failure::fatal(format!("`concurrency` is at most {MOST_AT_ONCE}")));
        }
        if self.cache_mib.is_some_and(|mib| mib.get() > MOST_CACHE_MIB) {
            return Err(Failure::fatal(format!("`cache_mib` is at most {MOST_CACHE_MIB}")));
        }
        Ok(())
    }

    pub(super) fn on_bad_line(&self) -> lines::OnBadLine {
        match self.on_bad_line {
            OnBadLine::Fail => lines::OnBadLine::Fail,
            OnBadLine::ErrorLine => lines::OnBadLine::ErrorLine,
        }
    }

    pub(super) fn rules(&self) -> Result<Rules, Failure> {
        let endpoint = match self.endpoint.as_deref() {
            None | Some("") => None,
            Some(url) => Some(Endpoint::find(url).ok_or_else(|| {
                let known: Vec<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.as_str()).collect();
                Failure::fatal(format!("`endpoint` is `{url}`")).with_hint(format!("there is {}", known.join(", ")))
            })?),
        };
        let limits = match self.limits {
            LimitsName::Openai => Limits::OPENAI,
            LimitsName::Local => Limits::LOCAL,
        };
        let models = self.served_model_name.iter().filter(|name| !name.is_empty()).cloned().collect();
        Ok(Rules { limits, endpoint, models })
    }

    pub(super) fn deadline(&self) -> Result<Option<Deadline>, Failure> {
        let text = self.deadline.as_deref().filter(|text| !text.is_empty());
        text.map(Deadline::parse).transpose().map_err(|error| Failure::fatal(format!("`deadline`: {error}")))
    }

    /// `most_at_once` limits the rows after an attempt that ran out of memory.
    pub(super) fn memory(&self, most_at_once: Option<usize>) -> Memory {
        let slots = usize::try_from(self.concurrency.get()).unwrap_or(usize::MAX);
        let slots = most_at_once.map_or(slots, |most| slots.min(most));
        let cache = self.cache_mib.map(|mib| usize::try_from(mib.get() << 20).unwrap_or(usize::MAX));
        Memory { slots, cache, keeps_prompts: most_at_once.is_none() }
    }

    pub(super) fn request_timeout(&self) -> Result<Option<Duration>, Failure> {
        let text = self.request_timeout.as_deref().filter(|text| !text.is_empty());
        let parsed = |text: &str| {
            duration::parse(text).filter(|timeout| !timeout.is_zero()).ok_or_else(|| {
                Failure::fatal("`request_timeout` is no time").with_hint("write one such as `10m` or `90s`")
            })
        };
        text.map(parsed).transpose()
    }

    /// The end of the window of a batch that started at `start`.
    pub(super) fn expires_at(&self, start: Timestamp) -> Result<Option<Timestamp>, Failure> {
        Ok(self.deadline()?.map(|deadline| deadline.of(start)))
    }
}
