"use strict";

const assert = require("node:assert");
const { createHash } = require("node:crypto");
const test = require("node:test");
const { suite, schema, resultsSchema } = require("./index.js");
const { version } = require("./package.json");

test("the version is that of the suite", () => assert.equal(version, suite.suite_version));

test("every document and image is the one that its checksum names", () => {
  assert.equal(suite.cases.length, suite.counts.cases);
  for (const one of suite.cases) {
    const { base64, sha256 } = one.document ?? one.image;
    const raw = Buffer.from(base64, "base64");
    assert.equal(createHash("sha256").update(raw).digest("hex"), sha256, one.id);
    assert.ok(one.image || suite.roots[one.root], one.id);
  }
});

test("the schemas are there", () => {
  assert.ok(schema.$defs.case && resultsSchema.properties.cases);
});
