// Jobs of graphile-worker that do nothing: added in batches, then done by so many processes, from the first that is taken until the
// last is gone from the database.
//
// Run by `cargo xtask peers`, which says where database and packages are. Settings are those that its documentation gives for the most
// jobs a second. Surprising: a job counts for it when it has run, and is deleted with others a little later; here the last deletion
// counts, since until then a job would run again after a crash.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const { DATABASE_URL: connectionString, MUSUBI_PEER_MODULES: modules } = process.env;
assert(connectionString && modules, 'run this by `cargo xtask peers`');
const require = createRequire(join(modules, 'here.js'));
const { Logger, makeWorkerUtils, run } = await import(require.resolve('graphile-worker'));

const worker = {
  connectionString,
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
const TASK = 'nothing';
const BATCH = 5_000;
/** How often a process says how far it is, and the database is asked at the end, in milliseconds. */
const SAY = 20;
const LOOK = 2;
const PROGRESS = 5_000;

/** Only what goes wrong. */
const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message);
});
/** The same for all processes. */
const now = () => performance.timeOrigin + performance.now();

if (process.send) await work();
else await measure(Number(process.argv[2]), Number(process.argv[3]));

/** One process: takes jobs until it is told to stop. */
async function work() {
  const state = { done: 0, first: null };
  process.send('ready');
  await once(process, 'message');
  const taskList = {
    [TASK]: () => {
      state.first ??= now();
      state.done += 1;
    },
  };
  const runner = await run({ preset: { worker }, taskList, logger, noHandleSignals: true });
  // It would be tried again, later and later.
  runner.events.on('job:error', () => process.exit(1));
  const said = setInterval(() => process.send(state), SAY);
  await once(process, 'message');
  clearInterval(said);
  await runner.stop();
  process.disconnect();
}

/** Adds the jobs, has them done, and prints what it came to. */
async function measure(jobs, processes) {
  const utils = await makeWorkerUtils({ preset: { worker }, logger });
  await utils.migrate();
  for (let first = 0; first < jobs; first += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, jobs - first) }, (_, index) => first + index);
    await utils.addJobs(batch.map((id) => ({ identifier: TASK, payload: { id } })));
  }
  const ask = (query) => utils.withPgClient((client) => client.query(query));
  await ask('VACUUM ANALYZE graphile_worker._private_jobs');

  const states = new Map();
  const workers = Array.from({ length: processes }, () => fork(fileURLToPath(import.meta.url)));
  await Promise.all(workers.map((child) => once(child, 'message')));
  for (const child of workers) {
    child.on('message', (state) => states.set(child, state));
    child.on('exit', (code) => assert(code === 0, `a worker ended with ${code}`));
    child.send('go');
  }
  const begun = now();
  let told = begun;
  for (let done = 0; done < jobs; ) {
    await setTimeout(SAY);
    done = [...states.values()].reduce((sum, state) => sum + state.done, 0);
    if (now() - told > PROGRESS) {
      told = now();
      console.error(`  ${done} of ${jobs} jobs, ${Math.round((done / (told - begun)) * 1000)}/s`);
    }
  }
  for (;;) {
    const { rows } = await ask('SELECT count(*)::int AS left FROM graphile_worker._private_jobs');
    if (rows[0].left === 0) break;
    await setTimeout(LOOK);
  }
  const ended = now();
  const first = Math.min(...[...states.values()].map((state) => state.first ?? ended));
  await Promise.all(workers.map((child) => (child.send('stop'), once(child, 'exit'))));
  await utils.release();
  const { version } = JSON.parse(readFileSync(join(modules, 'graphile-worker/package.json'), 'utf8'));
  console.log(JSON.stringify({ version, node: process.version, jobs, processes, seconds: (ended - first) / 1000 }));
}
