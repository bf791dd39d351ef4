//! What others make of our keys, certificates and requests: OpenSSL and rustls-webpki.

mod chains;
mod contents;
mod foreign;
mod keys;
mod made;
mod openssl;
mod requests;
