// Asks one verifier of AWS Nitro attestation documents about every case of the conformance suite:
// reads one JSON object per line from standard input and writes one answer per line.
//
// This file is complete. Replace verify() in verifier.mjs with a call to the verifier under test.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

import { verify } from "./verifier.mjs";

// What the verifier prints is not an answer. This covers console.log() and process.stdout, not a
// native addon that writes to descriptor 1 itself.
process.stdout.write = process.stderr.write.bind(process.stderr);

async function answer(asked) {
  for (const member of ["image", "policy_file", "revocation"]) {
    if (asked[member] !== undefined) return { result: "unsupported", message: member };
  }
  const document = Buffer.from(asked.document, "base64");
  // null: the document's own time
  const time = asked.time === "document" ? null : Date.parse(asked.time);
  try {
    return await verify(document, asked.root, time, asked.policy);
  } catch (error) {
    // Ends the process, which the suite counts as a crash in this case.
    console.error(`${asked.id}: the verifier threw`);
    throw error;
  }
}

function print(line) {
  const bytes = Buffer.from(`${line}\n`);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const asked = JSON.parse(line);
  if (asked.protocol !== 1) throw new Error(`unknown protocol: ${asked.protocol}`);
  print(JSON.stringify({ id: asked.id, ...(await answer(asked)) }));
}
