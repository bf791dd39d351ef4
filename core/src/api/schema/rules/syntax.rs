//! The forms of texts, as RE2 patterns. None of them holds a single quote, so that all fit into CEL's `r'…'`.

/// A host name: letters, digits, hyphens (not at the edge of a label) and underscores, and whatever is beyond ASCII,
/// which only the operator can judge. A label has at most 63 characters, and many times fewer if it isn't ASCII.
pub(super) fn host() -> String {
    format!("{LABEL}([.]{LABEL})*")
}

const LABEL: &str =
    "[^\\x00-/:-@[-^`{-\\x7f]([^\\x00-,./:-@[-^`{-\\x7f]{0,61}[^\\x00-/:-@[-^`{-\\x7f])?";

/// What comes before the `@` of a mailbox: a dot-atom or a quoted string (RFC 5322 section 3.4.1), in ASCII.
pub(super) const LOCAL_PART: &str = r#"([!#-\x26*+/-9=?A-Z^-~\x2d\x27]+([.][!#-\x26*+/-9=?A-Z^-~\x2d\x27]+)*|"([ !#-[\]-~]|\\[ -~])*")"#;

/// Hours, minutes and seconds, as `DurationText::parse` reads them; the empty text is kept out by [`is_duration`].
const DURATION: &str =
    "^([0-9]{1,6}([.][0-9]{1,3})?h)?([0-9]{1,7}([.][0-9]{1,3})?m)?([0-9]{1,9}([.][0-9]{1,3})?s)?$";

/// Five fields; what is in them only the operator can judge.
pub(super) const CRON: &str = "^ *[0-9A-Za-z*,/?#-]+( +[0-9A-Za-z*,/?#-]+){4} *$";

/// The name of a time zone; whether there is one of that name only the operator can judge.
pub(super) const TIME_ZONE: &str = "^[A-Za-z][0-9A-Za-z_+-]*(/[A-Za-z0-9_+-]+)*$";

/// A name as objects have them (RFC 1123), at most 253 characters by a check of its own.
pub(super) const OBJECT_NAME: &str =
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

/// The name of a namespace (RFC 1123), at most 63 characters by a check of its own.
pub(super) const NAMESPACE: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";

/// An absolute URI: a scheme, and after it only characters that a URI may hold (RFC 3986).
pub(super) const URI: &str = r"^[A-Za-z][0-9A-Za-z+.-]*:[!#-\x26(-;=?-\x5b\x5d_a-z~\x27]+$";

/// A `%` that two hexadecimal digits don't follow.
pub(super) const BROKEN_ESCAPE: &str = "%([^0-9A-Fa-f]|$|.[^0-9A-Fa-f]|.$)";

/// At least three numbers, the first two within what X.660 allows.
pub(super) const OBJECT_IDENTIFIER: &str =
    "^([01][.](0|[1-9]|[1-3][0-9])|2[.](0|[1-9][0-9]{0,8}))([.](0|[1-9][0-9]{0,9}))+$";

/// The key of a label or, but for the case of its prefix, of an annotation.
pub(super) const QUALIFIED_NAME: &str =
    "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$";

/// The name of an entry of a Secret; the empty text counts as absent.
pub(super) const SECRET_ENTRY: &str = "^[0-9A-Za-z._-]*$";

/// The path of a request, with a query if need be (RFC 3986): only characters that stand there.
pub(super) const REQUEST_PATH: &str = r"^/[!$-;=?-Z_a-z~\x27]*$";

/// The kind of a workload, with a dot and its group if need be.
pub(super) const WORKLOAD_KIND: &str = r"^[A-Z][A-Za-z0-9]{0,62}([.][a-z0-9.-]+)?$";

/// The value of a label.
pub(super) const LABEL_VALUE: &str = "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$";

/// CEL: whether `text` is `pattern`.
pub(super) fn is(text: &str, pattern: &str) -> String {
    format!("{text}.matches(r'{pattern}')")
}

/// CEL: whether `text` is a duration, so that `duration()` can read it.
pub(super) fn is_duration(text: &str) -> String {
    format!("({text} != '' && {})", is(text, DURATION))
}
