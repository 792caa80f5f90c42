//! An example: checks the shape of a document, its chain, its signature and most of the policy,
//! with the crates openssl and ciborium. It accepts many documents that a verifier must reject, so
//! do not use it in production.

use std::collections::BTreeMap;

use ciborium::Value;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::Public;
use openssl::sha::Sha384;
use openssl::x509::{X509VerifyResult, X509};

use crate::{unsupported, Answer, Policy};

/// The code and the message of a rejection.
type Rejected = (&'static str, String);

/// Verifies one document against one trusted root (PEM).
///
/// `time` is in milliseconds since 1970, or `None` for the document's own time.
pub fn verify(document: &[u8], root: &str, time: Option<i64>, policy: &Policy) -> Answer {
    if policy.kind != "enclave" {
        return unsupported("nitrotpm");
    }
    if policy.max_age_ms.is_some() {
        return unsupported("max-age");
    }
    if policy.clock_skew_ms != 0 {
        return unsupported("clock-skew");
    }
    let root = X509::from_pem(root.as_bytes()).expect("the trusted root");
    match check(document, &root, time, policy) {
        Ok(()) => Answer::Accept,
        Err((code, message)) => Answer::Reject {
            code: code.to_owned(),
            message,
        },
    }
}

fn check(document: &[u8], root: &X509, time: Option<i64>, policy: &Policy) -> Result<(), Rejected> {
    let message = parse(document)?;
    let key = verify_chain(&message, root, time.unwrap_or(message.timestamp))?;
    check_signature(&message, &key)?;
    check_policy(&message, policy)
}

fn require(condition: bool, code: &'static str, message: &str) -> Result<(), Rejected> {
    if condition {
        Ok(())
    } else {
        Err((code, message.to_owned()))
    }
}

struct Message {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    fields: BTreeMap<String, Value>,
    timestamp: i64,
    pcrs: BTreeMap<u32, String>,
    /// The certificates from the root to the signing certificate.
    path: Vec<Vec<u8>>,
}

fn parse(document: &[u8]) -> Result<Message, Rejected> {
    let outer = match decode(document)? {
        Value::Tag(18, inner) => *inner,
        other => other,
    };
    let parts = outer
        .into_array()
        .ok()
        .and_then(|parts| <[Value; 4]>::try_from(parts).ok());
    let [header, unprotected, payload, signature] =
        parts.ok_or_else(|| ("cose", "not an array of four".to_owned()))?;
    let malformed = |_| ("cose", "a part has another type".to_owned());
    let header = header.into_bytes().map_err(malformed)?;
    let payload = payload.into_bytes().map_err(malformed)?;
    let signature = signature.into_bytes().map_err(malformed)?;
    require(
        unprotected == Value::Map(vec![]),
        "cose",
        "a header is not empty",
    )?;
    require(
        header == [0xa1, 0x01, 0x38, 0x22],
        "cose",
        "the algorithm is not ES384",
    )?;
    require(signature.len() == 96, "cose", "malformed signature")?;
    let mut fields = BTreeMap::new();
    for (key, value) in decode(&payload)?.into_map().map_err(malformed)? {
        let twice = fields
            .insert(key.into_text().map_err(malformed)?, value)
            .is_some();
        require(!twice, "payload", "a key appears twice")?;
    }
    let (timestamp, pcrs, path) = read_fields(&fields).ok_or_else(|| {
        (
            "payload",
            "a field is missing or has another type".to_owned(),
        )
    })?;
    Ok(Message {
        header,
        payload,
        signature,
        fields,
        timestamp,
        pcrs,
        path,
    })
}

type Fields = (i64, BTreeMap<u32, String>, Vec<Vec<u8>>);

/// Returns time, PCRs in hexadecimal, and certificates.
fn read_fields(fields: &BTreeMap<String, Value>) -> Option<Fields> {
    if fields.get("digest")?.as_text()? != "SHA384" {
        return None;
    }
    let timestamp = fields.get("timestamp")?.as_integer()?.try_into().ok()?;
    let mut pcrs = BTreeMap::new();
    for (index, value) in fields.get("pcrs")?.as_map()? {
        let index = index.as_integer()?.try_into().ok()?;
        if pcrs.insert(index, hex(value.as_bytes()?)).is_some() {
            return None;
        }
    }
    let mut path: Vec<&Value> = fields.get("cabundle")?.as_array()?.iter().collect();
    path.push(fields.get("certificate")?);
    let path = path
        .into_iter()
        .map(|one| one.as_bytes().cloned())
        .collect::<Option<_>>()?;
    Some((timestamp, pcrs, path))
}

/// Returns one CBOR item that fills all of the bytes.
fn decode(mut data: &[u8]) -> Result<Value, Rejected> {
    let item = ciborium::from_reader(&mut data).map_err(|error| ("cbor", error.to_string()))?;
    require(data.is_empty(), "cbor", "bytes after the end")?;
    Ok(item)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn openssl_error(error: ErrorStack) -> Rejected {
    ("chain", error.to_string())
}

/// Returns the key of the signing certificate.
fn verify_chain(message: &Message, root: &X509, time: i64) -> Result<EcKey<Public>, Rejected> {
    let path = message
        .path
        .iter()
        .map(|der| X509::from_der(der))
        .collect::<Result<Vec<_>, _>>()
        .map_err(openssl_error)?;
    let is_root = message.path[0] == root.to_der().map_err(openssl_error)?;
    require(
        is_root,
        "chain",
        "the first certificate is not the trusted root",
    )?;
    let mut issuer = root;
    for certificate in &path {
        let issued = issuer.issued(certificate) == X509VerifyResult::OK;
        require(issued, "chain", "a certificate has another issuer")?;
        let key = issuer.public_key().map_err(openssl_error)?;
        let signed = certificate.verify(&key).map_err(openssl_error)?;
        require(
            signed,
            "chain",
            "the signature of a certificate is not by its issuer",
        )?;
        let from = milliseconds(certificate.not_before()).map_err(openssl_error)?;
        let to = milliseconds(certificate.not_after()).map_err(openssl_error)?;
        require(
            from <= time && time <= to,
            "chain",
            "a certificate is not valid at the time",
        )?;
        issuer = certificate;
    }
    let key = issuer
        .public_key()
        .and_then(|key| key.ec_key())
        .map_err(openssl_error)?;
    let is_p384 = key.group().curve_name() == Some(Nid::SECP384R1);
    require(
        is_p384,
        "chain",
        "the key of the signing certificate is not P-384",
    )?;
    Ok(key)
}

fn milliseconds(time: &Asn1TimeRef) -> Result<i64, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    Ok((i64::from(since.days) * 86_400 + i64::from(since.secs)) * 1000)
}

/// Verifies the signature of a COSE_Sign1 message (RFC 9052, section 4.4).
fn check_signature(message: &Message, key: &EcKey<Public>) -> Result<(), Rejected> {
    let mut hash = Sha384::new();
    hash.update(b"\x84\x6aSignature1");
    for part in [&message.header, &vec![], &message.payload] {
        let mut encoded = vec![];
        ciborium::into_writer(&Value::Bytes(part.clone()), &mut encoded).expect("memory");
        hash.update(&encoded);
    }
    let (r, s) = message.signature.split_at(48);
    let valid = BigNum::from_slice(r)
        .and_then(|r| EcdsaSig::from_private_components(r, BigNum::from_slice(s)?))
        .and_then(|signature| signature.verify(&hash.finish(), key));
    // OpenSSL reports a number out of range as an error.
    let valid = valid.unwrap_or(false);
    require(
        valid,
        "signature",
        "the signature is not by the key of the certificate",
    )
}

fn check_policy(message: &Message, policy: &Policy) -> Result<(), Rejected> {
    let expected = [
        ("nonce", &policy.nonce),
        ("user_data", &policy.user_data),
        ("public_key", &policy.public_key),
    ];
    for (name, value) in expected {
        let found = message
            .fields
            .get(name)
            .and_then(Value::as_bytes)
            .map(|bytes| hex(bytes));
        require(
            value.is_none() || found == *value,
            "policy",
            &format!("{name} mismatch"),
        )?;
    }
    let is_zero = |index| {
        message
            .pcrs
            .get(&index)
            .map_or(true, |pcr| pcr.trim_matches('0').is_empty())
    };
    let debug = (0..3).any(is_zero);
    require(policy.allow_debug || !debug, "policy", "debug mode")?;
    let matches = |allowed: &BTreeMap<u32, String>| {
        allowed
            .iter()
            .all(|(index, value)| message.pcrs.get(index) == Some(value))
    };
    let matches = policy.pcrs.is_empty() || policy.pcrs.iter().any(matches);
    require(matches, "policy", "PCR mismatch")
}
