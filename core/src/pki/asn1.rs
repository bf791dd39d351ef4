//! The outer frame of DER structures (X.690), as slices of what was read.
//!
//! Signatures, names and keys are compared and verified as the octets they came in, not as somebody's parse of them.

use der::oid::ObjectIdentifier;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[1]`, constructed.
pub(super) const CONTEXT_1: u8 = 0xa1;

/// Reads elements one after the other.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads what follows in `octets`.
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Reads inside the one element of this tag that `octets` are.
    pub(super) fn inside(octets: &'a [u8], tag: u8) -> Option<Self> {
        let mut outer = Self(octets);
        let content = outer.expect(tag)?;
        outer.is_empty().then_some(Self(content))
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element.
    pub(super) fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: its tag, its content and the whole of it.
    pub(super) fn element(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, first, header) = match *self.0 {
            [tag, first, ..] if tag & 0x1f != 0x1f => (tag, first, 2),
            _ => return None,
        };
        let (length, header) = if first < 0x80 {
            (usize::from(first), header)
        } else {
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let octets = self.0.get(header..header + count)?;
            (
                octets
                    .iter()
                    .fold(0, |length, octet| length << 8 | usize::from(*octet)),
                header + count,
            )
        };
        let end = header.checked_add(length)?;
        let whole = self.0.get(..end)?;
        self.0 = &self.0[end..];
        Some((tag, &whole[header..], whole))
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.whole(tag).map(|(content, _)| content)
    }

    /// Content and whole of the next element, which must have this tag.
    pub(super) fn whole(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (found, content, whole) = self.element()?;
        (found == tag).then_some((content, whole))
    }

    /// The content of the next element, if it has this tag; nothing is read otherwise.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.tag() == Some(tag) {
            self.expect(tag)
        } else {
            None
        }
    }

    /// An object identifier.
    pub(super) fn oid(&mut self) -> Option<ObjectIdentifier> {
        ObjectIdentifier::from_bytes(self.expect(OBJECT_IDENTIFIER)?).ok()
    }

    /// A bit string of whole octets.
    pub(super) fn bits(&mut self) -> Option<&'a [u8]> {
        match self.expect(BIT_STRING)? {
            [0, octets @ ..] => Some(octets),
            _ => None,
        }
    }
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1).
pub(super) struct Spki<'a> {
    /// The content of its AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    /// The kind of key.
    pub(super) oid: ObjectIdentifier,
    /// The parameters, where they are an object identifier: a named curve.
    pub(super) curve: Option<ObjectIdentifier>,
    /// The bits of the key.
    pub(super) key: &'a [u8],
}

impl<'a> Spki<'a> {
    /// Reads the frame; `None` if it is another thing.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut spki = Reader::inside(der, SEQUENCE)?;
        let algorithm = spki.expect(SEQUENCE)?;
        let key = spki.bits()?;
        let mut fields = Reader::new(algorithm);
        let oid = fields.oid()?;
        let curve = (fields.tag() == Some(OBJECT_IDENTIFIER))
            .then(|| fields.oid())
            .flatten();
        spki.is_empty().then_some(Self {
            algorithm,
            oid,
            curve,
            key,
        })
    }
}

/// What is signed, by which algorithm, and the signature: a certificate (RFC 5280 section 4.1.1) or a certification
/// request (RFC 2986 section 4.2).
pub(super) struct Signed<'a> {
    /// The whole of what is signed.
    pub(super) message: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    /// The signature.
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads the frame; `None` if it is another thing.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::inside(der, SEQUENCE)?;
        let (_, message) = fields.whole(SEQUENCE)?;
        let algorithm = fields.expect(SEQUENCE)?;
        let signature = fields.bits()?;
        fields.is_empty().then_some(Self {
            message,
            algorithm,
            signature,
        })
    }
}

/// The parts of a certificate that are compared as octets.
pub(super) struct CertificateFrame<'a> {
    /// The signed part and its signature.
    pub(super) signed: Signed<'a>,
    /// The issuer's name, whole.
    pub(super) issuer: &'a [u8],
    /// The subject's name, whole.
    pub(super) subject: &'a [u8],
    /// The SubjectPublicKeyInfo, whole.
    pub(super) public_key: &'a [u8],
}

impl<'a> CertificateFrame<'a> {
    /// Reads the frame; `None` if it is another thing, or if the two places that name the algorithm differ.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let signed = Signed::read(der)?;
        let mut fields = Reader::inside(signed.message, SEQUENCE)?;
        fields.optional(CONTEXT_0);
        fields.expect(INTEGER)?;
        let algorithm = fields.expect(SEQUENCE)?;
        let (_, issuer) = fields.whole(SEQUENCE)?;
        fields.expect(SEQUENCE)?;
        let (_, subject) = fields.whole(SEQUENCE)?;
        let (_, public_key) = fields.whole(SEQUENCE)?;
        (algorithm == signed.algorithm).then_some(Self {
            signed,
            issuer,
            subject,
            public_key,
        })
    }
}

/// Bits of the modulus of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn rsa_modulus_bits(key: &[u8]) -> Option<u16> {
    let mut modulus = Reader::inside(key, SEQUENCE)?.expect(INTEGER)?;
    while let [0, rest @ ..] = modulus {
        modulus = rest;
    }
    let bits = modulus.len() * 8 - usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    u16::try_from(bits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_short_and_long_lengths_and_nothing_beyond_the_end() {
        let mut reader = Reader::new(&[
            0x04, 0x01, 0x07, 0x04, 0x81, 0x02, 0x08, 0x09, 0x04, 0x02, 0x01,
        ]);
        assert_eq!(reader.expect(OCTET_STRING), Some([7].as_slice()));
        assert_eq!(reader.expect(OCTET_STRING), Some([8, 9].as_slice()));
        assert_eq!(reader.element(), None);
        assert_eq!(Reader::new(&[0x30, 0x80, 0, 0]).element(), None);
        assert_eq!(
            Reader::new(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).element(),
            None
        );
        assert_eq!(Reader::new(&[0x1f, 0x00]).element(), None);
        assert_eq!(Reader::new(&[]).element(), None);
    }

    #[test]
    fn counts_the_bits_of_a_modulus() {
        assert_eq!(
            rsa_modulus_bits(&[0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x03]),
            Some(8)
        );
        assert_eq!(
            rsa_modulus_bits(&[0x30, 0x06, 0x02, 0x01, 0x7f, 0x02, 0x01, 0x03]),
            Some(7)
        );
        assert_eq!(rsa_modulus_bits(&[0x30, 0x03, 0x02, 0x01, 0x00]), None);
    }
}
