//! What others make of our keys, certificates and requests: OpenSSL and rustls-webpki.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a whole crate of tests, of which clippy only knows the #[test] functions"
)]

mod chains;
mod contents;
mod foreign;
mod hostile;
mod keys;
mod made;
mod openssl;
mod requests;
