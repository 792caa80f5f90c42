package vectors

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

func TestEveryDocumentAndImageIsTheOneThatItsChecksumNames(t *testing.T) {
	suite, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(suite.Cases) != suite.Counts.Cases || suite.SuiteVersion == "" {
		t.Fatalf("%d cases, expected %d", len(suite.Cases), suite.Counts.Cases)
	}
	for _, one := range suite.Cases {
		content := one.Document
		if content == nil {
			content = one.Image
		} else if suite.Roots[one.Root] == "" || one.Policy == nil {
			t.Errorf("%s: no root or policy", one.ID)
		}
		sum := sha256.Sum256(content.Raw)
		if hex.EncodeToString(sum[:]) != content.SHA256 {
			t.Errorf("%s: another document or image", one.ID)
		}
	}
}

func TestTheControlCasesAreInTheSuite(t *testing.T) {
	suite, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, one := range suite.Cases {
		results[one.ID] = one.Expected.Result
	}
	for kind, control := range suite.Controls {
		for _, id := range control.Accept {
			if results[id] != "accept" {
				t.Errorf("%s: %s is not accepted", kind, id)
			}
		}
		for _, id := range control.Reject {
			if results[id] != "reject" {
				t.Errorf("%s: %s is not rejected", kind, id)
			}
		}
	}
}
