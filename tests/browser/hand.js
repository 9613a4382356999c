// What a person does with a phone, by what stands on it: nothing here knows an address or an id.

import assert from 'node:assert/strict';

/** Picks up the phone of the first of a company's customers who wait, and gives its page with the talk room in sight. */
export async function pickUp(page, phones, company) {
  await page.goto(`${phones}/`);
  const waiting = page.locator('.people li').filter({ hasText: company }).first();
  await waiting.getByRole('button', { name: 'Pick up' }).click();
  await page.locator('.phone .bar').waitFor();
}

/** Follows, and waits for the question (fig. 7). */
export async function follow(page) {
  await page.getByRole('button', { name: /^Follow/ }).click();
  await chip(page, '口座を確認する').waitFor();
}

/** A suggestion below the last message. */
export function chip(page, label) {
  return page.locator('.chips').getByRole('button', { name: label });
}

/** A button of a card. */
export function button(page, label) {
  return page.locator('.card-buttons').last().getByRole('button', { name: label });
}

/** What the person has at hand: the account number, or the PIN of a card or contract. */
export async function atHand(page, what) {
  if (what === 'account number') return page.locator('.account-number').innerText();
  return page.locator('.cards li').filter({ hasText: what }).locator('code').innerText();
}

/** Types a text and sends it. */
export async function say(page, text) {
  await page.getByLabel('Write a message').fill(text);
  await page.getByLabel('Write a message').press('Enter');
  await saying(page, text).waitFor();
}

/** What was said, as the talk shows it. */
export function saying(page, text) {
  return page.locator('.to .text').getByText(text, { exact: true });
}

/** A message of the company that holds a text. */
export function message(page, text) {
  return page.locator('.from .text').filter({ hasText: text });
}

/** From the question to the card of fig. 9. */
export async function askForProof(page) {
  await chip(page, '口座を確認する').click();
  await message(page, '口座番号').last().waitFor();
  await say(page, await atHand(page, 'account number'));
  await button(page, '公的個人認証').waitFor();
}

/** Proves who one is by card and PIN. */
export async function proveByCard(page, pin) {
  await button(page, '公的個人認証').click();
  await page.getByRole('button', { name: 'Hold the card to the phone' }).click();
  await enter(page, pin);
}

/** Enters a PIN at an authority's page. */
export async function enter(page, pin) {
  await page.getByLabel('PIN', { exact: true }).fill(pin);
  await page.getByRole('button', { name: 'Authenticate' }).click();
}

/** Waits for the good result. */
export async function confirmed(page) {
  await message(page, '確認が完了しました').waitFor();
}

/** Asserts that no message holds a text. */
export async function silent(page, text) {
  assert.equal(await message(page, text).count(), 0);
}
