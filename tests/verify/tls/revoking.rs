//! A CA's revocation list, and where it is found.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::authority::Ca;

/// A list that is good until the beginning of this year, with this serial number in it.
pub(crate) fn list(ca: &Ca, until: i32, serial: u64) -> Vec<u8> {
    let entry = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2025, 6, 1),
        reason_code: Some(RevocationReason::Superseded),
        invalidity_date: None,
    };
    let parameters = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 6, 2),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![entry],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    parameters.signed_by(ca).unwrap().der().to_vec()
}

/// Serves bytes by http to all who ask, and says at which URL.
pub(crate) async fn published(head: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/ca.crl?a=b", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            assert!(request.starts_with(b"GET /ca.crl?a=b HTTP/1.1\r\n"));
            // Who reads enough of it hangs up.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    url
}

/// The beginning of an answer that has what was asked for.
pub(crate) const FOUND: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
