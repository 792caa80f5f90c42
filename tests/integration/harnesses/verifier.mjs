/** Follows a fixed rule: test_harnesses.py describes it. */
export async function verify(document, root, time, policy) {
  console.log("noise");
  const text = document.toString();
  if (text === "accept" || text === "unsupported") return { result: text };
  if (text === "crash") throw new Error("as the test wants it");
  const parts = [document.toString("hex"), root.length, time ?? "document", JSON.stringify(policy)];
  return { result: "reject", code: "probe", message: parts.join(" ") };
}
