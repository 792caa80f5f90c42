package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Verify is an example: it checks the shape of a document, its chain, its signature and most of the
// policy, with the standard library alone. It accepts many documents that a verifier must reject,
// so do not use it in production.
func Verify(document []byte, rootPEM string, at *time.Time, policy Policy) Answer {
	switch {
	case policy.Kind != "enclave":
		return Unsupported("nitrotpm")
	case policy.MaxAgeMS != nil:
		return Unsupported("max-age")
	case policy.ClockSkewMS != 0:
		return Unsupported("clock-skew")
	}
	message, payload, err := parse(document)
	if err != nil {
		return Reject("document", err.Error())
	}
	if at == nil {
		signed := time.UnixMilli(int64(payload.timestamp))
		at = &signed
	}
	key, err := verifyChain(payload, rootPEM, *at)
	if err != nil {
		return Reject("chain", err.Error())
	}
	if !message.signedBy(key) {
		return Reject("signature", "the signature is not by the key of the certificate")
	}
	if err := payload.check(policy); err != nil {
		return Reject("policy", err.Error())
	}
	return Accept()
}

type sign1 struct{ protected, payload, signature []byte }

type payload struct {
	timestamp   uint64
	pcrs        map[any]any
	certificate []byte
	bundle      []any
	values      map[any]any // all fields
}

// parse returns the COSE_Sign1 message and the fields of its payload.
func parse(document []byte) (message sign1, fields payload, err error) {
	outer, err := decode(bytes.TrimPrefix(document, []byte{0xd2})) // tag 18 is optional
	if err != nil {
		return
	}
	parts, _ := outer.([]any)
	if len(parts) != 4 {
		return message, fields, errors.New("not a COSE_Sign1 array of four")
	}
	header, _ := parts[1].(map[any]any)
	message.protected, _ = parts[0].([]byte)
	message.payload, _ = parts[2].([]byte)
	message.signature, _ = parts[3].([]byte)
	if header == nil || len(header) != 0 || len(message.signature) != 96 {
		return message, fields, errors.New("malformed header or signature")
	}
	if !bytes.Equal(message.protected, []byte{0xa1, 0x01, 0x38, 0x22}) { // {1: -35}, ES384
		return message, fields, errors.New("the algorithm is not ES384")
	}
	inner, err := decode(message.payload)
	if err != nil {
		return
	}
	fields.values, _ = inner.(map[any]any)
	var ok [4]bool
	fields.timestamp, ok[0] = fields.values["timestamp"].(uint64)
	fields.pcrs, ok[1] = fields.values["pcrs"].(map[any]any)
	fields.certificate, ok[2] = fields.values["certificate"].([]byte)
	fields.bundle, ok[3] = fields.values["cabundle"].([]any)
	if fields.values["digest"] != "SHA384" || ok != [4]bool{true, true, true, true} {
		err = errors.New("a field is missing or has another type")
	}
	return
}

// verifyChain returns the key of the signing certificate.
func verifyChain(fields payload, rootPEM string, at time.Time) (*ecdsa.PublicKey, error) {
	roots, bundle := x509.NewCertPool(), x509.NewCertPool()
	trusted, _ := pem.Decode([]byte(rootPEM))
	if trusted == nil || !roots.AppendCertsFromPEM([]byte(rootPEM)) {
		panic("the trusted root is not a certificate")
	}
	for index, one := range fields.bundle {
		der, _ := one.([]byte)
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if index == 0 && !bytes.Equal(der, trusted.Bytes) {
			return nil, errors.New("the first certificate is not the trusted root")
		}
		bundle.AddCert(certificate)
	}
	leaf, err := x509.ParseCertificate(fields.certificate)
	if err != nil {
		return nil, err
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	options := x509.VerifyOptions{
		Roots: roots, Intermediates: bundle, CurrentTime: at, KeyUsages: usages,
	}
	if _, err := leaf.Verify(options); err != nil {
		return nil, err
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() || leaf.IsCA {
		return nil, errors.New("the signing certificate is a CA or has no P-384 key")
	}
	return key, nil
}

// signedBy verifies the signature of a COSE_Sign1 message (RFC 9052, section 4.4).
func (message sign1) signedBy(key *ecdsa.PublicKey) bool {
	signed := []byte("\x84\x6aSignature1")
	for _, part := range [][]byte{message.protected, {}, message.payload} {
		signed = append(append(signed, head(len(part))...), part...)
	}
	digest := sha512.Sum384(signed)
	r := new(big.Int).SetBytes(message.signature[:48])
	s := new(big.Int).SetBytes(message.signature[48:])
	return ecdsa.Verify(key, digest[:], r, s)
}

// head is the head of a CBOR byte string, in its shortest form up to 65535 bytes.
func head(size int) []byte {
	switch {
	case size < 24:
		return []byte{0x40 | byte(size)}
	case size < 256:
		return []byte{0x58, byte(size)}
	}
	return []byte{0x59, byte(size >> 8), byte(size)}
}

// check compares the fields with the policy.
func (fields payload) check(policy Policy) error {
	expected := map[string]*string{
		"nonce": policy.Nonce, "user_data": policy.UserData, "public_key": policy.PublicKey,
	}
	for name, value := range expected {
		found, present := fields.values[name].([]byte)
		if value != nil && (!present || hex.EncodeToString(found) != *value) {
			return fmt.Errorf("%s mismatch: expected %s, found %x", name, *value, found)
		}
	}
	for index := uint64(0); index < 3 && !policy.AllowDebug; index++ {
		value, _ := fields.pcrs[index].([]byte)
		if strings.Trim(string(value), "\x00") == "" {
			return errors.New("debug mode")
		}
	}
	for _, allowed := range policy.PCRs {
		if fields.match(allowed) {
			return nil
		}
	}
	if len(policy.PCRs) > 0 {
		return errors.New("PCR mismatch")
	}
	return nil
}

func (fields payload) match(allowed map[int]string) bool {
	for index, value := range allowed {
		found, _ := fields.pcrs[uint64(index)].([]byte)
		if hex.EncodeToString(found) != value {
			return false
		}
	}
	return true
}

// decode returns one CBOR item that fills all of the bytes: uint64, []byte, string, []any,
// map[any]any or nil.
func decode(data []byte) (item any, err error) {
	defer func() {
		if cause := recover(); cause != nil { // a slice beyond the end, a map as a key
			err = fmt.Errorf("malformed CBOR: %v", cause)
		}
	}()
	item, rest := next(data, 0)
	if len(rest) > 0 {
		return nil, errors.New("bytes after the end")
	}
	return item, nil
}

const stop = 0xff // ends an array or a map without a count

func next(data []byte, depth int) (any, []byte) {
	major, length, counted, rest := readHead(data)
	if depth > 4 {
		panic("too deep")
	}
	switch {
	case data[0] == 0xf6:
		return nil, rest
	case major == 0 && counted:
		return length, rest
	case major == 2 && counted:
		return rest[:length:length], rest[length:]
	case major == 3 && counted:
		return string(rest[:length]), rest[length:]
	case major == 4 || major == 5:
		if length > uint64(len(rest)) {
			panic("more items than bytes")
		}
		if major == 5 {
			length *= 2 // keys and values
		}
		items := []any{}
		for ; counted && length > 0 || !counted && rest[0] != stop; length-- {
			var item any
			item, rest = next(rest, depth+1)
			items = append(items, item)
		}
		if !counted {
			rest = rest[1:]
		}
		if major == 5 {
			return entries(items), rest
		}
		return items, rest
	}
	panic(fmt.Sprintf("unexpected type 0x%02x", data[0]))
}

// readHead returns the major type and the argument; counted is false if there is no argument.
func readHead(data []byte) (major byte, argument uint64, counted bool, rest []byte) {
	major, info, rest := data[0]>>5, data[0]&31, data[1:]
	if info < 24 {
		return major, uint64(info), true, rest
	}
	if info == 31 {
		return major, 0, false, rest
	}
	if info > 27 {
		panic("reserved head")
	}
	size := 1 << (info - 24)
	padded := append(make([]byte, 8-size), rest[:size]...)
	return major, binary.BigEndian.Uint64(padded), true, rest[size:]
}

func entries(items []any) map[any]any {
	result := map[any]any{}
	for ; len(items) > 0; items = items[2:] {
		if _, twice := result[items[0]]; twice {
			panic("a key appears twice")
		}
		result[items[0]] = items[1]
	}
	return result
}
