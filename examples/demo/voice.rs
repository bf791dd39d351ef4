//! How the demo speaks: acts, sentences, and commands with what came back.

use std::io::{IsTerminal as _, Write as _, stdout};

/// Opens an act.
pub(crate) fn act(number: usize, title: &str) {
    line(&format!("\n{}\n", bold(&format!("Act {number}: {title}"))));
}

/// Says a sentence of the story.
pub(crate) fn say(text: &str) {
    line(text);
}

/// Says that something was checked and held.
pub(crate) fn seen(text: &str) {
    line(&format!("  {} {text}", coloured("32", "✓")));
}

/// Shows a command as a person would type it.
pub(crate) fn command(text: &str) {
    line(&format!("  {}", bold(&format!("$ {text}"))));
}

/// Shows what came back.
pub(crate) fn answer(text: &str) {
    for text in text.trim_end().lines() {
        line(format!("    {text}").trim_end());
    }
}

/// Someone who stopped reading (`| head`) doesn't stop the demo.
fn line(text: &str) {
    let mut output = stdout().lock();
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

fn bold(text: &str) -> String {
    coloured("1", text)
}

fn coloured(code: &str, text: &str) -> String {
    if stdout().is_terminal() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
