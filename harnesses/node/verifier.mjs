import { X509Certificate, verify as verifySignature } from "node:crypto";

/**
 * An example: checks the shape of a document, its chain, its signature and most of the policy, with
 * Node's own modules alone. It accepts many documents that a verifier must reject, so do not use
 * it in production.
 *
 * @param {Buffer} document the raw bytes
 * @param {string} root the only trusted root, PEM
 * @param {number | null} time milliseconds since 1970; null: the document's own time
 * @param {object} policy the member of this name of the request; byte strings are hexadecimal
 * @returns {{result: "accept" | "reject" | "unsupported", code?: string, message?: string}}
 *   or a promise of it
 */
export function verify(document, root, time, policy) {
  if (policy.kind !== "enclave") return { result: "unsupported", message: "nitrotpm" };
  if (policy.max_age_ms !== null) return { result: "unsupported", message: "max-age" };
  if (policy.clock_skew_ms !== 0) return { result: "unsupported", message: "clock-skew" };
  const trusted = new X509Certificate(root);
  try {
    const { message, fields } = parse(document);
    const key = verifyChain(fields, trusted, time ?? Number(fields.get("timestamp")));
    checkSignature(message, key);
    checkPolicy(fields, policy);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return { result: "reject", code: error.code, message: error.message };
  }
  return { result: "accept" };
}

class Rejected extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function require(condition, code, message) {
  if (!condition) throw new Rejected(code, message);
}

const ES384 = Buffer.from("a1013822", "hex"); // {1: -35}

// A SubjectPublicKeyInfo up to the coordinates of an uncompressed point on P-384.
const P384 = Buffer.from("3076301006072a8648ce3d020106052b8104002203620004", "hex");

/** Returns the COSE_Sign1 message and the fields of its payload. */
function parse(document) {
  const outer = decode(document[0] === 0xd2 ? document.subarray(1) : document); // tag 18: optional
  require(Array.isArray(outer) && outer.length === 4, "cose", "not an array of four");
  const [header, unprotected, payload, signature] = outer;
  require(Buffer.isBuffer(header) && header.equals(ES384), "cose", "the algorithm is not ES384");
  require(unprotected instanceof Map && unprotected.size === 0, "cose", "a header is not empty");
  require(Buffer.isBuffer(signature) && signature.length === 96, "cose", "malformed signature");
  require(Buffer.isBuffer(payload), "cose", "no payload");
  const fields = decode(payload);
  const wellFormed =
    fields instanceof Map &&
    fields.get("digest") === "SHA384" &&
    typeof fields.get("timestamp") === "bigint" &&
    fields.get("pcrs") instanceof Map &&
    Buffer.isBuffer(fields.get("certificate")) &&
    Array.isArray(fields.get("cabundle")) &&
    fields.get("cabundle").every(Buffer.isBuffer);
  require(wellFormed, "payload", "a field is missing or has another type");
  return { message: { header, payload, signature }, fields };
}

/** Returns the key of the signing certificate. */
function verifyChain(fields, trusted, time) {
  const bundle = [...fields.get("cabundle"), fields.get("certificate")];
  const path = bundle.map((der) => readable(() => new X509Certificate(der)));
  require(path[0].raw.equals(trusted.raw), "chain", "the first certificate is not the root");
  path.forEach((certificate, index) => {
    const inTime =
      Date.parse(certificate.validFrom) <= time && time <= Date.parse(certificate.validTo);
    require(inTime, "chain", `certificate ${index} is not valid at the time`);
    const isLeaf = index === path.length - 1;
    require(certificate.ca !== isLeaf, "chain", `certificate ${index} is no CA, or signs as one`);
    const issuer = path[Math.max(index - 1, 0)];
    require(certificate.checkIssued(issuer), "chain", `certificate ${index} has another issuer`);
    const signed = readable(() => certificate.verify(issuer.publicKey));
    require(signed, "chain", `the signature of certificate ${index} is not by its issuer`);
  });
  const key = readable(() => path.at(-1).publicKey);
  const encoded = readable(() => key.export({ type: "spki", format: "der" }));
  const isP384 = encoded.subarray(0, P384.length).equals(P384);
  require(isP384, "chain", "the key of the signing certificate is not P-384");
  return key;
}

/** Returns the result of a function of node:crypto, whose only way to reject is to throw. */
function readable(read) {
  try {
    return read();
  } catch (error) {
    throw new Rejected("chain", error.message);
  }
}

/** Verifies the signature of a COSE_Sign1 message (RFC 9052, section 4.4). */
function checkSignature({ header, payload, signature }, key) {
  const parts = [header, Buffer.alloc(0), payload].flatMap((part) => [head(part.length), part]);
  const signed = Buffer.concat([Buffer.from("\x84\x6aSignature1", "latin1"), ...parts]);
  const valid = verifySignature("sha384", signed, { key, dsaEncoding: "ieee-p1363" }, signature);
  require(valid, "signature", "the signature is not by the key of the certificate");
}

/** The head of a CBOR byte string, in its shortest form up to 65535 bytes. */
function head(size) {
  if (size < 24) return Buffer.from([0x40 | size]);
  return Buffer.from(size < 256 ? [0x58, size] : [0x59, size >> 8, size & 0xff]);
}

function checkPolicy(fields, policy) {
  const hex = (value) => (Buffer.isBuffer(value) ? value.toString("hex") : undefined);
  for (const name of ["nonce", "user_data", "public_key"]) {
    const matches = policy[name] === null || hex(fields.get(name)) === policy[name];
    require(matches, "policy", `${name} mismatch: expected ${policy[name]}`);
  }
  const pcr = (index) => hex(fields.get("pcrs").get(BigInt(index)));
  const debug = [0, 1, 2].some((index) => /^0*$/.test(pcr(index) ?? ""));
  require(policy.allow_debug || !debug, "policy", "debug mode");
  const matches = (allowed) => Object.entries(allowed).every(([at, value]) => pcr(at) === value);
  require(!policy.pcrs.length || policy.pcrs.some(matches), "policy", "PCR mismatch");
}

/** Returns one CBOR item that fills all of the bytes: bigint, Buffer, string, array, Map, null. */
function decode(data) {
  const reader = { data, at: 0 };
  const item = next(reader, 0);
  require(reader.at === data.length, "cbor", "bytes after the end");
  return item;
}

const STOP = 0xff; // ends an array or a map without a count

function next(reader, depth) {
  require(depth <= 4, "cbor", "too deep");
  const first = take(reader, 1)[0];
  if (first === 0xf6) return null;
  const type = first >> 5;
  const argument = readArgument(reader, first & 31);
  if (type === 0 && argument !== undefined) return argument;
  if (type === 2 && argument !== undefined) return take(reader, argument);
  if (type === 3 && argument !== undefined) return take(reader, argument).toString("utf8");
  require(type === 4 || type === 5, "cbor", `unexpected type 0x${first.toString(16)}`);
  const items = [];
  const count = argument === undefined ? undefined : argument * BigInt(type - 3);
  while (count === undefined ? reader.data[reader.at] !== STOP : items.length < count) {
    items.push(next(reader, depth + 1));
  }
  if (count === undefined) reader.at += 1;
  return type === 4 ? items : entries(items);
}

function take(reader, size) {
  const end = reader.at + Number(size);
  require(end <= reader.data.length, "cbor", "the bytes end early");
  const taken = reader.data.subarray(reader.at, end);
  reader.at = end;
  return taken;
}

/** Returns the argument of a head; undefined: no count. */
function readArgument(reader, info) {
  if (info < 24) return BigInt(info);
  if (info === 31) return undefined;
  require(info < 28, "cbor", "reserved head");
  return BigInt(`0x${take(reader, 1 << (info - 24)).toString("hex")}`);
}

function entries(items) {
  const result = new Map();
  require(items.length % 2 === 0, "cbor", "a key without a value");
  for (let index = 0; index < items.length; index += 2) {
    require(!result.has(items[index]), "cbor", "a key appears twice");
    result.set(items[index], items[index + 1]);
  }
  return result;
}
