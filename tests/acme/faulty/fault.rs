//! What is asked of a CA, and what may happen instead of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::sync::Semaphore;

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Such as `POST`.
    pub(crate) method: String,
    /// Such as `/dir`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl Asked {
    /// What it says, if it is a signed request that says anything.
    pub(crate) fn payload(&self) -> Option<Value> {
        let (_, body) = self.text.split_once("\r\n\r\n")?;
        let signed: Value = serde_json::from_str(body).ok()?;
        let payload = BASE64_URL_SAFE_NO_PAD
            .decode(signed["payload"].as_str()?)
            .ok()?;
        serde_json::from_slice(&payload).ok()
    }
}

/// What happens instead of the CA's answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The server says this, and the CA hears of nothing.
    Says(Vec<u8>),
    /// The CA's answer comes with something in it replaced.
    Replaced(String, String),
    /// The CA's answer, an object, comes otherwise.
    Rewritten(Rewrite),
    /// The CA's answer comes with this date.
    Dated(&'static str),
    /// The CA's answer comes up to here, and the connection breaks off.
    BreaksOff(Part),
    /// The CA hears of nothing, and nothing is said.
    Silent,
    /// The CA's answer comes when a test lets it.
    Late(Arc<Late>),
    /// The CA's answer comes up to here, and then nothing more.
    Hangs(Part),
    /// A head, and a body without an end.
    Endless(&'static str),
    /// The CA's answer comes byte by byte, with ages between.
    Trickles,
}

/// What keeps an answer.
#[derive(Debug)]
pub(crate) struct Late {
    comes: Semaphore,
    given_up: AtomicBool,
}

impl Default for Late {
    fn default() -> Self {
        Self {
            comes: Semaphore::new(0),
            given_up: AtomicBool::new(false),
        }
    }
}

impl Late {
    /// From now on nothing keeps it.
    pub(crate) fn comes(&self) {
        self.comes.close();
    }

    /// Waits until nothing keeps it.
    pub(super) async fn arrival(&self) {
        // Nobody is given a permit: it is closed at last.
        let _ = self.comes.acquire().await;
    }

    pub(super) fn is_given_up_now(&self) {
        self.given_up.store(true, Ordering::SeqCst);
    }

    /// Whether somebody hung up before it came.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst)
    }
}

/// What is done to an object.
#[derive(Clone)]
pub(crate) struct Rewrite(Arc<dyn Fn(&mut Value) + Send + Sync>);

impl Rewrite {
    pub(crate) fn by(rewrite: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self(Arc::new(rewrite))
    }

    pub(super) fn applied_to(&self, object: &mut Value) {
        (self.0)(object);
    }
}

impl std::fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rewrite(..)")
    }
}

/// How much of an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// None of it.
    Nothing,
    /// A part of the first line.
    Status,
    /// A part of the headers.
    Headers,
    /// All headers, and nothing behind them.
    Head,
    /// A part of the body.
    Body,
    /// All but the last byte.
    AllButOne,
}

impl Part {
    pub(crate) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Status,
        Self::Headers,
        Self::Head,
        Self::Body,
        Self::AllButOne,
    ];

    pub(super) fn of(self, answer: &[u8]) -> &[u8] {
        let head = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map_or(answer.len(), |end| end + 4);
        let length = match self {
            Self::Nothing => 0,
            Self::Status => 7,
            Self::Headers => head / 2,
            Self::Head => head,
            Self::Body => head + (answer.len() - head) / 2,
            Self::AllButOne => answer.len() - 1,
        };
        &answer[..length.min(answer.len())]
    }
}
