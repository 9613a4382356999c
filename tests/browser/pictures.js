// Makes the pictures of docs/pictures: `node pictures.js FOLDER`, by `cargo xtask pictures`.
//
// A picture is one line of the list: a name, how the browser looks at it, and what is done before it is taken. Surprising: the
// population is always the same, but times of day are today's.

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { close, open } from './browser.js';
import { demo, end } from './demo.js';
import { askForProof, atHand, confirmed, follow, message, pickUp, proveByCard } from './hand.js';

/** The most that a picture may weigh, in bytes. */
const PICTURE_BYTES = 150_000;
const BANK = '青葉銀行';

/** Pictures, in the order in which they are taken: what one does, the next finds done. */
const PICTURES = [
  {
    name: 'phone',
    look: { viewport: { width: 900, height: 780 } },
    async take(page, { phones, distribute }) {
      await pickUp(page, phones, BANK);
      await follow(page);
      await askForProof(page);
      await proveByCard(page, await atHand(page, 'My Number card'));
      await confirmed(page);
      await distribute('aoba-bank', '年末年始もATMをご利用いただけます。', {
        individual: 'いつもありがとうございます。定期預金が12月24日に満期を迎えます。',
        accountNumber: await atHand(page, 'account number'),
      });
      await message(page, '満期を迎えます').waitFor();
    },
  },
  {
    name: 'phone-card',
    look: { viewport: { width: 900, height: 780 }, colorScheme: 'dark' },
    async take(page, { phones }) {
      await pickUp(page, phones, BANK);
      await follow(page);
      await askForProof(page);
    },
  },
  {
    name: 'wall',
    look: { viewport: { width: 1200, height: 900 } },
    async take(page, { phones }) {
      await page.goto(`${phones}/`);
      await page.locator('.tiles').waitFor();
    },
  },
  {
    name: 'console',
    look: { viewport: { width: 1200, height: 900 }, locale: 'ja-JP' },
    async take(page, { consoles }) {
      await enter(page, consoles['aoba-bank'], 'hanako');
    },
  },
  {
    name: 'console-compose',
    look: { viewport: { width: 1200, height: 960 }, locale: 'ja-JP' },
    async take(page, { consoles }) {
      const origin = await enter(page, consoles['aoba-bank'], 'hanako');
      await page.goto(`${origin}/distributions/new`);
      await page.locator('#name').fill('12月のポイント');
      await page.locator('#uniform_text').fill('いつもありがとうございます。\n年末年始もアプリとATMをご利用いただけます。');
      await page.locator('#individual_text').fill('{name}様\nいつもありがとうございます。ただいま{points}ポイントです。\n{until}までお使いいただけます。');
      await page.locator('#kind_points').selectOption('integer');
      await page.locator('#kind_until').selectOption('date');
      await page.locator('#preview').getByText('12,345ポイント').waitFor();
      await page.locator('#preview').getByText('2026年12月24日').waitFor();
    },
  },
  {
    name: 'console-review',
    look: { viewport: { width: 1200, height: 800 }, colorScheme: 'dark' },
    async take(page, { consoles }) {
      const origin = await enter(page, consoles['aoba-bank'], 'taro');
      await page.goto(`${origin}/reviews`);
      await page.locator('main tbody a').first().click();
      await page.locator('tr.marked').first().waitFor();
    },
  },
];

/** Comes into a console, and gives where it is. */
async function enter(page, { origin, tokens }, name) {
  await page.goto(`${origin}/sign-in/token`);
  await page.locator('#token').fill(tokens[name]);
  await page.locator('main form button').click();
  await page.locator('.tiles').waitFor();
  return origin;
}

const [folder] = process.argv.slice(2);
assert(folder, 'name the folder of the pictures');
try {
  const shown = await demo();
  for (const { name, look, take } of PICTURES) {
    const path = join(folder, `${name}.png`);
    await open({ reducedMotion: 'reduce', ...look }, async (page) => {
      await take(page, shown);
      await page.evaluate(() => document.activeElement?.blur());
      await page.mouse.move(0, 0);
      // What was asked for may still be on its way.
      await page.waitForTimeout(1000);
      await page.screenshot({ path });
    });
    const { size } = await stat(path);
    assert(size < PICTURE_BYTES, `${path} weighs ${size} bytes`);
    console.log(`${path}: ${size} bytes`);
  }
} finally {
  await close();
  await end();
}
