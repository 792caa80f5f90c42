// Takes the pictures of a report for README.md: node tools/make_report_picture.mjs NODE_FOLDER
//
// Writes docs/images/report-light.png and report-dark.png, from the report on a genuine document.
// NODE_FOLDER has puppeteer-core installed; nitro-attest is on PATH. Look at both before a commit.
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cwd = join(root, "fixtures/real");
const document = "20250916_encl_us-east-1_tkhq_b1086cbb.bin";
const IMAGE =
  "f67076a8f9796b90d7f0eb148ec6926f66fe04c80861151916961f7dec715b3c8a36e5908e9551c20048719da134b207";
const RAMDISKS =
  "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a";
const pins = [`0=${IMAGE}`, `1=${IMAGE}`, `2=${RAMDISKS}`].flatMap((pin) => ["--pcr", pin]);

const require = createRequire(join(resolve(process.argv[2]), "package.json"));
const { default: puppeteer } = await import(
  pathToFileURL(require.resolve("puppeteer-core")).href
);
const report = join(mkdtempSync(join(tmpdir(), "report-")), "report.html");
const options = ["-o", report, "--at", "document", ...pins];
execFileSync("nitro-attest", ["report", document, ...options], { cwd });

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage();
await page.setViewport({ width: 820, height: 2000 });
await page.goto(pathToFileURL(report).href);
const bottom = await page.$$eval("table tr", (rows) => {
  const last = rows.find((row) => row.textContent.includes("Debug mode"));
  return Math.ceil(last.getBoundingClientRect().bottom);
});
for (const scheme of ["light", "dark"]) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.screenshot({
    path: join(root, "docs/images", `report-${scheme}.png`),
    clip: { x: 0, y: 0, width: 820, height: bottom + 8 },
  });
}
await browser.close();
