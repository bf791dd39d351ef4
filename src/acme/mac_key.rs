//! The key by which an account elsewhere is bound (RFC 8555 section 7.3.4).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// The octets of a MAC key as CAs give it: base64url, with or without padding.
pub fn mac_key(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim_ascii();
    let bare = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    let octets = BASE64_URL_SAFE_NO_PAD.decode(bare).ok()?;
    (!octets.is_empty()).then(|| Zeroizing::new(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_key_is_read_with_or_without_padding() {
        for (text, octets) in [
            ("AQID", Some(&[1, 2, 3][..])),
            (" AQI=\n", Some(&[1, 2])),
            ("AQ==", Some(&[1])),
            ("AQ", Some(&[1])),
            ("_-8", Some(&[0xff, 0xef])),
            ("", None),
            ("=", None),
            ("/+8", None),
            ("A Q", None),
            ("AQ===", None),
        ] {
            let read = mac_key(text.as_bytes());
            assert_eq!(read.as_ref().map(|key| key.as_slice()), octets, "{text:?}");
        }
    }
}
