// Opens reports in a browser: node check_reports.mjs FOLDER. Needs puppeteer-core and axe-core.
//
// Each FOLDER/*.html is opened on a wide and a narrow screen, light and dark, and printed. Fails if
// a page writes to the console, requests anything, has a script, is wider than the window or has an
// accessibility violation, or if its title, heading, JSON and print disagree about the verdict.
// Leaves FOLDER/*.png and FOLDER/*.pdf to look at.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const require = createRequire(join(process.cwd(), "package.json")); // installed there, not here
const { default: puppeteer } = await import(
  pathToFileURL(require.resolve("puppeteer-core")).href
);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const SCREENS = [
  { width: 1280, scheme: "light" },
  { width: 390, scheme: "dark" },
];
const problems = [];

const reports = readdirSync(folder).filter((name) => name.endsWith(".html"));
if (reports.length < 5) problems.push(`expected at least 5 reports, found ${reports.length}`);

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
for (const report of reports) {
  const base = join(folder, report.replace(/\.html$/, ""));
  const problem = (text) => problems.push(`${report}: ${text}`);
  const page = await browser.newPage();
  const url = pathToFileURL(join(folder, report)).href;
  page.on("console", (message) => problem(`console: ${message.text()}`));
  page.on("pageerror", (error) => problem(`error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== url) problem(`request: ${request.url()}`);
  });
  for (const { width, scheme } of SCREENS) {
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.goto(url);
    const needed = await page.evaluate(() => document.documentElement.scrollWidth);
    if (needed > width) problem(`${needed} pixels wide in a window of ${width}`);
    const scripts = await page.$$eval("script", (found) => found.map(({ type }) => type));
    if (`${scripts}` !== "application/json") problem(`scripts of type ${scripts}`);
    await page.screenshot({ path: `${base}-${width}-${scheme}.png` });
    await page.evaluate(axe); // by the debugger: the page itself may run nothing
    const { violations, passes } = await page.evaluate(() =>
      axe.run({ resultTypes: ["violations"] }),
    );
    if (passes.length < 10) problem(`axe-core passed only ${passes.length} rules`);
    for (const { id, nodes } of violations)
      problem(`${width} ${scheme}: ${id}: ${nodes[0].html.slice(0, 120)} ${nodes[0].failureSummary}`);
  }
  const json = await page.$eval("#report", (block) => JSON.parse(block.textContent));
  const heading = await page.$eval("h1", (found) => found.textContent);
  const rejected = heading.startsWith("REJECTED");
  if (json.verified === rejected) problem(`verified is ${json.verified}, the heading ${heading}`);
  if ((await page.title()).startsWith("REJECTED") !== rejected) problem("the title differs");
  await page.emulateMediaType("print");
  const shown = await page.evaluate(() => {
    const mark = document.querySelector(".watermark");
    return mark !== null && getComputedStyle(mark).position === "fixed";
  });
  if (shown !== rejected) problem(`watermark: ${shown}`);
  await page.pdf({ path: `${base}.pdf`, preferCSSPageSize: true });
  await page.close();
}
await browser.close();

console.log(problems.join("\n") || `${reports.length} reports: no problem`);
process.exit(problems.length ? 1 : 0);
