// Package vectors has the conformance vectors for verifiers of AWS Nitro attestation documents.
// FORMAT.md in its folder explains the members of the cases.
package vectors

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed vectors.json
var data []byte

// Suite is the content of vectors.json.
type Suite struct {
	SuiteVersion string             `json:"suite_version"`
	Counts       Counts             `json:"counts"`
	Controls     map[string]Control `json:"controls"`
	Roots        map[string]string  `json:"roots"` // PEM, by name
	Cases        []Case             `json:"cases"`
}

// Counts has the number of cases, by expected result and by class.
type Counts struct {
	Cases      int            `json:"cases"`
	Accept     int            `json:"accept"`
	Reject     int            `json:"reject"`
	Acceptable int            `json:"acceptable"`
	Classes    map[string]int `json:"classes"`
}

// Control has the ids of control cases, which every verifier answers alike.
type Control struct {
	Accept []string `json:"accept"`
	Reject []string `json:"reject"`
}

// Case is one case. Document is nil in cases about images, Image in all others.
type Case struct {
	ID         string      `json:"id"`
	Group      string      `json:"group"`
	Class      string      `json:"class"`
	Rules      []string    `json:"rules"`
	Title      string      `json:"title"`
	Why        string      `json:"why"`
	Importance string      `json:"importance"`
	Flags      []string    `json:"flags"`
	Links      []string    `json:"links"`
	Features   []string    `json:"features"`
	Root       string      `json:"root"`
	Time       string      `json:"time"` // empty if null
	Policy     *Policy     `json:"policy"`
	PolicyFile *PolicyFile `json:"policy_file"`
	Revocation *Revocation `json:"revocation"`
	IgnoreCRC  bool        `json:"ignore_crc"`
	Expected   Expected    `json:"expected"`
	Judges     []string    `json:"judges"`
	Document   *Content    `json:"document"`
	Image      *Content    `json:"image"`
}

// Content is a document, an image or a revocation list.
type Content struct {
	Raw    []byte `json:"base64"`
	SHA256 string `json:"sha256"`
}

// Policy has the requirements of the caller; a nil pointer means that nothing is required.
type Policy struct {
	Kind            string              `json:"kind"`
	PCRs            []map[string]string `json:"pcrs"`
	Nonce           *string             `json:"nonce"`
	UserData        *string             `json:"user_data"`
	PublicKey       *string             `json:"public_key"`
	MaxAgeMillis    *int64              `json:"max_age_ms"`
	AllowDebug      bool                `json:"allow_debug"`
	ClockSkewMillis int64               `json:"clock_skew_ms"`
}

// PolicyFile is a file with required PCRs, as text or as bytes.
type PolicyFile struct {
	Text        *string `json:"text"`
	Raw         []byte  `json:"base64"`
	EnclaveName *string `json:"enclave_name"`
	PCRIndex    *int    `json:"pcr_index"`
}

// Revocation has the revocation lists of the caller, each in DER or PEM.
type Revocation struct {
	MaxAgeMillis *int64    `json:"max_age_ms"`
	Lists        []Content `json:"lists"`
}

// Expected has the expected result: accept, reject or acceptable.
type Expected struct {
	Result       string              `json:"result"`
	Ours         string              `json:"ours"`
	Code         *string             `json:"code"`
	Class        *string             `json:"class"`
	Warnings     []string            `json:"warnings"`
	Measurements []map[string]string `json:"measurements"`
}

// Load returns the suite.
func Load() (*Suite, error) {
	suite := new(Suite)
	if err := json.Unmarshal(data, suite); err != nil {
		return nil, fmt.Errorf("vectors.json: %w", err)
	}
	return suite, nil
}
