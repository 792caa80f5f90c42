"use strict";

// FORMAT.md explains the members of the suite.
module.exports = {
  suite: require("./vectors.json"),
  schema: require("./schema.json"),
  resultsSchema: require("./results-schema.json"),
};
