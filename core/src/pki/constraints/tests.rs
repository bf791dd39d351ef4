//! Tests of `constraints`.
