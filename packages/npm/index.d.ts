/** A case; FORMAT.md explains its members. */
export interface Case {
  id: string;
  group: string;
  class: string;
  features: string[];
  importance: "critical" | "high" | "medium" | "low";
  flags: string[];
  expected: { result: "accept" | "reject" | "acceptable"; [member: string]: unknown };
  [member: string]: unknown;
}

/** The suite: its version, control cases, roots and cases. */
export const suite: {
  suite_version: string;
  controls: Record<string, { accept: string[]; reject: string[] }>;
  roots: Record<string, string>;
  cases: Case[];
  [member: string]: unknown;
};

/** The JSON Schema of the suite. */
export const schema: object;

/** The JSON Schema of a file of results. */
export const resultsSchema: object;
