// Opens the documentation site in a browser: node check_site.mjs SITE NAMES FOLDER. Needs
// puppeteer-core and axe-core.
//
// Every page of SITE is opened on a wide and a narrow screen, light and dark. Fails if one writes
// to the console, requests anything from another host or is wider than the window. One page of each
// kind must have no serious accessibility violation either. Then searches each name of NAMES (written
// by public_names.py): one of the results must be its place in the API reference.
// Leaves pictures of the pages of each kind in FOLDER.
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [site, namesFile, folder] = process.argv.slice(2).map((path) => resolve(path));
const require = createRequire(join(process.cwd(), "package.json")); // installed there, not here
const { default: puppeteer } = await import(
  pathToFileURL(require.resolve("puppeteer-core")).href
);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const SCREENS = [
  { width: 1280, scheme: "light" },
  { width: 1280, scheme: "dark" },
  { width: 390, scheme: "light" },
  { width: 390, scheme: "dark" },
];
// Wide and light, narrow and dark: axe-core takes seconds for each.
const ACCESSIBLE = [SCREENS[0], SCREENS[3]];
const KINDS = [
  "index",
  "tutorial/attested-channel",
  "how-to/pin-an-image",
  "reference/codes",
  "reference/api/nitro_attest.enclave.client",
  "explanation/architecture",
  "search",
].map((page) => `${page}.html`);
// What Sphinx writes and no page can mend: a caption of the navigation is a heading without a level,
// and the parameters of a long signature are a list of definitions without terms.
const OF_SPHINX = new Set(["aria-required-attr", "definition-list"]);
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const problems = [];

const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  try {
    const body = readFileSync(join(site, path));
    response.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});

const page = await browser.newPage();
let opened = "";
const problem = (text) => problems.push(`${opened}: ${text}`);
page.on("console", (message) => problem(`console: ${message.text()}`));
page.on("pageerror", (error) => problem(`error: ${error.message}`));
page.on("request", (request) => {
  if (!request.url().startsWith(origin) && !request.url().startsWith("data:"))
    problem(`request: ${request.url()}`);
});

async function open(path) {
  opened = path;
  await page.goto(`${origin}/${path}`);
}

async function check({ width, scheme }) {
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  const needed = await page.evaluate(() => document.documentElement.scrollWidth);
  if (needed > width) problem(`${needed} pixels wide in a window of ${width}`);
}

async function checkKind({ width, scheme }) {
  const name = opened.replace(/\.html$/, "").replaceAll("/", "-");
  await page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`) });
  if (!ACCESSIBLE.some((each) => each.width === width && each.scheme === scheme)) return;
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() =>
    axe.run({ resultTypes: ["violations"] }),
  );
  if (passes.length < 10) problem(`axe-core passed only ${passes.length} rules`);
  for (const { id, impact, nodes } of violations)
    if (["serious", "critical"].includes(impact) && !OF_SPHINX.has(id))
      problem(`${width} ${scheme}: ${id}: ${nodes[0].html.slice(0, 120)} ${nodes[0].failureSummary}`);
}

async function search(name, targets) {
  const found = await page.evaluate(async (query) => {
    Search.performSearch(query);
    while (!/^(Search finished|Your search did not)/.test(Search.status?.textContent))
      await new Promise((done) => setTimeout(done, 5));
    return [...document.querySelectorAll("#search-results a")].map((link) => link.href);
  }, name);
  for (const target of targets)
    if (!found.some((link) => link.endsWith(target))) problem(`${name}: no result is ${target}`);
}

mkdirSync(folder, { recursive: true });
const pages = readdirSync(site, { recursive: true }).filter((name) => name.endsWith(".html"));
for (const each of KINDS) if (!pages.includes(each)) problems.push(`${each} is missing`);
for (const each of pages) {
  await open(each);
  for (const screen of SCREENS) {
    await check(screen);
    if (KINDS.includes(each)) await checkKind(screen);
  }
}
const names = Object.entries(JSON.parse(readFileSync(namesFile, "utf8")));
if (names.length < 100) problems.push(`expected at least 100 names, found ${names.length}`);
await open("search.html");
await page.evaluate(() => {
  window.fetch = async () => new Response(""); // no excerpts of the pages that are found
});
for (const [name, targets] of names) await search(name, targets);
await browser.close();
server.close();

console.log(
  problems.join("\n") || `${pages.length} pages, ${names.length} names in the search: no problem`,
);
process.exit(problems.length ? 1 : 0);
