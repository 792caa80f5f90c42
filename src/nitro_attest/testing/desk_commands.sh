# The commands of the how-to pages. Run them one by one, or all: bash -v commands.sh
# Those that show a rejection exit with another code than 0.
. ./variables.sh

# Audit an archive of documents (docs/how-to/audit-an-archive.md)

mkdir archive && cp doc.bin debug.bin archive/
nitro-attest audit archive --out results.parquet --root root.pem --eif app.eif --at document
echo $?

# Check revocation without trusting the network (docs/how-to/check-revocation.md)

nitro-attest crl needed doc.bin
nitro-attest verify doc.bin --root root.pem --pcr 0=$PCR0 --crl crls/ --crl-max-age 2d
nitro-attest verify doc.bin --root root.pem --pcr 0=$PCR0 --crl revoked/
echo $?

# Attest EC2 instances (docs/how-to/instance-attestation.md)

nitro-attest verify instance.bin --root root.pem --any-enclave
echo $?
nitro-attest verify instance.bin --root root.pem --kind nitrotpm --any-instance --nonce "$NONCE"
nitro-attest pcr uki instance.efi > expected.txt
cat expected.txt
nitro-attest verify instance.bin --root root.pem --kind nitrotpm --policy expected.txt \
    --nonce "$NONCE"
nitro-attest verify instance.bin --root root.pem --kind nitrotpm --nonce "$NONCE" \
    --pcr "$(grep PCR7 expected.txt)"
nitro-attest verify instance.bin --root root.pem --kind nitrotpm --policy build.txt
echo $?
nitro-attest kms-policy make --kind nitrotpm --policy expected.txt --condition-only

# Bind a KMS key to an image (docs/how-to/kms-key-policy.md)

nitro-attest kms-policy make --eif app.eif \
    --principal arn:aws:iam::123456789012:role/Webserver > statements.json
cat statements.json
nitro-attest kms-policy make --pcr "0=$PCR0" --condition-only
nitro-attest kms-policy make --policy policy.json \
    --principal arn:aws:iam::123456789012:role/Webserver > statements-2.json
grep Sid statements-2.json
nitro-attest kms-policy make --document doc.bin --root root.pem --condition-only
nitro-attest kms-policy make --eif app.eif --format yaml \
    --principal arn:aws:iam::123456789012:role/Webserver
nitro-attest kms-policy make --eif app.eif --format hcl \
    --principal arn:aws:iam::123456789012:role/Webserver > attested.tf
head -4 attested.tf
cat key-policy.json
nitro-attest kms-policy lint key-policy.json
echo $?
{ echo '{"Version": "2012-10-17", "Statement":'; cat statements.json; echo '}'; } > made.json
nitro-attest kms-policy lint made.json

# Accept only what our pipeline built (docs/how-to/only-what-our-pipeline-built.md)

nitro-attest policy statement app.eif --builder https://ci.example/build/42
nitro-attest policy statement app.eif --predicate-only
nitro-attest verify doc.bin --root root.pem --nonce "$NONCE" \
    --provenance app.intoto.json --signer-key builder.pem
nitro-attest verify doc.bin --root root.pem --eif app-2.eif \
    --provenance app.intoto.json --signer-key builder.pem
echo $?
nitro-attest verify doc.bin --root root.pem --provenance app.intoto.json --signer-key other.pem
echo $?

# Pin an image (docs/how-to/pin-an-image.md)

nitro-attest eif app.eif
nitro-attest verify doc.bin --root root.pem --eif app.eif --nonce "$NONCE"
nitro-attest verify doc.bin --root root.pem --eif app-2.eif --nonce "$NONCE"
echo $?
cat build.txt
nitro-attest verify doc.bin --root root.pem --policy build.txt --nonce "$NONCE"
nitro-attest verify doc.bin --root root.pem --policy enclaves.json --enclave-name app_1 \
    --nonce "$NONCE"
nitro-attest verify doc.bin --root root.pem --policy build.txt --nonce "$NONCE" \
    --pcr "$(nitro-attest pcr role arn:aws:iam::123456789012:role/Webserver)"
nitro-attest pcr certificate signer.pem
nitro-attest pcr extend 010203
nitro-attest verify doc.bin --root root.pem --eif app.eif --nonce "$NONCE" \
    --fail-on-warning --json > result.json
echo $?
nitro-attest verify debug.bin --root root.pem --eif app.eif > result.txt 2> why.txt
echo $?
head -n 2 why.txt

# Release the next version (docs/how-to/rolling-release.md)

{ echo '['; sed -n '/^{/,$p' build.txt; echo ','; sed -n '/^{/,$p' build-2.txt; echo ']'; } \
    > both.json
nitro-attest verify doc.bin --root root.pem --policy both.json --nonce "$NONCE"
cat policy.json
nitro-attest verify doc.bin --root root.pem --policy policy.json --nonce "$NONCE"
nitro-attest verify other-image.bin --root root.pem --policy policy.json --nonce "$NONCE"
nitro-attest verify doc.bin --root root.pem --policy policy.json
echo $?
nitro-attest verify doc.bin --root root.pem --policy both.json --nonce "$NONCE" \
    --pcr "$(nitro-attest pcr role arn:aws:iam::123456789012:role/Webserver)"
nitro-attest verify doc.bin --root root.pem --policy both.json --eif app.eif --nonce "$NONCE"
echo $?

# Rotate the root (docs/how-to/rotate-the-root.md)


# Show someone what was verified (docs/how-to/show-a-report.md)

nitro-attest report doc.bin --root root.pem --eif app.eif --nonce "$NONCE" -o report.html
nitro-attest report debug.bin --root root.pem --pcr 0=$PCR0 -o rejected.html
echo $?
nitro-attest report doc.bin --root root.pem --at document -o report.md
grep -o '"document": "[0-9a-f]*"' report.html | cut -d'"' -f4 | \
    nitro-attest verify - --root root.pem --eif app.eif --nonce "$NONCE"
