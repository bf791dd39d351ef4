//! `Link` headers (RFC 8288 section 3).

/// The URLs in one header that have a relation.
///
/// Several links may share a header, and several relations a link; commas and semicolons may stand in URLs and in quotes.
/// What can't be read ends the list.
pub fn links<'a>(mut text: &'a str, relation: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    while let Some((url, rest)) = text
        .trim_start_matches([' ', '\t', ','])
        .strip_prefix('<')
        .and_then(|text| text.split_once('>'))
    {
        let (parameters, rest) = rest.split_at(outside_quotes(rest, ','));
        if relates(parameters, relation) {
            found.push(url.trim());
        }
        text = rest;
    }
    found
}

/// Whether a link's first `rel` names the relation; others are passed over (section 3.3).
fn relates(mut parameters: &str, relation: &str) -> bool {
    while let Some(rest) = parameters.trim_start().strip_prefix(';') {
        let (parameter, rest) = rest.split_at(outside_quotes(rest, ';'));
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("rel") {
            let mut names = value.trim().trim_matches('"').split_ascii_whitespace();
            return names.any(|name| name.eq_ignore_ascii_case(relation));
        }
        parameters = rest;
    }
    false
}

/// Where an octet stands first outside quotes; the end, if nowhere.
fn outside_quotes(text: &str, wanted: char) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_however_they_are_written() {
        for (text, urls) in [
            ("<https://ca/1>;rel=\"alternate\"", &["https://ca/1"][..]),
            ("<https://ca/1>; rel=alternate", &["https://ca/1"]),
            ("<https://ca/1> ; REL = \"Alternate\"", &["https://ca/1"]),
            ("<https://ca/1>;rel=\"index alternate\"", &["https://ca/1"]),
            (
                "<https://ca/1>;rel=\"alternate\", <https://ca/2>;rel=\"alternate\"",
                &["https://ca/1", "https://ca/2"],
            ),
            (
                "<https://ca/dir>;rel=index,<https://ca/a,b;c>;title=\"x, \\\"<y>;rel=up\";rel=alternate",
                &["https://ca/a,b;c"],
            ),
            ("<https://ca/1>;rel=up;rel=alternate", &[]),
            ("<https://ca/1>;rev=alternate", &[]),
            ("<https://ca/1>;rel=alternatenot", &[]),
            ("<https://ca/1>", &[]),
            ("<https://ca/1", &[]),
            ("https://ca/1;rel=alternate", &[]),
            ("<https://ca/1>;rel=\"alternate", &["https://ca/1"]),
            (
                "<ä>;rel=\"ä\",<https://ca/2>;rel=alternate",
                &["https://ca/2"],
            ),
            ("", &[]),
            (",,;=\"", &[]),
        ] {
            assert_eq!(links(text, "alternate"), urls, "{text}");
        }
    }
}
