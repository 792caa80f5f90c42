// Asks one verifier of AWS Nitro attestation documents about every case of the conformance suite:
// reads one JSON object per line from standard input and writes one answer per line.
//
// This file is complete. Replace Verify in verifier.go with a call to the verifier under test.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"
)

// Policy has the requirements of the caller. Values of PCRs, and the three expected values, are
// hexadecimal, in lower case; nil means: not checked.
type Policy struct {
	Kind        string           `json:"kind"` // "enclave" or "nitrotpm"
	PCRs        []map[int]string `json:"pcrs"` // the document matches one of them; empty: any
	Nonce       *string          `json:"nonce"`
	UserData    *string          `json:"user_data"`
	PublicKey   *string          `json:"public_key"`
	MaxAgeMS    *int64           `json:"max_age_ms"`
	AllowDebug  bool             `json:"allow_debug"`
	ClockSkewMS int64            `json:"clock_skew_ms"` // how far the verifier's clock may be behind
}

// Answer is the result of one verification. Code and Message are optional, and shown to people.
type Answer struct {
	ID      string `json:"id"`
	Result  string `json:"result"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// Accept is the answer for a valid document that meets the policy.
func Accept() Answer { return Answer{Result: "accept"} }

// Reject is the answer for any other document.
func Reject(code, message string) Answer {
	return Answer{Result: "reject", Code: code, Message: message}
}

// Unsupported is the answer if the verifier lacks a feature that the case needs.
func Unsupported(feature string) Answer { return Answer{Result: "unsupported", Message: feature} }

type request struct {
	Protocol   int             `json:"protocol"`
	ID         string          `json:"id"`
	Document   []byte          `json:"document"` // encoding/json decodes the base64
	Root       string          `json:"root"`
	Time       string          `json:"time"`
	Policy     Policy          `json:"policy"`
	Image      json.RawMessage `json:"image"`
	PolicyFile json.RawMessage `json:"policy_file"`
	Revocation json.RawMessage `json:"revocation"`
}

func answer(asked request) Answer {
	switch {
	case asked.Image != nil:
		return Unsupported("images")
	case asked.PolicyFile != nil:
		return Unsupported("policy files")
	case asked.Revocation != nil:
		return Unsupported("revocation lists")
	}
	var at *time.Time // nil: the document's own time
	if asked.Time != "document" {
		parsed, err := time.Parse(time.RFC3339, asked.Time)
		if err != nil {
			log.Fatal(err)
		}
		at = &parsed
	}
	// A panic ends the process, which the suite counts as a crash in this case.
	defer func() {
		if cause := recover(); cause != nil {
			panic(fmt.Sprintf("%s: %v", asked.ID, cause))
		}
	}()
	return Verify(asked.Document, asked.Root, at, asked.Policy)
}

func main() {
	output := json.NewEncoder(os.Stdout) // writes each answer at once, with a line break
	os.Stdout = os.Stderr                // what the verifier prints is not an answer
	input := json.NewDecoder(os.Stdin)
	for {
		var asked request
		if err := input.Decode(&asked); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal("malformed request: ", err)
		}
		if asked.Protocol != 1 {
			log.Fatal("unknown protocol: ", asked.Protocol)
		}
		result := answer(asked)
		result.ID = asked.ID
		if err := output.Encode(result); err != nil {
			log.Fatal(err)
		}
	}
}
