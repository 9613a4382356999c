// One Chromium for all scenarios, and what every page is held against: accessibility, width, weight, speed, and that no text of
// anybody's ever runs.
//
// Scenarios stand in files of their own. Surprising: each has a context of its own, as a person with a browser of their own
// would, so nothing is carried over from one to the next.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { MUSUBI_BROWSER, MUSUBI_BROWSER_MODULES } = process.env;
assert(MUSUBI_BROWSER && MUSUBI_BROWSER_MODULES, 'run this by `cargo xtask servers -- cargo test --workspace --test it -- pages::`');
const require = createRequire(join(MUSUBI_BROWSER_MODULES, 'here.js'));
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** The most that a page and everything that it loads may weigh. */
const PAGE_BYTES = 200_000;
/** The latest that anything of a page may be seen, at the very first visit, and by the median of later ones, in milliseconds. */
const FIRST_CONTENT = 200;
/** How often to try again: who measures on a machine that does much else measures that, too. */
const ROUNDS = 5;
const FIRST_ROUNDS = 9;
/**
 * What a first visit of a bare page with some lines of Japanese takes where a page of ours may take that: most of a first visit is a new
 * process of the browser that asks another for each font, and a machine that takes longer for the one does so for the other.
 */
const BARE = 72;
/** A small phone. */
export const SMALL = { width: 360, height: 740 };
/** A desk. */
export const WIDE = { width: 1280, height: 800 };

let launched;

/** The browser, started when it is first asked for. */
export function browser() {
  // Only root can't have Chromium's sandbox, as in a container.
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  launched ??= chromium.launch({
    executablePath: MUSUBI_BROWSER,
    args: ['--disable-dev-shm-usage', '--force-color-profile=srgb', '--font-render-hinting=none', ...root],
  });
  return launched;
}

/** Ends it, if it was started. */
export async function close() {
  await (await launched)?.close();
}

/**
 * Does `visit` with a page in a context of its own. Whatever the page's console says as an error, whatever it throws and whatever
 * opens a dialogue fails the scenario.
 * @param {object} options of the context: viewport, colorScheme, locale, …
 * @param {(page: import('playwright-core').Page) => Promise<T>} visit
 * @returns {Promise<T>} what `visit` gave
 * @template T
 */
export async function open(options, visit) {
  const context = await (await browser()).newContext({ viewport: WIDE, locale: 'en-GB', ...options });
  const faults = [];
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`));
    page.on('dialog', async (dialog) => {
      faults.push(`dialogue: ${dialog.message()}`);
      await dialog.dismiss();
    });
    // A page that is meant to break a rule takes what it caused out of here.
    page.faults = faults;
    const given = await visit(page);
    assert.deepEqual(faults, []);
    return given;
  } finally {
    await context.close();
  }
}

/** Asserts that axe finds nothing serious or critical. */
export async function accessible(page, where) {
  // By the debugger's way in, which the page's own policy doesn't concern.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = bad.map(({ id, help, nodes }) => `${id}: ${help}\n    ${nodes.map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`).join('\n    ')}`);
  assert.deepEqual(told, [], `axe on ${where}:\n${told.join('\n')}`);
}

/** Asserts that nothing has to be scrolled sideways. */
export async function fits(page, where) {
  const [has, shows] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert(has <= shows, `${where} is ${has} px wide on a screen of ${shows}`);
}

/**
 * Asserts that a page is light, by what goes over the wire when nothing is cached, and quickly seen: by somebody whose browser has never been
 * here, and by whoever has, for whom the files of pages are kept for good.
 * @returns {Promise<{bytes: number, first: number, seen: number}>} its weight; when something of it is seen for the very first time,
 *   and after that, as the median of some visits, in milliseconds
 */
export async function quick(address, options = {}) {
  const { bytes, first } = await quickAtFirst(address, options);
  return open(options, async (page) => {
    await seen(page, address);
    let later;
    for (let round = 0; round < ROUNDS && !(later < FIRST_CONTENT); round += 1) {
      const times = [];
      for (let visit = 0; visit < 7; visit += 1) times.push(await seen(page, address));
      later = median(times);
    }
    assert(later < FIRST_CONTENT, `${address} is seen after ${later} ms`);
    return { bytes, first, seen: later };
  });
}

/**
 * The same of the very first visit alone, each time with nothing cached: the quickest of some is soon enough, because whatever else the
 * machine does only takes longer; or else the median, beside that of a bare page visited in turn with it.
 */
export async function quickAtFirst(address, options = {}) {
  const firsts = [];
  const bares = [];
  let bytes = 0;
  for (let round = 0; round < FIRST_ROUNDS && !(firsts.at(-1) < FIRST_CONTENT); round += 1) {
    firsts.push(
      await open(options, async (page) => {
        const devtools = await page.context().newCDPSession(page);
        await devtools.send('Network.enable');
        bytes = 0;
        devtools.on('Network.loadingFinished', (event) => (bytes += event.encodedDataLength));
        return seen(page, address);
      }),
    );
    assert(bytes > 0 && bytes < PAGE_BYTES, `${address} weighs ${bytes} bytes`);
    if (firsts.at(-1) >= FIRST_CONTENT) bares.push(await open({}, async (page) => seen(page, await bare())));
  }
  const first = Math.min(...firsts);
  const times = median(firsts) / median(bares);
  assert(first < FIRST_CONTENT || times < FIRST_CONTENT / BARE, `${address} is seen for the first time after ${first} ms at best, and takes ${times} times as long as a bare page`);
  return { bytes, first };
}

/** The one in the middle. */
function median(times) {
  return times.toSorted((a, b) => a - b)[times.length >> 1];
}

const BARE_STYLE = 'body{font:1rem/1.6 system-ui,"Hiragino Sans","Noto Sans CJK JP",sans-serif}code{font-family:ui-monospace,"Noto Sans Mono CJK JP",monospace}button{font:inherit}';
const BARE_LINE = '<h2>お知らせ Notice</h2><p>お客さまへのお知らせです。 <b>重要 Important</b> <code>b7f</code> <button>送る Send</button></p>';
const BARE_PAGE = `<!doctype html><html lang="ja"><meta charset="utf-8"><title>a</title><link rel="stylesheet" href="/a.css"><body>${BARE_LINE.repeat(12)}`;

let served;

/** Where the page is that a machine's speed is told by: nothing but text and a stylesheet, in the fonts of every page, by a server that does nothing. */
function bare() {
  served ??= (async () => {
    const server = createServer(({ url }, answer) => {
      const [kind, body] = url === '/a.css' ? ['text/css', BARE_STYLE] : ['text/html', BARE_PAGE];
      answer.setHeader('content-type', kind).end(body);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    // Nobody waits for its end.
    server.unref();
    return `http://127.0.0.1:${server.address().port}/`;
  })();
  return served;
}

/** Visits a page; gives when something of it is seen. */
async function seen(page, address) {
  await page.goto(address, { waitUntil: 'load' });
  return page.evaluate(
    () =>
      new Promise((painted) => {
        new PerformanceObserver((list) => {
          const paint = list.getEntriesByName('first-contentful-paint')[0];
          if (paint) painted(paint.startTime);
        }).observe({ type: 'paint', buffered: true });
      }),
  );
}

/** Every way in which somebody looks at a page. */
export const LOOKS = ['ja-JP', 'en-GB'].flatMap((locale) => ['light', 'dark'].map((colorScheme) => ({ locale, colorScheme })));

/** Asserts that a page can be used by everybody: in both languages, light and dark, on a desk and on a small phone. */
export async function usable(address, options = {}) {
  for (const [index, look] of LOOKS.entries()) {
    await open({ ...look, ...options }, async (page) => {
      const where = `${address} (${look.locale}, ${look.colorScheme})`;
      await page.goto(address);
      // axe looks at each size in each language, and at each size in each colour.
      for (const viewport of index % 3 === 0 ? [WIDE, SMALL] : [SMALL, WIDE]) {
        await page.setViewportSize(viewport);
        await fits(page, where);
      }
      await accessible(page, where);
    });
  }
}
