// Looks at the pages in headless Chromium: node check.mjs BASE SHOTS. For each width and scheme: nothing on the console, nothing
// wider than the window, no violation that axe-core finds, and a screenshot in SHOTS. Then without JavaScript, and what the
// names that were made up to run have done. With a third argument, the status page alone, its shots under that name: for a world
// with many targets. Ends with a line that counts the checks.
import {mkdirSync, readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const require = createRequire(join(root, "target/page-tools/package.json"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [base, shots, alone] = process.argv.slice(2);
const WIDTHS = [360, 768, 1280];
const SCHEMES = ["light", "dark"];
const INDEX = "/-/docs/";

let checks = 0;
const failures = [];
const check = (ok, what) => {
    checks += 1;
    if (!ok) failures.push(what);
};

const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // The container that continuous integration runs in has no namespaces to spare, and little shared memory.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    timeout: 120_000,
    protocolTimeout: 120_000,
});

async function open(path, {width = 1280, scheme = "light", javascript = true, until = "networkidle0"} = {}) {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    page.on("console", (message) => failures.push(`${path}: console: ${message.text()}`));
    page.on("pageerror", (error) => failures.push(`${path}: error: ${error}`));
    page.on("dialog", (dialog) => {
        failures.push(`${path}: a dialog: ${dialog.message()}`);
        dialog.dismiss();
    });
    const asked = [];
    page.on("request", (request) => asked.push(request.url().split("#")[0]));
    await page.setViewport({width, height: 900, isMobile: width < 600, deviceScaleFactor: 1});
    await page.emulateMediaFeatures([{name: "prefers-color-scheme", value: scheme}]);
    await page.setJavaScriptEnabled(javascript);
    const response = await page.goto(base + path, {waitUntil: until});
    check(response.status() === 200, `${path}: status ${response.status()}`);
    const allowed = [base + path.split("#")[0], `${base}/-/icon.svg`];
    for (const url of asked) check(allowed.includes(url), `${path}: asked for ${url}`);
    return page;
}

function tell() {
    for (const failure of failures) console.error(failure);
    console.log(`${checks} checks, ${failures.length} failed`);
    process.exitCode = failures.length > 0 ? 1 : 0;
}

/** What axe-core finds, and ids that stand twice; it comes in by the debugger's way, which the page's policy does not concern. */
async function violations(page) {
    await page.evaluate(axe);
    const {violations, incomplete} = await page.evaluate(() => globalThis.axe.run());
    // Of what it cannot decide, ids that stand twice are decided here: whatever refers to them finds the first one.
    const found = [...violations, ...incomplete.filter(({id}) => id.startsWith("duplicate-id"))];
    const twice = await page.evaluate(() => {
        const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
        return ids.filter((id, index) => ids.indexOf(id) !== index);
    });
    return found
        .map(({id, nodes}) => `${id}: ${nodes.slice(0, 3).map((node) => node.html).join(" | ")}`)
        .concat(twice.map((id) => `id twice: ${id}`));
}

async function look(path, name) {
    for (const width of WIDTHS) {
        for (const scheme of SCHEMES) {
            const what = `${path} ${width} ${scheme}`;
            const page = await open(path, {width, scheme});
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            check(wide <= 0, `${what}: ${wide} pixels too wide`);
            const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
            const brightness = background.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
            check(scheme === "dark" ? brightness < 200 : brightness > 600, `${what}: background ${background}`);
            const found = await violations(page);
            check(found.length === 0, `${what}: axe: ${found.join("\n    ")}`);
            await page.screenshot({path: join(shots, `${name}-${width}-${scheme}.png`), fullPage: true});
            await page.close();
        }
    }
}

/** A world with many targets: the page stays short, with what fails open and the rest folded. */
async function lookAtMany(name) {
    await look("/", name);
    const page = await open("/", {width: 375});
    const seen = await page.evaluate(() => ({
        height: document.documentElement.scrollHeight,
        targets: document.querySelectorAll("#targets ~ .groups tbody tr").length,
        folded: document.querySelectorAll("details.group:not([open])").length,
    }));
    check(seen.targets > 100, `${seen.targets} targets`);
    check(seen.folded > 20, `${seen.folded} workspaces are folded`);
    // Before it was folded: 22,100.
    check(seen.height < 11_000, `${seen.height} pixels high at a width of 375`);
    // What fails is open, and what is folded opens without a script.
    const opened = await page.evaluate(() => {
        const group = document.querySelector("details.group:not([open])");
        group.querySelector("summary").click();
        return group.open && group.querySelector("table").getBoundingClientRect().height > 0;
    });
    check(opened, "a fold does not open");
    await page.close();
}

async function lookAtAll() {
    await look("/", "status");
    await look("/-/docs/troubleshooting#denied", "docs");
    const index = await open(INDEX);
    const listed = await index.evaluate(() => [...document.querySelectorAll("main a")].map((link) => link.pathname));
    await index.close();
    check(listed.length > 30 && listed.every((path) => path.startsWith(INDEX)), `the list of documents is ${listed}`);
    for (const path of new Set([INDEX, `${INDEX}runbooks`, ...listed])) {
        const page = await open(path, {width: 360, until: "load"});
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(wide <= 0, `${path}: ${wide} pixels too wide`);
        const found = await violations(page);
        check(found.length === 0, `${path}: axe: ${found.join("\n    ")}`);
        await page.close();
    }

    // A hostile name is text, and changes nothing around it.
    const page = await open("/");
    const seen = await page.evaluate(() => ({
        scripts: document.querySelectorAll("script, iframe, object, embed, form, [onerror], [onload], [onclick]").length,
        images: document.querySelectorAll("img").length,
        styles: document.querySelectorAll("style").length,
        ran: "hostile" in globalThis,
        text: document.body.innerText,
        links: [...document.querySelectorAll("a")].map((link) => link.href),
    }));
    check(seen.scripts === 0 && seen.images === 0 && seen.styles === 1, `elements of a name: ${JSON.stringify(seen)}`);
    check(!seen.ran, "a name ran");
    check(seen.text.includes("<script>globalThis.hostile=1</script>"), `the name is not shown: ${seen.text}`);
    for (const link of seen.links) check(link.startsWith(`${base}/`), `a link leads to ${link}`);
    // Each link of the page leads somewhere, the explanations of counters included.
    for (const link of new Set(seen.links.map((link) => link.split("#")[0]))) {
        const answer = await fetch(link);
        // An answer that is not taken keeps its connection, and this program, waiting.
        await answer.arrayBuffer();
        check(answer.status === 200, `${link}: status ${answer.status}`);
    }
    // What a fragment points to is there.
    const lost = await page.evaluate(() =>
        [...document.querySelectorAll("a[href^='#']")].map((a) => a.hash.slice(1)).filter((id) => !document.getElementById(id)));
    check(lost.length === 0, `nothing is at ${lost}`);
    // By keyboard: the first stop leads past the head.
    await page.keyboard.press("Tab");
    const first = await page.evaluate(() => document.activeElement.getAttribute("href"));
    check(first === "#main", `the first stop is ${first}`);
    await page.close();

    // What a counter is made of has a page, and it leads back and on.
    const explanation = seen.links.find((link) => link.includes("/api/v1/series")).slice(base.length);
    await look(explanation, "series");
    const explained = await open(explanation);
    const onward = await explained.evaluate(() => [...document.querySelectorAll("a")].map((link) => link.href));
    for (const link of new Set(onward.map((link) => link.split("#")[0]))) {
        const answer = await fetch(link);
        await answer.arrayBuffer();
        check(answer.status === 200, `${link}: status ${answer.status}`);
    }
    await explained.close();

    // Without JavaScript it is the same page.
    const still = await open("/", {javascript: false});
    const html = await still.content();
    for (const text of ["What fails", "What to do:", "Targets", "Top queues", "Ledger", "Credentials"]) {
        check(html.includes(text), `without JavaScript: no ${text}`);
    }
    await still.close();
}

mkdirSync(shots, {recursive: true});
try {
    await (alone ? lookAtMany(alone) : lookAtAll());
} finally {
    await browser.close();
}
tell();
