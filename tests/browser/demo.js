// `musubi demo`, left running for the scenarios: the program as people start it, with a small population that has run.
//
// Everything is in a folder of its own, which goes with it. Surprising: what a company's people do is done by the command line,
// with the certificate that the demo has made, as they would without a browser.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const { MUSUBI_PROGRAM } = process.env;
/** How long the population may take, and then the end, in milliseconds. */
const PATIENCE = 120_000;
/** What says in the demo's output that all of it is told. */
const PLACES = /^ {2}(\w+) +(https?:\/\/\S+)\/$/;

/** What says where a company's console is, and then who of it has signed in. */
const CONSOLE = /^ {2}console of (\S+) (https?:\/\/\S+)\/sign-in\/token /;
const SESSION = /^ {4}(\w+) .* (musubi-session-\S+)$/;

let started;

/** The demo, started when it is first asked for. */
export function demo() {
  started ??= start();
  return started;
}

/** Ends it, if it was started, and asserts that it ended well. */
export async function end() {
  await (await started)?.end();
}

async function start() {
  assert(MUSUBI_PROGRAM, 'MUSUBI_PROGRAM names the program');
  const folder = await mkdtemp(join(tmpdir(), 'musubi-browser-'));
  const shape = ['--followers', '40', '--companies', '2', '--carriers', '2', '--seed', '5'];
  const child = spawn(MUSUBI_PROGRAM, ['demo', '--stay', '--pages', '0', '--data-dir', join(folder, 'data'), ...shape], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  // A signal ends this process without telling it first, and would leave the demo behind.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  const said = [];
  child.stderr.on('data', (data) => said.push(data));
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  const places = {};
  const consoles = {};
  let console;
  const lines = createInterface({ input: child.stdout });
  const told = (async () => {
    for await (const line of lines) {
      said.push(`${line}\n`);
      const [, company, origin] = CONSOLE.exec(line) ?? [];
      if (company) console = consoles[company] = { company, origin, tokens: {} };
      const [, name, token] = SESSION.exec(line) ?? [];
      if (name) console.tokens[name] = token;
      const [, what, address] = PLACES.exec(line) ?? [];
      if (what) places[what] = address;
      // The phones are told last.
      if (what === 'phones') return;
    }
    throw new Error(`the demo ended: ${await ended}\n${said.join('')}`);
  })();
  await within(PATIENCE, told, () => `the demo has told no address:\n${said.join('')}`);
  // What it says from now on goes nowhere, and holds nobody up.
  child.stdout.resume();
  const data = join(folder, 'data');
  const at = (name) => join(folder, name);

  /** Does what an operator of a company does by the command line; gives what it prints. */
  const operate = async (company, ...command) => {
    const toml = await readFile(join(data, `company-${company}.toml`), 'utf8');
    const server = `https://${/^listen = "(.*)"$/m.exec(toml)[1]}`;
    const env = { MUSUBI_SERVER: server, MUSUBI_CERTIFICATE: join(data, 'tls', `company-${company}-operator-operator.pem`) };
    return (await promisify(execFile)(MUSUBI_PROGRAM, command, { env, timeout: PATIENCE })).stdout;
  };

  return {
    ...places,
    consoles,
    data,
    operate,

    /**
     * Sends a text to everybody; and another, where one is given, under their name to whoever is tied to the customer of an account
     * number. A title makes the text to everybody a card with a picture.
     */
    async distribute(company, uniform, { individual, accountNumber, title } = {}) {
      await writeFile(at('uniform'), uniform);
      const texts = ['--uniform-text', at('uniform')];
      if (title) texts.push(`--uniform-title=${title}`, `--uniform-image=https://${company}.example/picture.png`);
      if (individual) {
        const master = await readFile(join(data, `customers-${company}.csv`), 'utf8');
        const rows = master.split('\n').map((line) => line.split(','));
        const row = rows.find((fields) => fields.includes(accountNumber.split('-').at(-1)));
        assert(row, 'nobody has this account number');
        const [customer, name] = row;
        await writeFile(at('individual'), `{name}様\n${individual}`);
        await writeFile(at('values'), `customer_id,name\n${customer},${name}\n`);
        texts.push('--individual-text', at('individual'), '--variable', 'name:text', '--values', at('values'));
      }
      const draft = await operate(company, 'distributions', 'create', '--official-account', company, '--name', 'browser', ...texts);
      const [id] = /dst_[0-9a-f]{32}/.exec(draft) ?? assert.fail(`no draft: ${draft}`);
      await operate(company, 'distributions', 'start', id);
    },

    async end() {
      child.kill('SIGINT');
      const status = await within(PATIENCE, ended, () => `the demo does not end:\n${said.join('')}`);
      process.off('exit', kill);
      await rm(folder, { recursive: true, force: true });
      assert.equal(status, 0, `the demo ended with ${status}:\n${said.join('')}`);
    },
  };
}

async function within(milliseconds, what, problem) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(problem())), milliseconds);
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
  }
}
