// Says what Go and zlint make of certificates. Questions come in as JSON on standard input, answers go out on standard
// output in the same order. What a certificate says is read by crypto/x509 alone; nothing of Certwright is used.
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	lintx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// question is one chain and how it is to be verified.
type question struct {
	// Chain is the certificate and what a server sends after it, in DER.
	Chain [][]byte `json:"chain"`
	// Top is what a client trusts.
	Top []byte `json:"top"`
	// At is when it is verified.
	At time.Time `json:"at"`
}

// answer is what was read, and what others say to it.
type answer struct {
	Certificate map[string]any `json:"certificate"`
	// Chain has the names from the certificate to what is trusted; empty if it is not accepted.
	Chain []string `json:"chain"`
	// Refused says why it is not.
	Refused string `json:"refused,omitempty"`
	// Findings are the linter's, each as "severity name".
	Findings []string `json:"findings"`
}

// The linter's rules that hold outside the Web PKI too: those of RFCs, and the common sense of its makers.
var sources = lint.SourceList{
	lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC6962, lint.RFC8813, lint.Community,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		return fmt.Errorf("the questions: %w", err)
	}
	rules, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: sources})
	if err != nil {
		return err
	}
	answers := make([]answer, 0, len(questions))
	for number, question := range questions {
		answer, err := question.answer(rules)
		if err != nil {
			return fmt.Errorf("question %d: %w", number+1, err)
		}
		answers = append(answers, *answer)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func (q question) answer(rules lint.Registry) (*answer, error) {
	leaf, err := x509.ParseCertificate(q.Chain[0])
	if err != nil {
		return nil, err
	}
	said, err := says(leaf)
	if err != nil {
		return nil, err
	}
	a := &answer{Certificate: said, Chain: []string{}}
	chain, err := q.verify(leaf)
	if err != nil {
		a.Refused = err.Error()
	}
	for _, certificate := range chain {
		name, err := distinguishedName(certificate.RawSubject)
		if err != nil {
			return nil, err
		}
		a.Chain = append(a.Chain, name)
	}
	a.Findings, err = findings(q.Chain[0], rules)
	return a, err
}

func (q question) verify(leaf *x509.Certificate) ([]*x509.Certificate, error) {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	top, err := x509.ParseCertificate(q.Top)
	if err != nil {
		return nil, err
	}
	roots.AddCert(top)
	for _, der := range q.Chain[1:] {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		between.AddCert(certificate)
	}
	// What is asked for besides is part of what the certificate says, and compared there.
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: q.At, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

func findings(der []byte, rules lint.Registry) ([]string, error) {
	certificate, err := lintx509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the linter: %w", err)
	}
	found := []string{}
	for name, result := range zlint.LintCertificateEx(certificate, rules).Results {
		if result.Status >= lint.Notice {
			found = append(found, fmt.Sprintf("%s %s", result.Status, name))
		}
	}
	sort.Strings(found)
	return found, nil
}

// says has only what is there, so that whoever compares it sees what is there too much.
func says(c *x509.Certificate) (map[string]any, error) {
	said := map[string]any{
		"version":   c.Version,
		"key":       keyOf(c),
		"signature": c.SignatureAlgorithm.String(),
		"notBefore": c.NotBefore,
		"notAfter":  c.NotAfter,
	}
	put := func(name string, value string) {
		if value != "" {
			said[name] = value
		}
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			said[name] = values
		}
	}
	for name, der := range map[string][]byte{"subject": c.RawSubject, "issuer": c.RawIssuer} {
		text, err := distinguishedName(der)
		if err != nil {
			return nil, err
		}
		put(name, text)
	}
	list("dns", c.DNSNames)
	list("ip", texts(c.IPAddresses))
	list("uri", texts(c.URIs))
	list("email", c.EmailAddresses)
	list("keyUsage", keyUsages(c.KeyUsage))
	usages := []string{}
	for _, usage := range c.ExtKeyUsage {
		usages = append(usages, usage.OID().String())
	}
	for _, usage := range c.UnknownExtKeyUsage {
		usages = append(usages, usage.String())
	}
	sort.Strings(usages)
	list("extKeyUsage", usages)
	if c.BasicConstraintsValid {
		said["isCA"] = c.IsCA
		if c.MaxPathLen >= 0 {
			said["pathLength"] = c.MaxPathLen
		}
	}
	list("permittedDNS", c.PermittedDNSDomains)
	list("excludedDNS", c.ExcludedDNSDomains)
	list("permittedIP", texts(c.PermittedIPRanges))
	list("excludedIP", texts(c.ExcludedIPRanges))
	list("permittedEmail", c.PermittedEmailAddresses)
	list("excludedEmail", c.ExcludedEmailAddresses)
	list("permittedURI", c.PermittedURIDomains)
	list("excludedURI", c.ExcludedURIDomains)
	list("crl", c.CRLDistributionPoints)
	list("ocsp", c.OCSPServer)
	list("above", c.IssuingCertificateURL)
	critical := []string{}
	for _, extension := range c.Extensions {
		if extension.Critical {
			critical = append(critical, extension.Id.String())
		}
	}
	sort.Strings(critical)
	list("critical", critical)
	if bits := c.SerialNumber.BitLen(); bits < 64 || c.SerialNumber.Sign() <= 0 {
		said["badSerial"] = c.SerialNumber.String()
	}
	if len(c.SubjectKeyId) == 0 {
		said["badKeyIdentifier"] = hex.EncodeToString(c.SubjectKeyId)
	}
	others, err := otherNames(c)
	list("other", others)
	return said, err
}

// distinguishedName is written as RFC 4514 has it, the most particular part first, in the order it is encoded in:
// pkix.Name keeps another order, and other kinds of strings.
func distinguishedName(der []byte) (string, error) {
	var sequence []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &sequence); err != nil {
		return "", err
	}
	names := []string{}
	for _, set := range slices.Backward(sequence) {
		var attributes []attribute
		if _, err := asn1.UnmarshalWithParams(set.FullBytes, &attributes, "set"); err != nil {
			return "", err
		}
		parts := []string{}
		for _, attribute := range attributes {
			parts = append(parts, attribute.String())
		}
		names = append(names, strings.Join(parts, "+"))
	}
	return strings.Join(names, ","), nil
}

type attribute struct {
	Kind  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// String says strings of other kinds than UTF8String and PrintableString by their encoding.
func (a attribute) String() string {
	kind := a.Kind.String()
	if name, known := kinds[kind]; known {
		kind = name
	}
	switch a.Value.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString:
		return kind + "=" + strings.ReplaceAll(string(a.Value.Bytes), ",", "\\,")
	default:
		return kind + "=#" + hex.EncodeToString(a.Value.FullBytes)
	}
}

var kinds = map[string]string{
	"2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.17": "POSTALCODE", "0.9.2342.19200300.100.1.25": "DC",
}

func keyOf(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return fmt.Sprintf("%T", key)
	}
}

func keyUsages(usage x509.KeyUsage) []string {
	names := []string{
		"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "certSign",
		"crlSign", "encipherOnly", "decipherOnly",
	}
	found := []string{}
	for bit, name := range names {
		if usage&(1<<bit) != 0 {
			found = append(found, name)
		}
	}
	return found
}

// otherNames reads those of the subject alternative names that crypto/x509 skips.
func otherNames(c *x509.Certificate) ([]string, error) {
	found := []string{}
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &names); err != nil {
			return nil, err
		}
		for _, name := range names {
			if name.Tag != 0 || name.Class != asn1.ClassContextSpecific {
				continue
			}
			var other struct {
				Kind  asn1.ObjectIdentifier
				Value string `asn1:"tag:0,explicit,utf8"`
			}
			if _, err := asn1.UnmarshalWithParams(name.FullBytes, &other, "tag:0"); err != nil {
				return nil, err
			}
			found = append(found, other.Kind.String()+"="+other.Value)
		}
	}
	return found, nil
}

func texts[T fmt.Stringer](values []T) []string {
	found := []string{}
	for _, value := range values {
		found = append(found, value.String())
	}
	return found
}
