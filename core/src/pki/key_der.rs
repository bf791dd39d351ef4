//! The forms of private keys: PKCS#8 (RFC 5208), PKCS#1 (RFC 8017 appendix A.1.2) and SEC1 (RFC 5915).

use der::asn1::{BitStringRef, OctetStringRef};
use der::oid::ObjectIdentifier;
use der::{Encode, EncodeValue, Sequence};
use spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::asn1::{self, Reader};

/// An ECPrivateKey; the curve stands in it only where it stands alone.
pub(super) fn ec_private_key(
    scalar: &[u8],
    curve: Option<ObjectIdentifier>,
    point: &[u8],
) -> der::Result<Zeroizing<Vec<u8>>> {
    secret_der(&EcPrivateKey {
        version: 1,
        private_key: OctetStringRef::new(scalar)?,
        parameters: curve,
        public_key: BitStringRef::from_bytes(point)?,
    })
}

/// A PrivateKeyInfo of version 1.
pub(super) fn private_key_info(
    algorithm: AlgorithmIdentifierRef<'_>,
    key: &[u8],
) -> der::Result<Zeroizing<Vec<u8>>> {
    secret_der(&PrivateKeyInfo {
        version: 0,
        private_key_algorithm: algorithm,
        private_key: OctetStringRef::new(key)?,
    })
}

/// Encodes into a buffer that never moves, so that no copy is left behind.
pub(super) fn secret_der(value: &(impl Encode + ?Sized)) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; usize::try_from(value.encoded_len()?)?]);
    value.encode_to_slice(&mut buffer)?;
    Ok(buffer)
}

/// The algorithm that a PKCS#8 key says it is of, and its curve where it names one.
pub(super) fn pkcs8_algorithm(der: &[u8]) -> Option<(ObjectIdentifier, Option<ObjectIdentifier>)> {
    let mut fields = Reader::inside(der, asn1::SEQUENCE)?;
    fields.expect(asn1::INTEGER)?;
    let mut algorithm = Reader::new(fields.expect(asn1::SEQUENCE)?);
    let oid = algorithm.oid()?;
    let curve = (algorithm.tag() == Some(asn1::OBJECT_IDENTIFIER))
        .then(|| algorithm.oid())
        .flatten();
    Some((oid, curve))
}

/// The key inside PKCS#8.
pub(super) fn pkcs8_private_key(der: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader::inside(der, asn1::SEQUENCE)?;
    fields.expect(asn1::INTEGER)?;
    fields.expect(asn1::SEQUENCE)?;
    fields.expect(asn1::OCTET_STRING)
}

/// The curve parameters of a SEC1 key.
pub(super) enum Parameters {
    /// None are there; this is how many octets the scalar has.
    Absent(usize),
    /// The curve's name.
    Named(ObjectIdentifier),
    /// The curve is written out (RFC 3279 section 2.3.5), which RFC 5480 section 2.1.1 forbids.
    Explicit,
}

/// How a SEC1 key says its curve; `None` if it is another thing.
pub(super) fn sec1_parameters(der: &[u8]) -> Option<Parameters> {
    let mut fields = Reader::inside(der, asn1::SEQUENCE)?;
    fields.expect(asn1::INTEGER)?;
    let scalar = fields.expect(asn1::OCTET_STRING)?;
    let Some(parameters) = fields.optional(asn1::CONTEXT_0) else {
        return Some(Parameters::Absent(scalar.len()));
    };
    Some(
        Reader::new(parameters)
            .oid()
            .map_or(Parameters::Explicit, Parameters::Named),
    )
}

/// ECPrivateKey (RFC 5915 section 3).
#[derive(EncodeValue)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    public_key: BitStringRef<'a>,
}

impl<'a> Sequence<'a> for EcPrivateKey<'a> {}

/// PrivateKeyInfo (RFC 5208 section 5).
#[derive(EncodeValue)]
struct PrivateKeyInfo<'a> {
    version: u8,
    private_key_algorithm: AlgorithmIdentifierRef<'a>,
    private_key: &'a OctetStringRef,
}

impl<'a> Sequence<'a> for PrivateKeyInfo<'a> {}
