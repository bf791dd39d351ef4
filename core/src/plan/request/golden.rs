//! Requests that must never change.
//!
//! Secrets remember the hash of the request they were issued for. Were a hash here to change, that release would
//! re-issue every such certificate of every cluster. A changed default or form takes a new version instead, and these
//! lines stay as they are.

use super::*;

struct Golden {
    spec: &'static str,
    json: &'static str,
    hash: &'static str,
}

const VERSION_1: &[Golden] = &[
    Golden {
        spec: "
secretName: web
issuerRef: {name: ca}
dnsNames: [www.example.com, example.com]
",
        json: r#"{"issuer":{"cluster":false,"name":"ca"},"profile":{"names":{"dns":["example.com","www.example.com"]},"keyUsages":["digitalSignature"],"key":{"ecdsa":256},"usagesInRequest":true,"lifetimeSeconds":7776000}}"#,
        hash: "v1-1c3e01633611f5f7333d11a657c4182007f35393b9957fb17ac4585378bee5be",
    },
    Golden {
        spec: "
secretName: root
issuerRef: {name: selfsigned, kind: ClusterIssuer}
isCA: true
commonName: Example Root
duration: 87600h
privateKey: {algorithm: ECDSA, size: 384}
",
        json: r#"{"issuer":{"cluster":true,"name":"selfsigned"},"profile":{"subject":[[{"oid":"2.5.4.3","value":"Example Root"}]],"names":{},"keyUsages":["digitalSignature","keyCertSign"],"isCa":true,"key":{"ecdsa":384},"usagesInRequest":true,"lifetimeSeconds":315360000}}"#,
        hash: "v1-e5980fb4b57762ea24e49774b51cb3b787ce45d57d961f139e37eae3727c0ba5",
    },
    Golden {
        spec: "
secretName: everything
issuerRef: {name: ca, kind: Issuer, group: certwright.dev}
commonName: Jörg
subject:
  organizations: [Beta, Alpha]
  countries: [DE]
  organizationalUnits: [Unit]
  localities: [Berlin]
  provinces: [BE]
  streetAddresses: [Street 1]
  postalCodes: ['10115']
  serialNumber: '42'
dnsNames: ['*.BÜCHER.example', _srv.example.com]
ipAddresses: ['192.0.2.1', '2001:db8::1', '::ffff:192.0.2.1']
uris: ['spiffe://cluster.local/ns/a/sa/b']
emailAddresses: [Ops@Example.com]
otherNames: [{oid: 1.3.6.1.4.1.311.20.2.3, utf8Value: upn@example.com}]
duration: 1h30m0.5s
usages: [key encipherment, signing, server auth, s/mime, any]
encodeUsagesInRequest: false
isCA: true
nameConstraints:
  critical: true
  permitted: {dnsDomains: [Example.com], ipRanges: [10.1.2.3/8], emailAddresses: [.example.com], uriDomains: [example.com]}
  excluded: {dnsDomains: ['']}
privateKey: {size: 4096}
signatureAlgorithm: SHA512WithRSA
",
        json: r#"{"issuer":{"cluster":false,"name":"ca"},"profile":{"subject":[[{"oid":"2.5.4.6","value":"DE"}],[{"oid":"2.5.4.10","value":"Alpha"},{"oid":"2.5.4.10","value":"Beta"}],[{"oid":"2.5.4.11","value":"Unit"}],[{"oid":"2.5.4.7","value":"Berlin"}],[{"oid":"2.5.4.8","value":"BE"}],[{"oid":"2.5.4.9","value":"Street 1"}],[{"oid":"2.5.4.17","value":"10115"}],[{"oid":"2.5.4.3","value":"Jörg"}],[{"oid":"2.5.4.5","value":"42"}]],"names":{"dns":["*.xn--bcher-kva.example","_srv.example.com"],"ip":["192.0.2.1","2001:db8::1"],"uri":["spiffe://cluster.local/ns/a/sa/b"],"email":["Ops@example.com"],"other":[["1.3.6.1.4.1.311.20.2.3","upn@example.com"]]},"keyUsages":["digitalSignature","keyEncipherment","keyCertSign"],"extendedKeyUsages":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.4","2.5.29.37.0"],"isCa":true,"nameConstraints":{"critical":true,"permitted":{"dns":["example.com"],"ip":[["10.0.0.0",8]],"email":[".example.com"],"uri":["example.com"]},"excluded":{"dns":[""]}},"key":{"rsa":4096},"signatureAlgorithm":"SHA512WithRSA","usagesInRequest":false,"lifetimeSeconds":5400}}"#,
        hash: "v1-dc83d4a0006e17af59c81adca406a8402b8b433ecd2d75ac55616850d9c75ae0",
    },
    Golden {
        spec: "
secretName: literal
issuerRef: {name: ca}
literalSubject: 'CN=Foo\\, Inc+UID=7,OU=b,OU=a,DC=example,2.5.4.97=VATDE-1'
privateKey: {algorithm: Ed25519, size: 4096}
usages: [client auth]
",
        json: r#"{"issuer":{"cluster":false,"name":"ca"},"profile":{"subject":[[{"oid":"2.5.4.97","value":"VATDE-1"}],[{"oid":"0.9.2342.19200300.100.1.25","value":"example"}],[{"oid":"2.5.4.11","value":"a"}],[{"oid":"2.5.4.11","value":"b"}],[{"oid":"0.9.2342.19200300.100.1.1","value":"7"},{"oid":"2.5.4.3","value":"Foo, Inc"}]],"names":{},"keyUsages":[],"extendedKeyUsages":["1.3.6.1.5.5.7.3.2"],"key":"ed25519","usagesInRequest":true,"lifetimeSeconds":7776000}}"#,
        hash: "v1-4517b6f5bfe35d105339a1ae3de8b837c0e340658e5c8e090aec9fc02188a39d",
    },
];

#[test]
fn the_requests_of_version_1_never_change() {
    for golden in VERSION_1 {
        let spec: CertificateSpec = serde_yaml::from_str(golden.spec).unwrap();
        let request = Request::of(&spec, 1).unwrap();
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            golden.json,
            "{}",
            golden.spec
        );
        assert_eq!(request.hash(1), golden.hash, "{}", golden.spec);
    }
}

#[test]
fn the_json_of_a_request_reads_back_as_that_request() {
    for golden in VERSION_1 {
        let request: Request = serde_json::from_str(golden.json).unwrap();
        assert_eq!(request.hash(1), golden.hash, "{}", golden.json);
    }
}
