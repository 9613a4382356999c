// The phones, by hand: figs. 7, 8 and 9, what goes wrong, what is off, and everybody who may look at them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SMALL, accessible, fits, open, usable } from './browser.js';
import { demo } from './demo.js';
import { askForProof, atHand, button, chip, confirmed, enter, follow, message, pickUp, proveByCard, say, saying, silent } from './hand.js';
import { PAYLOADS, hears, listen } from './hostile.js';

const BANK = '青葉銀行';
const GAS = 'ひなたガス';

/** The phone of the full flow, for the scenarios after it. */
let tied;

test('a person goes by hand from the question to a confirmed tie, and gets what is theirs alone', async () => {
  const { phones, distribute } = await demo();
  tied = await open({}, async (page) => {
    await pickUp(page, phones, BANK);
    await follow(page);
    await askForProof(page);
    await proveByCard(page, '000000');
    await page.getByRole('alert').getByText('The PIN is wrong').waitFor();
    await enter(page, await atHand(page, 'My Number card'));
    await confirmed(page);
    const number = await atHand(page, 'account number');
    await distribute('aoba-bank', 'みなさまへのお知らせです。', { individual: 'あなただけのお知らせです。', accountNumber: number });
    await message(page, 'あなただけのお知らせです').waitFor();
    await silent(page, 'みなさまへのお知らせ');
    await page.locator('.from.individual').last().getByText('For you alone').waitFor();
    assert.equal(await page.locator('.to .mark').filter({ hasText: 'Read' }).count(), 3, 'what was said is read');
    return page.url();
  });
});

test('the PIN of the phone contract proves it, too, and the company asks for the number again when it can not be read', async () => {
  const { phones } = await demo();
  await open({}, async (page) => {
    await pickUp(page, phones, GAS);
    await follow(page);
    await chip(page, '口座を確認する').click();
    await message(page, '口座番号').last().waitFor();
    await say(page, 'わかりません');
    await message(page, '').nth(2).waitFor();
    await say(page, await atHand(page, 'account number'));
    await button(page, '携帯電話会社の認証').click();
    await enter(page, await atHand(page, 'Phone contract'));
    await confirmed(page);
  });
});

test('who does not want it is left alone, who is off gets it later, and who leaves gets nothing', async () => {
  const { phones, distribute } = await demo();
  await open({}, async (page) => {
    await pickUp(page, phones, BANK);
    await follow(page);
    await chip(page, '確認しない').click();
    await saying(page, '確認しない').waitFor();
    await page.locator('.to .mark').filter({ hasText: 'Sent' }).waitFor();
    assert.equal(await page.locator('.chips, .card-buttons').count(), 0);

    await page.getByRole('button', { name: 'Switch off' }).click();
    await page.getByText('The phone is off').waitFor();
    await distribute('aoba-bank', '電源が切れている間のお知らせ');
    await page.waitForTimeout(1500);
    await page.getByRole('button', { name: 'Switch on' }).click();
    await message(page, '電源が切れている間のお知らせ').waitFor();

    await page.getByLabel('Menu').click();
    await page.getByRole('button', { name: 'Unfollow' }).click();
    await page.getByRole('button', { name: 'Follow again' }).waitFor();
    await page.getByText('You no longer follow this account').waitFor();
    await distribute('aoba-bank', '去った人には届かないお知らせ');
    await page.goto(tied);
    await message(page, '去った人には届かないお知らせ').waitFor();
    await page.goBack();
    await page.locator('.lines').waitFor();
    await silent(page, '去った人には届かないお知らせ');
    await follow(page);
  });
});

test('who has no account is shown where one is opened, and only a click of their own goes there', async () => {
  const { phones } = await demo();
  await open({}, async (page) => {
    await pickUp(page, phones, GAS);
    await follow(page);
    await chip(page, '口座を持っていない').click();
    await page.getByRole('heading', { name: 'A page outside of the simulator' }).waitFor();
    const link = page.getByRole('link', { name: 'Open in a new tab' });
    assert.match(await link.getAttribute('href'), /^https:\/\/www\.musubi\.test\//);
    assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
    await accessible(page, 'a page outside');
    await page.getByLabel('Close').click();
    await page.getByText('You opened').waitFor();
  });
});

test('the keyboard is enough', async () => {
  const { phones } = await demo();
  await open({}, async (page) => {
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    /** Goes on by the tabulator until this has the focus. */
    const reach = async (what) => {
      for (let step = 0; step < 80; step += 1) {
        await press('Tab');
        if (await what.evaluate((element) => element === document.activeElement)) return;
      }
      assert.fail('the tabulator does not come there');
    };
    await page.goto(`${phones}/`);
    await press('Tab', 'Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main', 'the skip link skips');
    await reach(page.locator('.people li').filter({ hasText: GAS }).first().getByRole('button'));
    await press('Enter');
    await reach(page.getByRole('button', { name: 'Follow' }));
    await press('Enter');
    await reach(chip(page, '口座を確認する'));
    await press('Space');
    await message(page, '口座番号').last().waitFor();
    // The focus has gone where the phone goes on.
    await page.waitForFunction(() => document.activeElement.name === 'text');
    await page.keyboard.type(await atHand(page, 'account number'));
    await press('Enter');
    await button(page, '公的個人認証').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.value), '', 'the field is empty and keeps the focus');
    await press('Shift+Tab', 'Shift+Tab', 'Shift+Tab', 'Shift+Tab');
    await reach(button(page, '公的個人認証'));
    await press('Enter');
    await reach(page.getByRole('button', { name: 'Hold the card to the phone' }));
    await press('Enter');
    await reach(page.getByLabel('PIN', { exact: true }));
    await page.keyboard.type(await atHand(page, 'My Number card'));
    await press('Enter');
    await confirmed(page);
  });
});

test('two phones lie side by side, and each is a phone', async () => {
  const { phones } = await demo();
  await open({}, async (page) => {
    await page.goto(`${phones}/`);
    await page.getByRole('link', { name: 'Side by side' }).click();
    const both = page.locator('.place');
    assert((await both.count()) >= 2);
    await both.nth(0).locator('.accounts a').filter({ hasText: BANK }).click();
    await both.nth(1).locator('.accounts a').filter({ hasText: GAS }).click();
    await both.nth(0).locator('.talk').waitFor();
    await both.nth(1).locator('.talk').waitFor();
    assert.match(page.url(), /\/phones\?n=/);
  });
});

test('everybody can use every page, in both languages, light and dark, on a small phone', async () => {
  const { phones } = await demo();
  await usable(`${phones}/`);
  await usable(tied);
  await usable(tied.replace(/\/with\/.*/, ''));
  await open({}, async (page) => {
    await page.goto(`${phones}/phones/817010009999`);
    await page.getByText('It is not there').waitFor();
    await accessible(page, 'a phone that is not there');
    // The browser tells of a page that was not found.
    page.faults.length = 0;
  });
  await open({ viewport: SMALL }, async (page) => {
    await pickUp(page, phones, BANK);
    await accessible(page, 'a phone that follows nobody');
    await follow(page);
    await fits(page, 'the question');
    await accessible(page, 'the question');
    await askForProof(page);
    await fits(page, 'the card');
    await accessible(page, 'the card');
    await button(page, '公的個人認証').click();
    await page.getByRole('button', { name: 'Hold the card to the phone' }).waitFor();
    await accessible(page, 'the authority');
    await page.getByRole('button', { name: 'Hold the card to the phone' }).click();
    await enter(page, '1');
    await page.getByRole('alert').waitFor();
    await fits(page, 'a wrong PIN');
    await accessible(page, 'a wrong PIN');
    await page.getByLabel('Close').click();
    await page.getByRole('button', { name: 'Switch off' }).click();
    await page.getByText('The phone is off').waitFor();
    await accessible(page, 'a phone that is off');
  });
});

test('no other site changes anything', async () => {
  const { phones } = await demo();
  const target = `${tied}/type`;
  // By plain HTTP: what a browser would say of a foreign page, and who says nothing.
  for (const headers of [{}, { 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.test' }, { origin: 'null' }]) {
    const answer = await fetch(target, { method: 'POST', headers, body: new URLSearchParams({ text: 'forged' }), redirect: 'manual' });
    assert.equal(answer.status, 403);
  }
  // By a foreign page in a real browser: a form, a script, and a name of its own that leads to this machine.
  await open({}, async (page) => {
    const evil = 'http://evil.test/';
    const form = `<form method=post action="${target}"><input name=text value=forged></form><button>go</button>`;
    await page.route(evil, (route) => route.fulfill({ contentType: 'text/html', body: `<!doctype html><title>x</title>${form}` }));
    await page.goto(evil);
    const sent = await page.evaluate(
      (to) => fetch(to, { method: 'POST', mode: 'no-cors', body: new URLSearchParams({ text: 'forged' }) }).then(() => 'sent', () => 'held back'),
      target,
    );
    assert(['sent', 'held back'].includes(sent));
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url() === target && response.request().isNavigationRequest()),
      page.evaluate(() => document.forms[0].submit()),
    ]);
    assert.equal(answer.status(), 403);
    await page.waitForURL(target);
    await page.goto(tied);
    await page.locator('.lines').waitFor();
    assert.equal(await saying(page, 'forged').count(), 0);
    page.faults.length = 0;
  });
});

test('no text of anybody runs', async () => {
  const { phones, distribute } = await demo();
  await open({}, hears);
  await open({}, async (page) => {
    const ran = await listen(page);
    // A person's name, address and account number, as the wallet and the wall show them.
    await page.goto(`${phones}/`);
    await page.getByText('Make up somebody else').click();
    const fields = { 'Phone number': '070-1999-0001', 'Official account id': 'aoba-bank', 'Account number': PAYLOADS[2], Name: PAYLOADS[0], Reading: PAYLOADS[42], 'Date of birth': PAYLOADS[15], Address: PAYLOADS[23] };
    for (const [label, text] of Object.entries(fields)) await page.locator('.make').getByLabel(label, { exact: true }).fill(text);
    await page.getByRole('button', { name: "Pick up this person's phone" }).click();
    await follow(page);
    await page.locator('.wallet').getByText(PAYLOADS[0], { exact: true }).waitFor();
    // What a person types: all of them.
    const typed = `${page.url()}/type`;
    const answers = await page.evaluate(
      async ([to, texts]) => {
        const statuses = [];
        for (const text of texts) statuses.push((await fetch(to, { method: 'POST', body: new URLSearchParams({ text }) })).status);
        return statuses;
      },
      [typed, PAYLOADS],
    );
    assert(answers.every((status) => status === 200), `${answers}`);
    // What a company sends: all of them, in texts and titles of cards. Braces are a template's.
    for (let from = 0; from < PAYLOADS.length; from += 24) {
      const sent = PAYLOADS.slice(from, from + 24).map((payload) => payload.replaceAll('{', '(').replaceAll('}', ')'));
      await distribute('aoba-bank', sent.join('\n'), { title: PAYLOADS[from] });
      await message(page, sent.at(-1)).first().waitFor();
      await page.locator('.title').getByText(PAYLOADS[from], { exact: true }).waitFor();
    }
    await page.locator('.picture').first().getByText('aoba-bank.example').waitFor();
    for (const payload of PAYLOADS) await saying(page, payload.trim()).first().waitFor();
    await page.goto(`${phones}/`);
    await page.locator('.tiles').waitFor();
    await page.waitForTimeout(1500);
    assert.deepEqual([...ran], []);
  });
});
