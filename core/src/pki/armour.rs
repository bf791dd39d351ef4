//! PEM armour (RFC 7468), read with patience and without leaving copies of keys in memory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One armoured block.
pub(super) struct Block {
    /// What stands after `BEGIN`, such as `CERTIFICATE`.
    pub(super) label: String,
    /// What the armour holds.
    pub(super) contents: Result<Zeroizing<Vec<u8>>, &'static str>,
}

/// The blocks of a text one by one, each read only when asked for; whatever stands between them is skipped.
///
/// A block that doesn't end, or ends as another one, is the last item, as an error.
pub(super) fn blocks(text: &[u8]) -> impl Iterator<Item = Result<Block, &'static str>> + '_ {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let after_begin = after(rest.take()?, BEGIN)?;
        match block(after_begin) {
            Ok((block, behind)) => {
                rest = Some(behind);
                Some(Ok(block))
            }
            Err(problem) => Some(Err(problem)),
        }
    })
}

/// A block of this label, in lines of 64 characters, ending in a line feed.
pub(super) fn armour(label: &str, contents: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(contents));
    let mut text = Zeroizing::new(String::with_capacity(
        body.len() + body.len() / LINE + 2 * label.len() + 40,
    ));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut left = body.as_str();
    while !left.is_empty() {
        let (line, behind) = left.split_at(left.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        left = behind;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Characters of a line of base64 (RFC 7468 section 2).
const LINE: usize = 64;
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The block whose `BEGIN` was just passed, and what follows it.
fn block(text: &[u8]) -> Result<(Block, &[u8]), &'static str> {
    let label_length = find(text, DASHES).ok_or("a BEGIN line does not end")?;
    let label = &text[..label_length];
    let text = &text[label_length + DASHES.len()..];
    let body_length = find(text, END).ok_or("a block has no END line")?;
    let body = &text[..body_length];
    let behind = text[body_length + END.len()..]
        .strip_prefix(label)
        .and_then(|text| text.strip_prefix(DASHES))
        .ok_or("a block's END line is another one's")?;
    let label = str::from_utf8(label)
        .map_err(|_| "a BEGIN line is not text")?
        .to_owned();
    Ok((
        Block {
            label,
            contents: contents(body),
        },
        behind,
    ))
}

/// Decodes what stands between the `BEGIN` and `END` lines.
fn contents(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    for line in body.split(|octet| *octet == b'\n') {
        if line.contains(&b':') {
            // A header of RFC 1421, in which OpenSSL says that an old-style key is encrypted.
            if find(line, b"ENCRYPTED").is_some() {
                return Err("it is encrypted; store it without a passphrase");
            }
            continue;
        }
        base64.extend(
            line.iter()
                .copied()
                .filter(|octet| !octet.is_ascii_whitespace()),
        );
    }
    let mut contents = Zeroizing::new(vec![0; base64::decoded_len_estimate(base64.len())]);
    let length = STANDARD
        .decode_slice(base64.as_slice(), &mut contents)
        .map_err(|_| "it is not base64")?;
    contents.truncate(length);
    Ok(contents)
}

/// What follows the first `needle`.
fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    find(text, needle).map(|at| &text[at + needle.len()..])
}

/// Where `needle` first stands.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block's label and contents.
    type Read = Result<(String, Result<Vec<u8>, &'static str>), &'static str>;

    fn read(text: &str) -> Vec<Read> {
        blocks(text.as_bytes())
            .map(|block| {
                block.map(|block| {
                    (
                        block.label,
                        block.contents.map(|contents| contents.to_vec()),
                    )
                })
            })
            .collect()
    }

    #[test]
    fn wraps_at_64_columns_and_ends_in_a_line_feed() {
        let text = armour("X", &[0xff; 49]);
        assert_eq!(
            *text,
            format!(
                "-----BEGIN X-----\n{}\n/w==\n-----END X-----\n",
                "/".repeat(64)
            )
        );
    }

    #[test]
    fn reads_blocks_among_text_windows_line_ends_and_blocks_on_one_line() {
        let text = "subject=a\r\n-----BEGIN A-----\r\nAQ\r\nID\r\n-----END A----------BEGIN B-----\nBA==\n-----END B-----";
        assert_eq!(
            read(text),
            [
                Ok(("A".to_owned(), Ok(vec![1, 2, 3]))),
                Ok(("B".to_owned(), Ok(vec![4])))
            ]
        );
    }

    #[test]
    fn a_block_without_end_is_an_error_and_the_last_item() {
        let good = "-----BEGIN A-----\nAQID\n-----END A-----\n";
        let swallowing = read(&format!("{good}-----BEGIN A-----\nAQID\n{good}"));
        assert_eq!(swallowing.len(), 2);
        assert_eq!(swallowing[1].as_ref().unwrap().1, Err("it is not base64"));
        assert_eq!(
            read("-----BEGIN A-----\nAQID"),
            [Err("a block has no END line")]
        );
        assert_eq!(read("-----BEGIN A"), [Err("a BEGIN line does not end")]);
    }

    #[test]
    fn a_block_that_ends_as_another_is_an_error() {
        assert_eq!(
            read("-----BEGIN A-----\nAQID\n-----END B-----"),
            [Err("a block's END line is another one's")]
        );
    }

    #[test]
    fn an_encrypted_block_is_named_so() {
        let text = "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END A-----";
        assert_eq!(
            read(text)[0].as_ref().unwrap().1,
            Err("it is encrypted; store it without a passphrase")
        );
    }
}
