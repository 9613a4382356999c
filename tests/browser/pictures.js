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
      await distribute('aoba-bank', '年末年始もATMをご利用いただけます。', 'いつもありがとうございます。定期預金が12月24日に満期を迎えます。', await atHand(page, 'account number'));
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
];

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
