//! Certificates made with other people's code.

use jiff::civil::Date;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};

use super::Scene;

/// A self-signed certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Made {
    /// A CA, valid until the beginning of that day.
    pub(crate) fn ca(until: Date) -> Self {
        Self::certificate(until, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    /// A certificate that may sign nothing.
    pub(crate) fn leaf(until: Date) -> Self {
        Self::certificate(until, IsCa::ExplicitNoCa)
    }

    /// The same CA with a new certificate for its key.
    pub(crate) fn renewed(&self, until: Date) -> Self {
        let key = KeyPair::from_pem(&self.key).unwrap();
        Self::signed(until, IsCa::Ca(BasicConstraints::Unconstrained), &key)
    }

    fn certificate(until: Date, is_ca: IsCa) -> Self {
        Self::signed(until, is_ca, &KeyPair::generate().unwrap())
    }

    fn signed(until: Date, is_ca: IsCa, key: &KeyPair) -> Self {
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "Corp CA");
        parameters.not_before = date_time_ymd(2019, 1, 1);
        let [month, day] = [until.month(), until.day()].map(i8::unsigned_abs);
        parameters.not_after = date_time_ymd(until.year().into(), month, day);
        parameters.is_ca = is_ca;
        Self {
            certificate: parameters.self_signed(key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Puts it into a Secret that Certwright does not know.
    pub(crate) async fn put(&self, scene: &Scene<'_>, secret: &str) {
        let data = [
            ("tls.crt", self.certificate.as_bytes()),
            ("tls.key", self.key.as_bytes()),
        ];
        scene.secret(secret, "kubernetes.io/tls", &data).await;
    }
}
