// look.mjs PAGE.html [SHOTS-DIR] -- a page in headless Chromium: what a person would see of it, as JSON on stdout.
// Run with the folder of setup.sh as QUERN_PAGE_PEERS.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(resolve(process.env.QUERN_PAGE_PEERS, "package.json"));
const puppeteer = (await import(pathToFileURL(require.resolve("puppeteer-core")))).default;
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [file, shots] = process.argv.slice(2);
const url = pathToFileURL(resolve(file)).href;
const WIDTHS = [360, 768, 1280];

if (shots)
	mkdirSync(shots, { recursive: true });
const browser = await puppeteer.launch({
	executablePath: process.env.CHROMIUM || "/usr/bin/chromium", headless: true,
	args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"], protocolTimeout: 600000,
});

/* What went wrong on a page is told by its console, by exceptions and by its policy. */
const open = async (width, scheme, scripts = true, hash = "") => {
	const page = await browser.newPage();
	const said = [];
	page.on("console", (m) => said.push(`${m.type()}: ${m.text()}`));
	page.on("pageerror", (e) => said.push(`exception: ${e.message}`));
	page.on("request", (r) => r.url().startsWith("file:") || r.url().startsWith("data:") || said.push(`request: ${r.url()}`));
	page.on("dialog", (d) => said.push(`dialog: ${d.message()}`) && d.dismiss());
	await page.setJavaScriptEnabled(scripts);
	await page.setViewport({ width, height: width < 500 ? 740 : 900 });
	await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
	const began = performance.now();
	await page.goto(url + hash, { waitUntil: "load", timeout: 300000 });
	return { page, said, load_ms: Math.round(performance.now() - began) };
};

/* Wider than the window, by the page itself or by anything that is not within a part that scrolls. */
const overflow = (page) => page.evaluate(() => ({
	page: document.documentElement.scrollWidth - innerWidth,
	elements: [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .hidden, svg, dialog") &&
		e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName + "." + e.className).slice(0, 5),
}));

/* The policy of the page forbids scripts of others: the checker comes in by the debugger. */
const accessibility = async (page) => {
	await page.evaluate(axe);
	return page.evaluate(async () => {
		const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
		return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
	});
};

const result = { views: [] };
for (const scheme of ["light", "dark"]) {
	for (const width of WIDTHS) {
		const { page, said, load_ms } = await open(width, scheme);
		const view = { width, scheme, load_ms, overflow: await overflow(page) };
		if (shots)
			await page.screenshot({ path: `${shots}/${width}-${scheme}.png`, fullPage: true, captureBeyondViewport: true });
		if (!process.env.QUICK && width !== 768)
			view.accessibility = await accessibility(page);
		view.background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
		view.said = said;
		result.views.push(view);
		await page.close();
	}
}

/* The details of a job: by a click in the grid, by the keyboard, by a link from outside. */
{
	const { page, said } = await open(1280, "light");
	const link = await page.$("table.grid td a");
	const began = performance.now();
	await link.evaluate((a) => a.click());
	await page.waitForSelector("dialog[open]");
	result.details_ms = Math.round(performance.now() - began);
	result.details = await page.$eval("dialog", (d) => d.innerText);
	result.details_accessibility = process.env.QUICK ? [] : await accessibility(page);
	if (shots)
		await page.screenshot({ path: `${shots}/details.png` });
	await page.keyboard.press("Escape");
	result.closed = await page.evaluate(() => !document.querySelector("dialog").open && location.hash === "");
	result.focus_returns = await page.evaluate(() => document.activeElement === document.querySelector("table.grid td a"));
	await page.keyboard.press("ArrowRight");
	await page.keyboard.press("Enter");
	result.by_keyboard = await page.evaluate(() => document.querySelector("dialog").open);
	await page.keyboard.press("Escape");
	/* The filter. */
	await page.select("#state", "").catch(() => {});
	await page.focus("#state");
	await page.select("#state", "failed");
	await page.waitForFunction(() => /jobs shown/.test(document.getElementById("shown").textContent));
	result.failed_shown = await page.$eval("#shown", (e) => e.textContent);
	result.failed_rows = await page.$$eval("#rows tr", (rows) => rows.length);
	const typed = performance.now();
	await page.type("#words", "zzz-no-such-thing");
	await page.waitForFunction(() => document.getElementById("shown").textContent.startsWith("0 of 0"));
	result.filter_ms = Math.round(performance.now() - typed);
	result.heap_bytes = (await page.metrics()).JSHeapUsedSize;
	result.nodes = await page.evaluate(() => document.querySelectorAll("*").length);
	result.interaction_said = said;
	await page.close();
}
{
	const first = await (async () => {
		const { page } = await open(360, "dark", false);
		result.without_script = await page.evaluate(() => ({ text: document.body.innerText, dialog: !!document.querySelector("dialog"),
			form: document.getElementById("filter").offsetParent !== null }));
		const id = await page.$eval("table.grid td a", (a) => a.getAttribute("href"));
		if (shots)
			await page.screenshot({ path: `${shots}/no-script.png` });
		await page.close();
		return id;
	})();
	const { page, said } = await open(360, "dark", true, first);
	result.by_link = await page.evaluate(() => document.querySelector("dialog").open);
	result.dialog_overflow = await page.evaluate(() => {
		const d = document.querySelector("dialog");
		return Math.max(d.scrollWidth - d.clientWidth, d.getBoundingClientRect().right - innerWidth);
	});
	if (shots)
		await page.screenshot({ path: `${shots}/details-360-dark.png` });
	result.interaction_said.push(...said);
	await page.close();
}
if (shots) {
	const { page } = await open(1280, "dark");
	await page.pdf({ path: `${shots}/print.pdf`, format: "A4", printBackground: false });
	await page.close();
}
console.log(JSON.stringify(result, null, 1));
await browser.close();
