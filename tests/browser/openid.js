// Signing in with a company's account: a real provider of OpenID Connect, a company server of its own, and people who go from the one to the
// other and back.
//
// The provider is `oidc-provider`, with its own pages for a person to sign in at. Surprising: it is called by another name of this machine than the
// console, so that to the browser it is another site, as it will be.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { pathToFileURL } from 'node:url';

import { SMALL, accessible, fits, open } from './browser.js';

const { MUSUBI_BROWSER_MODULES, MUSUBI_PROGRAM } = process.env;
const COMPANY = 'tf-bank';
const CLIENT = { client_id: 'musubi', client_secret: 'proves the server to its provider' };
/** How long the server may take to serve, in milliseconds. */
const PATIENCE = 30_000;

let folder;
let server;
let said = '';
let provider;
let issuer;
let consoleOrigin;

/** A port that nobody has now. */
async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** A provider that knows everybody as `NAME@bank.example`, whatever password they type. */
async function startProvider(back) {
  const module = createRequire(join(MUSUBI_BROWSER_MODULES, 'here.js')).resolve('oidc-provider');
  const { default: Provider } = await import(pathToFileURL(module));
  const listener = createServer().listen(0, 'localhost');
  await once(listener, 'listening');
  issuer = `http://localhost:${listener.address().port}`;
  const it = new Provider(issuer, {
    clients: [{ ...CLIENT, redirect_uris: [back] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    cookies: { keys: ['of a test'] },
    pkce: { required: () => true },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: `account-of-${id}`, email: `${id}@bank.example`, email_verified: true }),
    }),
  });
  listener.on('request', it.callback());
  return listener;
}

async function musubi(...command) {
  return (await promisify(execFile)(MUSUBI_PROGRAM, command, { cwd: folder, env: {} })).stdout;
}

/** Does what the first administrator does, by certificate. */
function operate(...command) {
  const certificate = join(folder, 'tls', `company-${COMPANY}-operator-sato.pem`);
  const [, address] = /serving gRPC on ([\d.:]+)/.exec(said) ?? [];
  return musubi(...command, '--server', `https://${address ?? assert.fail(said)}`, '--certificate', certificate);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'musubi-openid-'));
  const port = await freePort();
  consoleOrigin = `http://127.0.0.1:${port}`;
  provider = await startProvider(`${consoleOrigin}/sign-in/openid/back`);
  await musubi('certs', 'init');
  await musubi('certs', 'issue', `company/${COMPANY}`, `company/${COMPANY}/operator/sato`);
  const tls = (what) => join(folder, 'tls', what);
  const configuration = `
    company = '${COMPANY}'
    listen = '127.0.0.1:0'
    database = '${join(folder, 'company.db')}'
    information.endpoint = 'https://127.0.0.1:1'
    callers.operators.sato = ['administrator']
    keys.master = ['wraps the keys of this company in tests']
    keys.audit = ['signs seals of the audit']
    tls = { certificate = '${tls(`company-${COMPANY}.pem`)}', key = '${tls(`company-${COMPANY}.key`)}', authorities = '${tls('authority.pem')}' }
    console.listen = '127.0.0.1:${port}'
    [sign_in.openid]
    issuer = '${issuer}'
    client_id = '${CLIENT.client_id}'
    client_secret = '${CLIENT.client_secret}'
    origin = '${consoleOrigin}'`;
  const file = join(folder, 'company.toml');
  await writeFile(file, configuration);
  server = spawn(MUSUBI_PROGRAM, ['company', '--config', file], { env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (data) => (said += data));
  process.once('exit', () => server.kill('SIGKILL'));
  for (let waited = 0; !/serving gRPC on/.test(said); waited += 50) {
    assert(waited < PATIENCE && server.exitCode === null, `the company server does not serve:\n${said}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

after(async () => {
  server?.kill('SIGTERM');
  if (server && server.exitCode === null) await once(server, 'exit');
  provider?.close();
  provider?.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});

/** Goes to the provider, types a name there and lets it tell the console who that is. */
async function signIn(page, name) {
  await page.getByRole('link', { name: "Sign in with your company's account" }).click();
  await page.waitForURL((url) => url.origin === issuer);
  if (await page.locator('input[name=login]').count()) {
    await page.locator('input[name=login]').fill(name);
    await page.locator('input[name=password]').fill('whatever');
    await page.getByRole('button').click();
  }
  if (page.url().startsWith(issuer)) await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL((url) => url.origin === consoleOrigin);
  // The provider's own page wants letters from elsewhere.
  page.faults.length = 0;
}

test('who was invited signs in with the company’s account, works and signs out; who was not is told whom to ask', async () => {
  await open({ viewport: SMALL }, async (page) => {
    await page.goto(`${consoleOrigin}/sign-in?to=%2Fsettings`);
    await accessible(page, '/sign-in');
    await fits(page, '/sign-in');
    await signIn(page, 'mori');
    await page.getByRole('heading', { name: 'You are not invited yet' }).waitFor();
    assert.deepEqual((await page.context().cookies(consoleOrigin)).filter(({ value }) => value), [], 'nothing is kept');
    await accessible(page, 'not invited');
    await fits(page, 'not invited');
  });
  await operate('operators', 'invite', 'mori', '--role', 'auditor', '--role', 'administrator', '--openid', 'mori@bank.example');
  await open({}, async (page) => {
    await page.goto(`${consoleOrigin}/sign-in?to=%2Fsettings`);
    await signIn(page, 'mori');
    await page.waitForURL(`${consoleOrigin}/settings`);
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    const [session, ...more] = (await page.context().cookies(consoleOrigin)).filter(({ value }) => value);
    assert.deepEqual([session.sameSite, session.httpOnly, more], ['Strict', true, []], 'the ticket is gone');
    // Another colleague, by the console.
    await page.locator('#invite-name').fill('kato');
    await page.locator('#invite-openid').fill('kato@bank.example');
    await page.getByRole('checkbox', { name: 'auditor' }).first().check();
    await page.getByRole('button', { name: 'Invite' }).click();
    await page.getByText("signs in with the company's account").waitFor();
    assert.equal(await page.getByRole('row', { name: /^kato company's account/ }).count(), 1);
    await page.goto(`${consoleOrigin}/audit`);
    await page.getByText('mori by OpenID Connect').first().waitFor();
    await page.getByText('openid_unknown').first().waitFor();
    await page.getByRole('button', { name: 'Sign out' }).first().click();
    await page.getByText('You have signed out.').waitFor();
    await page.goto(`${consoleOrigin}/settings`);
    await page.waitForURL(`${consoleOrigin}/sign-in?to=%2Fsettings`);
    page.faults.length = 0;
  });
});

test('a way back that another browser began, that was gone before or that was cancelled opens nothing', async () => {
  const failed = (page) => page.getByRole('heading', { name: 'You could not be signed in' }).waitFor();
  let stolen;
  await open({}, async (page) => {
    page.on('request', (request) => {
      if (request.url().startsWith(`${consoleOrigin}/sign-in/openid/back?`)) stolen = request.url();
    });
    await page.goto(`${consoleOrigin}/sign-in?to=%2Fsettings`);
    await signIn(page, 'mori');
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    // Whoever is given the address has not begun it: an attacker can't sign a victim in as themselves.
    await open({}, async (victim) => {
      await victim.goto(stolen);
      await failed(victim);
      assert.deepEqual((await victim.context().cookies()).filter(({ value }) => value), []);
      await accessible(victim, 'not signed in');
      victim.faults.length = 0;
    });
    await page.goto(stolen);
    await failed(page);
    await page.goto(`${consoleOrigin}/sign-in/openid/back?error=access_denied&state=x`);
    await failed(page);
    page.faults.length = 0;
  });
});
