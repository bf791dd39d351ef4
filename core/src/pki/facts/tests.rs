//! Tests of `facts`.
