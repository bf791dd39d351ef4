//! Tests of `ca`.
