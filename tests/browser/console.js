// The company's console, by hand: a distribution that a second person approves, a review by one key, an erasure, an import with faults,
// and everybody who may look at it.
//
// Two people of the bank have signed in: hanako prepares and administers, taro decides. Surprising: signing in with a password is tried by the company
// server's own tests, because a code is good once and a person has to wait for the next.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { LOOKS, SMALL, WIDE, accessible, fits, open } from './browser.js';
import { demo } from './demo.js';
import { askForProof, button, chip, confirmed, follow, message, pickUp, saying, silent } from './hand.js';
import { PAYLOADS, listen } from './hostile.js';

const BANK = 'aoba-bank';
/** The customer whose follower is erased, and one whose follower is untied. */
let erased;
let untied;

/** The bank's console. */
async function bank() {
  return (await demo()).consoles[BANK];
}

/** Does `visit` with the bank's console in the eyes of somebody who has signed in. */
async function as(name, visit, options = {}) {
  const { origin, tokens } = await bank();
  return open(options, async (page) => {
    await page.goto(`${origin}/sign-in/token`);
    await page.locator('#token').fill(tokens[name]);
    await page.locator('main form button').click();
    await page.locator('.tiles').waitFor();
    return visit(page, origin);
  });
}

/** A file as a person chooses one. */
function csv(name, text) {
  return { name, mimeType: 'text/csv', buffer: Buffer.from(text) };
}

/** Customers who are tied, by the followers' page. */
async function tiedCustomers(page, origin) {
  await page.goto(`${origin}/followers?account=${BANK}&outcome=4`);
  return page.locator('main tbody code').allInnerTexts();
}

test('a distribution is composed, given values, tried on a phone, approved by another person and watched to its end, and its taps are counted', async () => {
  const { phones } = await demo();
  await open({}, async (phone) => {
    await pickUp(phone, phones, '青葉銀行');
    await follow(phone);
    const [, number] = /\/phones\/(\d+)\//.exec(phone.url());
    const path = await compose(phone, number);
    await watch(phone, path);
  });
});

/** hanako composes a distribution and tries it on a phone; gives its path. */
function compose(phone, number) {
  return as('hanako', async (page, origin) => {
    const customers = await tiedCustomers(page, origin);
    assert(customers.length > 2);
    [erased, untied] = customers;
    await page.goto(`${origin}/distributions/new`);
    await page.getByLabel('Name, for your people').fill('December points');
    const [individual, uniform] = [page.locator('#individual_text'), page.locator('#uniform_text')];
    await uniform.fill('みなさまへ');
    await individual.fill('{name}様 {points');
    await page.locator('#preview').getByText('an opening brace is not closed').waitFor();
    await individual.fill('{name}様、{points}ポイントです');
    await page.getByText('結 花子様、結 花子ポイントです').waitFor();
    await page.locator('#kind_points').selectOption('integer');
    await page.getByText('結 花子様、12,345ポイントです').waitFor();
    await page.getByText('Card and buttons').first().click();
    await page.getByLabel('Title of the card').first().fill('12月のポイント');
    await page.locator('#preview strong').getByText('12月のポイント').waitFor();
    await page.getByLabel('Label 1').first().fill('明細を見る');
    await page.getByLabel('What it does 1').first().selectOption('url');
    await page.getByLabel('Address 1').first().fill('https://elsewhere.example/');
    await page.locator('#preview .tap').getByText('明細を見る').waitFor();
    await page.getByText('Card and buttons').nth(1).click();
    await page.getByLabel('Label 1').nth(1).fill('くわしく');
    await page.locator('#preview .tap').getByText('くわしく').waitFor();
    await page.getByRole('button', { name: 'Make the draft' }).click();
    await page.getByRole('alert').getByText('hosts').first().waitFor();
    page.faults.length = 0;
    await page.getByLabel('Address 1').first().fill(`https://${BANK}.example/points`);
    await page.getByRole('button', { name: 'Make the draft' }).click();
    await page.getByText('The draft is made.').waitFor();

    // A file with faults stores nothing, and says where they are.
    const rows = customers.map((customer, place) => `${customer},お客さま${place},${place * 100}`);
    const file = (changed) => csv('values.csv', `customer_id,name,points\n${changed.join('\n')}\n`);
    await page.locator('#file').setInputFiles(file([rows[0], rows[1].replace('100', 'many'), rows[0], ...rows.slice(2)]));
    await page.getByRole('button', { name: 'Check and store' }).click();
    await page.getByRole('heading', { name: 'Nothing was stored' }).waitFor();
    page.faults.length = 0;
    const faults = await page.locator('.faults tbody tr').allInnerTexts();
    assert.match(faults[0], /^3\s+values\[points\]/);
    assert.match(faults[1], /^4\s+customer_id/);
    assert(!faults.join().includes('many'), 'no value is shown');
    await page.getByRole('link', { name: 'Back' }).click();
    await page.locator('#file').setInputFiles(file(rows));
    await page.getByRole('button', { name: 'Check and store' }).click();
    await page.getByText('The values are stored.').waitFor();
    await page.getByText('Counts and samples as of now').click();
    await page.locator('.samples .bubble').first().getByText('お客さま').waitFor();
    assert.equal(await page.locator('#who dd').first().innerText(), String(customers.length));
    // Who prepared it is offered no start, but tries it on a phone; whoever doesn't follow gets nothing.
    assert.equal(await page.locator('#start').count(), 0);
    const path = new URL(page.url()).pathname;
    await page.getByLabel('Phone numbers').fill('090');
    await page.locator('#try').click();
    await page.getByRole('alert').getByText('Nothing was sent.').waitFor();
    page.faults.length = 0;
    await page.getByLabel('Phone numbers').fill(`+${number}\n+818099999999`);
    await page.locator('#try').focus();
    await page.keyboard.press('Enter');
    await page.getByText('does not follow: nothing is sent').waitFor();
    await accessible(page, 'a test');
    await message(phone, '【テスト配信】').getByText('みなさまへ').waitFor();
    const row = page.locator('#trials tbody tr');
    await row.getByText('read', { exact: true }).waitFor();
    assert.match(await row.innerText(), /^\+\*+\d\d\s+uniform message\s+read\s+no confirmed customer$/);
    await chip(phone, 'くわしく').click();
    await saying(phone, 'くわしく').waitFor();
    await page.setViewportSize(SMALL);
    await fits(page, 'a test');
    await page.goto(`${origin}${path}`);
    await page.getByText('Nothing has been sent yet.').waitFor();
    await fits(page, 'a distribution that was tried');
    await accessible(page, 'a distribution that was tried');
    return path;
  });
}

/** taro starts it and sees it end; the phone taps, and that is counted once. */
function watch(phone, path) {
  return as('taro', async (page, origin) => {
    await page.goto(`${origin}${path}`);
    await page.locator('#start').click();
    await page.getByText('The distribution is started.').waitFor();
    await page.locator('#live .chip').getByText('completed').waitFor();
    await page.locator('#live tbody tr').filter({ hasText: 'individual message' }).first().waitFor();
    const counts = await page.locator('#live tbody tr').first().locator('.number').allInnerTexts();
    assert(Number(counts[0]) > 0 && counts[5] === '0', `${counts}`);
    await page.getByRole('heading', { name: 'Taps of buttons' }).waitFor();
    const taps = (label) => page.locator('#live tbody tr').filter({ hasText: label });
    assert.match(await taps('明細を見る').innerText(), /明細を見る\s+individual message\s+0/);
    assert.match(await taps('くわしく').innerText(), /くわしく\s+uniform message\s+0/, 'a tap of the test counts for nothing');
    await phone.locator('.from .text').getByText('みなさまへ', { exact: true }).waitFor();
    await chip(phone, 'くわしく').click();
    for (let look = 0; look < 60 && !/\s1$/.test(await taps('くわしく').innerText()); look += 1) {
      await page.waitForTimeout(250);
      await page.reload();
    }
    assert.match(await taps('くわしく').innerText(), /くわしく\s+uniform message\s+1$/);
  });
}

test('a review is decided by one key, and the next one is shown', async () => {
  await as('taro', async (page, origin) => {
    await page.goto(`${origin}/reviews`);
    const waiting = await page.locator('main tbody tr').count();
    assert(waiting > 0, 'the population has reviews');
    await page.locator('main tbody a').first().click();
    const here = new URL(page.url()).pathname;
    await page.locator('tr.marked').first().waitFor();
    // Without keys nothing is decided by them.
    await page.getByLabel('Decide by the keys A and R').uncheck();
    await page.keyboard.press('r');
    await page.waitForTimeout(200);
    assert.equal(new URL(page.url()).pathname, here);
    await page.getByLabel('Decide by the keys A and R').check();
    await page.keyboard.press('r');
    await page.getByText('Rejected. The person is told').waitFor();
    assert.notEqual(new URL(page.url()).pathname, here);
    await page.goto(`${origin}${here}`);
    await page.getByText('It waits no more, so nothing of the person is kept.').waitFor();
    assert.equal(await page.locator('[data-key]').count(), 0);
    await page.goto(`${origin}/reviews`);
    assert.equal(await page.locator('main tbody tr').count(), waiting - 1);
  });
});

test('documents alone confirm nobody; a clerk decides, the person is told, and stands in the console', async () => {
  const { phones } = await demo();
  await open({}, async (phone) => {
    await pickUp(phone, phones, '青葉銀行');
    await follow(phone);
    await askForProof(phone);
    await button(phone, 'その他の方法（書類）').click();
    await phone.getByLabel('Passport').check();
    await accessible(phone, 'documents');
    await phone.getByRole('button', { name: 'Photograph and hand in' }).click();
    await message(phone, 'ご入力の内容を受け付けました').waitFor();
    await silent(phone, '確認が完了しました');
    const [, number] = /\/phones\/(\d+)\//.exec(phone.url());
    await as('taro', async (page, origin) => {
      await page.goto(`${origin}/reviews`);
      // Those that began first stand in front.
      await page.locator('main tbody a').last().click();
      await page.locator('dd').getByText(`+${number}`, { exact: true }).waitFor();
      await page.keyboard.press('a');
      await page.getByText('Approved.').waitFor();
    });
    await confirmed(phone);
    await as('hanako', async (page, origin) => {
      await page.goto(`${origin}/followers`);
      await page.getByLabel('What to find').fill(`+${number}`);
      await page.getByRole('button', { name: 'Find', exact: true }).click();
      await page.locator('.timeline').getByText('tied to the customer').waitFor();
      // The dialogue stands there as the phone had it.
      const question = page.locator('.timeline li').filter({ hasText: 'question (fig. 7)' });
      await question.getByText('As it was shown').click();
      await question.locator('.tap').getByText('口座を確認する').waitFor();
      await accessible(page, 'a timeline');
    });
  });
});

test('a follower is found, revealed, and erased by two people', async () => {
  const find = async (page, origin) => {
    await page.goto(`${origin}/followers`);
    await page.getByLabel('Find by').selectOption('customer');
    await page.getByLabel('What to find').fill(erased);
    await page.getByRole('button', { name: 'Find', exact: true }).click();
  };
  const approval = await as('hanako', async (page, origin) => {
    await find(page, origin);
    await page.locator('.timeline').getByText('tied to the customer').waitFor();
    assert.match(await page.locator('h1').innerText(), /^\+\*+\d\d$/);
    await page.getByRole('button', { name: 'Show the number' }).click();
    await page.getByText('Show the number').waitFor({ state: 'detached' });
    assert.match(await page.locator('h1').innerText(), /^\+81\d{10}$/);
    await page.getByRole('button', { name: 'Erase everything' }).click();
    await page.locator('dialog').getByRole('button', { name: 'No' }).click();
    await page.getByRole('button', { name: 'Erase everything' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Yes' }).click();
    await page.getByText("It waits for another person's approval.").waitFor();
    assert.equal(await page.getByRole('button', { name: 'Approve' }).count(), 0, 'nobody approves their own');
    return new URL(page.url()).pathname;
  });
  await as('taro', async (page, origin) => {
    await page.goto(`${origin}${approval}`);
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('Approved.').waitFor();
    for (let look = 0; look < 60; look += 1) {
      await find(page, origin);
      if (await page.getByText('Nothing is held about such a person.').count()) break;
      await page.waitForTimeout(500);
    }
    await page.getByText('Nothing is held about such a person.').waitFor();
    page.faults.length = 0;
  });
});

test('a follower is suspended, released and untied by hand, and the days tell of it', async () => {
  await as('hanako', async (page, origin) => {
    await page.goto(`${origin}/followers`);
    await page.getByLabel('Find by').selectOption('customer');
    await page.getByLabel('What to find').fill(untied);
    await page.getByRole('button', { name: 'Find', exact: true }).click();
    const yes = page.locator('dialog').getByRole('button', { name: 'Yes' });
    await page.locator('#suspend').click();
    await yes.click();
    await page.getByText("Individual messages are held back: suspended by the company's people").waitFor();
    await page.locator('#release').click();
    await page.getByText('Individual messages may go again.').waitFor();
    await page.locator('#untie').click();
    await page.locator('dialog').getByRole('button', { name: 'No' }).click();
    await page.locator('#untie').click();
    await yes.click();
    await page.getByText('The tie is ended.').waitFor();
    await page.locator('.head .chip').getByText('declined').waitFor();
    assert.equal(await page.locator('#untie').count(), 0);
    await page.goto(`${origin}/`);
    assert((await page.locator('#days-roster .chart rect').count()) > 1, 'somebody came');
    await page.locator('#days-methods summary').click();
    const days = await page.locator('#days-methods tbody tr').first().locator('.number').allInnerTexts();
    assert(days.length === 3 && Number(days[0].replaceAll(',', '')) > 0, `${days}`);
  });
});

test('an import is told its faults by line and field, and changes nothing before it is good', async () => {
  const { data } = await demo();
  const master = (await readFile(join(data, `customers-${BANK}.csv`), 'utf8')).trim().split('\n');
  await as('hanako', async (page, origin) => {
    const send = async (lines, name = 'master.csv', dry = true) => {
      await page.goto(`${origin}/master`);
      if (!dry) await page.getByLabel('Only check').uncheck();
      await page.locator('#file').setInputFiles(csv(name, lines.join('\n')));
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByRole('heading', { name: 'What the import came to' }).waitFor();
    };
    const bad = [...master];
    bad[2] = bad[2].replace(/\d{4}-\d{2}-\d{2}/, '1948-13-05');
    bad[3] = bad[1];
    await send(bad, 'bad.csv', false);
    const faults = await page.locator('.faults tbody tr').allInnerTexts();
    assert.match(faults[0], /^3\s+birth_date/);
    assert.match(faults[1], /^4\s+customer_id/);
    assert(!faults.join().includes('1948-13-05'));
    await send(master);
    await page.getByText('No faults. The master is as it was.').waitFor();
    const counts = await page.locator('dl.facts dd').allInnerTexts();
    assert.deepEqual(counts.slice(1), ['0', '0', '0']);
    await page.goto(`${origin}/master`);
    const history = page.getByRole('region', { name: 'Imports so far' }).locator('tbody tr');
    assert.match(await history.first().innerText(), /hanako[^]*refused[^]*bad rows/);
    assert(await history.filter({ hasText: 'imported' }).count() > 0);
    await page.goto(`${origin}/audit`);
    await page.getByRole('button', { name: 'Verify the seals' }).click();
    await page.getByText('All seals are good').waitFor();
    // What the other server wrote down about this company stands beside it.
    await page.getByRole('link', { name: 'Information-management server' }).click();
    await page.getByLabel('Account', { exact: true }).selectOption(BANK);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.locator('main tbody').getByText('tied', { exact: true }).first().waitFor();
    await page.getByRole('button', { name: 'Verify the seals' }).click();
    await page.getByText('All seals are good').waitFor();
  });
});

test('everybody can use every room, in both languages, light and dark, on a small phone', async () => {
  const rooms = ['/', '/distributions', '/distributions/new', '/reviews', '/approvals?state=0', '/followers', '/dialogue', '/master', '/master/customers', '/audit', `/audit?node=information&account=${BANK}`, '/settings', '/settings/sessions'];
  for (const look of LOOKS) {
    await as(
      'hanako',
      async (page, origin) => {
        const one = async (room, link) => {
          await page.goto(`${origin}${room}`);
          return link && new URL(await page.locator(link).first().evaluate((a) => a.href)).pathname;
        };
        const more = [await one('/distributions', 'main tbody a'), await one('/followers?outcome=4', 'main tbody a'), await one('/master/customers', 'main tbody a'), await one('/reviews?state=4', 'main tbody a')];
        // Each language on a desk and on a small phone, once light and once dark.
        const isWide = (look.locale === 'ja-JP') === (look.colorScheme === 'light');
        await page.setViewportSize(isWide ? WIDE : SMALL);
        for (const room of [...rooms, ...more]) {
          const where = `${room} (${look.locale}, ${look.colorScheme}, ${isWide ? 'a desk' : 'a small phone'})`;
          await page.goto(`${origin}${room}`);
          await fits(page, where);
          await accessible(page, where);
        }
      },
      look,
    );
  }
  const { origin } = await bank();
  for (const room of ['/sign-in', '/sign-in/token', '/invitation']) {
    await open({ viewport: SMALL }, async (page) => {
      await page.goto(`${origin}${room}`);
      await fits(page, room);
      await accessible(page, room);
    });
  }
});

test('the keyboard is enough, and the skip link skips', async () => {
  await as('hanako', async (page, origin) => {
    await page.goto(`${origin}/`);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    for (let step = 0; step < 40; step += 1) {
      await page.keyboard.press('Shift+Tab');
      if (await page.evaluate(() => document.activeElement.getAttribute('href') === '/settings' && document.activeElement.closest('nav'))) break;
    }
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
  });
});

test('no text of a customer, a file or a person runs', async () => {
  const { data, operate } = await demo();
  const master = (await readFile(join(data, `customers-${BANK}.csv`), 'utf8')).trim().split('\n');
  await as('hanako', async (page, origin) => {
    const ran = await listen(page);
    // Names of distributions, as many as one can be called; texts of both sides.
    for (const name of PAYLOADS.filter((payload) => payload.length <= 100).slice(0, 20)) {
      const text = name.replaceAll('{', '(').replaceAll('}', ')');
      const draft = new URLSearchParams({ request_id: crypto.randomUUID(), account: BANK, name, uniform_text: text, individual_text: text });
      const status = await page.evaluate(
        async ([to, body]) => (await fetch(to, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body, redirect: 'manual' })).type,
        [`${origin}/distributions`, draft.toString()],
      );
      assert(['opaqueredirect', 'basic'].includes(status));
    }
    page.faults.length = 0;
    await page.goto(`${origin}/distributions`);
    await page.getByText(PAYLOADS[0], { exact: true }).first().waitFor();
    await page.getByText(PAYLOADS[0], { exact: true }).first().click();
    await page.locator('.bubble').first().waitFor();
    // Names, readings and addresses of customers, and the file's own name.
    const columns = master[0].split(',').map((column) => column.trim());
    const rows = PAYLOADS.map((payload, place) => {
      const value = `"${payload.replaceAll('"', '""').replaceAll(/[\n\t\ufeff\u202e]/g, ' ')}"`;
      const fields = { customer_id: `X${place}`, name: value, name_kana: '', birth_date: '1948-05-04', address: value, branch_number: '001', account_number: String(1000 + place), identity_verification: '""' };
      return columns.map((column) => fields[column] ?? '').join(',');
    });
    await page.goto(`${origin}/master`);
    await page.locator('#file').setInputFiles(csv(PAYLOADS[16].replaceAll('/', ''), [master[0], ...rows].join('\n')));
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('heading', { name: 'What the import came to' }).waitFor();
    // Files that are called so: the page that tells of each holds the name as a text, and nothing that it was not to hold.
    await page.goto(`${origin}/master`);
    const told = await page.evaluate(async (names) => {
      const form = document.querySelector('form[action="/master/import"]');
      const pages = [];
      for (const name of ['customers.csv', ...names]) {
        const body = new FormData(form);
        body.set('file', new File(['customer_id\n'], name));
        const html = await (await fetch(form.action, { method: 'POST', body })).text();
        const { documentElement: page } = new DOMParser().parseFromString(html, 'text/html');
        pages.push({ tags: [...page.querySelectorAll('*')].map((element) => element.tagName).join(), text: page.textContent });
      }
      return pages;
    }, PAYLOADS);
    const [usual, ...named] = told;
    for (const [place, { tags, text }] of named.entries()) {
      assert.equal(tags, usual.tags, `a file called ${PAYLOADS[place]}`);
      // A browser writes quotes and line ends of a name otherwise.
      const name = PAYLOADS[place].replaceAll('"', '%22').replaceAll('\n', '%0A');
      assert(text.includes(name.slice(0, 100)), `the name is shown: ${name}`);
    }
    page.faults.length = 0;
    // Addresses that hold them.
    for (const [place, payload] of PAYLOADS.entries()) {
      const text = encodeURIComponent(payload);
      const addresses = [`/?account=${text}&carrier=${text}&done=${text}`, `/audit?text=${text}`, `/sign-in?to=${text}`];
      await page.goto(`${origin}${addresses[place % addresses.length]}`);
    }
    page.faults.length = 0;
    await page.waitForTimeout(500);
    assert.deepEqual([...ran], []);
  });
  // Of the master nothing was changed: it was only checked.
  assert.match(await operate(BANK, 'customers', 'list'), /A000001/);
});

test('no other site signs anybody out, starts anything or shows a room in a frame', async () => {
  await as('taro', async (page, origin) => {
    const target = `${origin}/sign-out`;
    const evil = 'http://evil.test/';
    const body = `<!doctype html><title>x</title><form method=post action="${target}"></form><iframe src="${origin}/"></iframe>`;
    await page.route(evil, (route) => route.fulfill({ contentType: 'text/html', body }));
    await page.goto(evil);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url() === target && response.request().isNavigationRequest()),
      page.evaluate(() => document.forms[0].submit()),
    ]);
    assert.equal(answer.status(), 403);
    await page.getByText('no requests of other sites').waitFor();
    await page.goto(`${origin}/`);
    await page.locator('.tiles').waitFor();
    page.faults.length = 0;
  });
});
