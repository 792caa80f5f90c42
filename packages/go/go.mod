module github.com/OWNER/go-nitro-attest-vectors

go 1.21
