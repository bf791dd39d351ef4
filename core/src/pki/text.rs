//! Texts out of certificates, for people to read.

/// Text out of a certificate. Whoever made it may want to move the cursor or forge a line: what isn't shown as itself
/// is escaped.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Marks that change the direction of text, and spaces of no width.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// The same, cut to so many bytes, which says so.
pub fn cut(text: &str, most: usize) -> String {
    const CUT: &str = "...";
    let mut text = shown(text);
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(CUT.len())));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_move_the_cursor_is_escaped() {
        assert_eq!(
            shown("a\u{1b}[2J\nb\u{202e}c\u{200b}ü"),
            r"a\u{1b}[2J\u{a}b\u{202e}c\u{200b}ü"
        );
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("\u{e4}\u{e4}\u{e4}\u{e4}", 6), "\u{e4}...");
        assert_eq!(cut("\u{1b}", 10), r"\u{1b}");
    }
}
