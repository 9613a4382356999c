// How soon something of a page is seen, and what it weighs; on a machine that does nothing else.

import { test } from 'node:test';

import { open, quick, quickAtFirst } from './browser.js';
import { demo } from './demo.js';
import { follow, message, pickUp } from './hand.js';

const BANK = 'aoba-bank';

test('pages of phones are light and quick', async (it) => {
  const { phones } = await demo();
  const room = await open({}, async (page) => {
    await pickUp(page, phones, '青葉銀行');
    await follow(page);
    await message(page, '').first().waitFor();
    return page.url();
  });
  for (const address of [`${phones}/`, room]) {
    const { bytes, first, seen } = await quick(address);
    it.diagnostic(`${new URL(address).pathname}: ${bytes} bytes, seen after ${first.toFixed(0)} ms at the first visit, ${seen.toFixed(0)} ms later`);
  }
});

test('rooms of the console are light and quick', async (it) => {
  const { origin, tokens } = (await demo()).consoles[BANK];
  const cookie = { name: `musubi-session-${BANK}`, value: tokens.hanako, domain: '127.0.0.1', path: '/', expires: -1, httpOnly: true, secure: false, sameSite: 'Strict' };
  const storageState = { cookies: [cookie], origins: [] };
  for (const room of ['/', '/followers', '/distributions/new', '/audit']) {
    const { bytes, first, seen } = await quick(`${origin}${room}`, { storageState });
    it.diagnostic(`${room}: ${bytes} bytes, seen after ${first.toFixed(0)} ms at the first visit, ${seen.toFixed(0)} ms later`);
  }
  for (const room of ['/distributions', '/reviews', '/approvals', '/dialogue', '/master', '/settings', '/sign-in']) {
    const { bytes, first } = await quickAtFirst(`${origin}${room}`, { storageState });
    it.diagnostic(`${room}: ${bytes} bytes, seen after ${first.toFixed(0)} ms at the first visit`);
  }
});
