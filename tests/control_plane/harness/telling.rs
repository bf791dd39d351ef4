//! Whether a private key is told anywhere: in logs, Events, statuses, metrics or marks.
//!
//! What is told is searched for bytes in base64, hexadecimal and as lists of numbers; what of it is part of a key, and of no
//! public key, was told.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::{KeySpec, PrivateKey};

/// Sixteen bytes in a row: few enough to find a part of a key, too many for chance.
type Window = [u8; 16];

/// How many bytes there are before an RSA key's numbers in PKCS#8: most of them are the same in every such key.
const HEADER: usize = 38;

/// As much of a window in common with another key makes chance likely.
const COMMON: usize = 12;

/// What private keys consist of, as far as it is not public.
#[derive(Default)]
pub(crate) struct Keys(HashSet<Window>);

impl Keys {
    /// Adds what is in PEM, if it is a private key.
    pub(crate) fn add(&mut self, pem: &[u8]) {
        let Ok(key) = PrivateKey::from_pem(pem) else {
            return;
        };
        let public: HashSet<Window> = windows(key.public().as_der()).collect();
        for encoding in [KeyEncoding::Pkcs8, KeyEncoding::Pkcs1] {
            // What all keys of a kind have in common is no secret either, nor is what hardly goes beyond it.
            let common: HashSet<Vec<u8>> = match key.spec() {
                // Its beginning, which is skipped below; to make another takes long.
                KeySpec::Rsa(_) => HashSet::new(),
                spec => {
                    let other = PrivateKey::generate(spec).unwrap().to_der(encoding);
                    other.windows(COMMON).map(<[u8]>::to_vec).collect()
                }
            };
            let der = key.to_der(encoding);
            let skipped = match key.spec() {
                KeySpec::Rsa(_) => HEADER - COMMON,
                _ => 0,
            };
            let secret = windows(&der).skip(skipped).filter(|window| {
                let ends = [&window[..COMMON], &window[window.len() - COMMON..]];
                !public.contains(window) && !ends.iter().any(|end| common.contains(*end))
            });
            self.0.extend(secret);
        }
    }

    /// Whether any of it was told.
    pub(crate) fn are_in(&self, told: &Told) -> bool {
        self.0.iter().any(|window| told.windows.contains(window))
    }
}

/// What was told, as far as it could be bytes.
#[derive(Default)]
pub(crate) struct Told {
    windows: HashSet<Window>,
    /// What was looked into already: names and numbers come again and again.
    seen: HashSet<String>,
}

impl Told {
    /// What is told in this text.
    pub(crate) fn of(text: &str) -> Self {
        let mut told = Self::default();
        told.add(text);
        told
    }

    /// Adds what is told in this text.
    pub(crate) fn add(&mut self, text: &str) {
        let in_base64 = |char: char| char.is_ascii_alphanumeric() || "+/-_".contains(char);
        for run in text.split(|char| !in_base64(char)) {
            if run.len() >= 22 && self.seen.insert(run.to_owned()) {
                self.look_into(run);
            }
        }
        self.add_numbers(text);
    }

    fn look_into(&mut self, run: &str) {
        let standard = run.replace('-', "+").replace('_', "/");
        // Where it begins is not known: what stands before it may look like a part of it.
        for start in 0..4 {
            if let Ok(bytes) = LENIENT.decode(whole(&standard[start..], 4)) {
                self.windows.extend(windows(&bytes));
                // PEM within, as in a Secret's data.
                if let Ok(text) = String::from_utf8(bytes)
                    && text.is_ascii()
                {
                    self.add(&text);
                }
            }
        }
        for part in run.split(|char: char| !char.is_ascii_hexdigit()) {
            for start in 0..2.min(part.len()) {
                let digits = whole(&part[start..], 2).as_bytes();
                let byte =
                    |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                let bytes: Vec<u8> = digits.chunks(2).filter_map(byte).collect();
                self.windows.extend(windows(&bytes));
            }
        }
    }

    /// Numbers from 0 to 255 with commas between them, as bytes are shown for debugging.
    fn add_numbers(&mut self, text: &str) {
        let mut bytes = Vec::new();
        for part in text.split(',') {
            let digits = part.trim_matches(|char: char| !char.is_ascii_digit());
            match digits.parse::<u8>() {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.clear(),
            }
            if let Some(last) = bytes.last_chunk() {
                self.windows.insert(*last);
            }
        }
    }
}

/// The longest beginning whose length is a multiple of this.
fn whole(text: &str, of: usize) -> &str {
    &text[..text.len() / of * of]
}

fn windows(bytes: &[u8]) -> impl Iterator<Item = Window> + '_ {
    bytes
        .windows(16)
        .filter_map(|window| window.try_into().ok())
}

static LENIENT: LazyLock<GeneralPurpose> = LazyLock::new(|| {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, config)
});

/// What all operators of this process have logged, at their most talkative.
static LOGGED: LazyLock<Mutex<Told>> = LazyLock::new(Mutex::default);
/// All private keys that any operator's Secrets have held.
static HELD: LazyLock<Mutex<Keys>> = LazyLock::new(Mutex::default);

/// What all operators of this process have logged.
pub(crate) fn logged() -> MutexGuard<'static, Told> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All private keys that any operator's Secrets have held.
pub(crate) fn held() -> MutexGuard<'static, Keys> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what is logged: an event is one write.
pub(crate) struct Listener;

impl Write for Listener {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        logged().add(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_key_is_found_however_it_is_told() {
        for spec in [
            KeySpec::Ecdsa(256),
            KeySpec::Ecdsa(521),
            KeySpec::Ed25519,
            KeySpec::Rsa(2048),
        ] {
            let key = PrivateKey::generate(spec).unwrap();
            let mut keys = Keys::default();
            let pem = key.to_pem(KeyEncoding::Pkcs8);
            keys.add(pem.as_bytes());
            let der = key.to_der(KeyEncoding::Pkcs8);
            let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
            for told in [
                pem.to_string(),
                serde_json::to_string(pem.as_str()).unwrap(),
                BASE64_STANDARD.encode(pem.as_bytes()),
                format!("xy{}", BASE64_URL_SAFE_NO_PAD.encode(&der[5..])),
                format!("key=a{hex}"),
                hex.to_uppercase(),
                format!("{:?}", der.as_slice()),
            ] {
                assert!(keys.are_in(&Told::of(&told)), "{spec:?}: {told}");
            }
            let public = BASE64_STANDARD.encode(key.public().as_der());
            assert!(!keys.are_in(&Told::of(&public)), "{spec:?}");
            let other = PrivateKey::generate(spec)
                .unwrap()
                .to_pem(KeyEncoding::Pkcs8);
            assert!(!keys.are_in(&Told::of(&other)), "{spec:?}");
        }
    }
}
