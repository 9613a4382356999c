// Runs files of scenarios with one browser and one demo: `node run.js phones console`.

import { after } from 'node:test';

import { close } from './browser.js';
import { end } from './demo.js';

after(async () => {
  await close();
  await end();
});
for (const scenarios of process.argv.slice(2)) {
  await import(`./${scenarios}.js`);
}
