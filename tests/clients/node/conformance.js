// Holds the RBM simulator against Google's documents, by Google's own Node client as it comes: the same discovery that the package
// `googleapis` has as `google.discoverAPI`.
//
// Called with the program: `conformance.js /path/to/musubi`. It starts a webhook and a simulator of its own, and says nothing but what
// is wrong. Field names, enums and the signature are written out here as the documents have them.
'use strict';

const { spawn } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { Discovery, GoogleAuth } = require('googleapis-common');

const TOKEN = 'a client token';
const AGENT = 'conformance_agent';
const SCOPE = 'https://www.googleapis.com/auth/rcsbusinessmessaging';
const faults = [];
const events = [];
let arrived = () => {};

function check(good, what) {
  if (!good) faults.push(what);
}

function same(is, should, what) {
  check(JSON.stringify(is) === JSON.stringify(should), `${what}: ${JSON.stringify(is)} where ${JSON.stringify(should)} should be`);
}

function take(request, body) {
  if (body.secret) {
    same(body.clientToken, TOKEN, 'the challenge has another client token');
    return body.secret;
  }
  const data = Buffer.from(body.message.data, 'base64');
  const signed = crypto.createHmac('sha512', TOKEN).update(data).digest('base64');
  same(request.headers['x-goog-signature'], signed, 'X-Goog-Signature is not the HMAC-SHA512 of the decoded data');
  same(body.message.attributes.product, 'RBM', 'attributes.product');
  events.push(JSON.parse(data));
  arrived();
  return '';
}

async function webhook() {
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => response.end(take(request, JSON.parse(Buffer.concat(parts)))));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function started(program, folder, port) {
  const child = spawn(
    program,
    ['carrier', '--rbm', '--data', folder, '--listen', '127.0.0.1:0', '--agent', AGENT,
      '--webhook', `http://127.0.0.1:${port}/hook`, '--client-token', TOKEN],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const words = line.trim().split(/\s+/);
    if (words[0] === 'API') return { child, origin: words[1] };
  }
  throw new Error('the simulator does not start');
}

async function next(wanted) {
  const late = Date.now() + 20000;
  while (events.length === 0 && Date.now() < late) {
    await Promise.race([new Promise((resolve) => { arrived = resolve; }), new Promise((resolve) => { setTimeout(resolve, 100); })]);
  }
  const event = events.shift() || {};
  for (const [name, value] of Object.entries(wanted)) same(event[name], value, name);
  return event;
}

async function refused(status, name, call) {
  try {
    await call();
    faults.push(`a call is taken that should be refused with ${status} ${name}`);
  } catch (error) {
    const body = error.response && error.response.data && error.response.data.error;
    if (!body) throw error;
    same([error.response.status, body.code, body.status], [status, status, name], 'an error');
  }
}

async function run(origin, account) {
  // This client asks Google's own address for tokens, whatever the file says; so it shows its assertions as tokens, as it can.
  const client = await new GoogleAuth({ keyFile: account, scopes: [SCOPE] }).getClient();
  client.useJWTAccessWithScope = true;
  const create = await new Discovery().discoverAPI(`${origin}/$discovery/rest?version=v1`);
  const rbm = create({ version: 'v1', auth: client });
  const phone = '+818012345678';
  const send = async (number, messageId, requestBody) => {
    const parameters = { parent: `phones/${number}`, messageId, agentId: AGENT, requestBody };
    return (await rbm.phones.agentMessages.create(parameters)).data;
  };

  const content = {
    text: 'Hello',
    suggestions: [
      { reply: { text: 'Yes', postbackData: 'yes' } },
      { action: { text: 'Open', postbackData: 'open', openUrlAction: { url: 'https://example.com/' } } },
    ],
  };
  for (const messageId of ['123456661', crypto.randomUUID()]) {
    const sent = await send(phone, messageId, { contentMessage: content });
    same(sent.name, `phones/${phone}/agentMessages/${messageId}`, 'name');
    check(sent.sendTime.endsWith('Z'), 'sendTime is no instant');
    await next({ eventType: 'DELIVERED', messageId, senderPhoneNumber: phone, agentId: AGENT });
    const read = await next({ eventType: 'READ', messageId, senderPhoneNumber: phone, agentId: AGENT });
    same(Object.keys(read).sort(), ['agentId', 'eventId', 'eventType', 'messageId', 'sendTime', 'senderPhoneNumber'], 'a user event');
  }

  const away = '+818012341111';
  await send(away, 'revoked', { contentMessage: { text: 'a' } });
  same((await rbm.phones.agentMessages.delete({ name: `phones/${away}/agentMessages/revoked`, agentId: AGENT })).data, {}, 'a revocation');
  await refused(404, 'NOT_FOUND', () => rbm.phones.agentMessages.delete({ name: `phones/${phone}/agentMessages/123456661`, agentId: AGENT }));
  await send(away, 'over', { contentMessage: { text: 'a' }, ttl: '1s' });
  await next({ eventType: 'TTL_EXPIRATION_REVOKED', messageId: 'over', phoneNumber: away });

  const capabilities = (await rbm.phones.getCapabilities({ name: `phones/${phone}`, requestId: 'r', agentId: AGENT })).data;
  check(capabilities.features.includes('RICHCARD_CAROUSEL'), 'features lack RICHCARD_CAROUSEL');
  const users = [phone, '+818012340000'];
  same((await rbm.users.batchGet({ agentId: AGENT, requestBody: { users } })).data.reachableUsers, [phone], 'reachableUsers');
  await rbm.phones.agentEvents.create({ parent: `phones/${phone}`, eventId: 'e', agentId: AGENT, requestBody: { eventType: 'IS_TYPING' } });
  same((await rbm.phones.testers.create({ parent: `phones/${phone}`, agentId: AGENT })).data.inviteStatus, 'PENDING', 'inviteStatus');
  const byUrl = (await rbm.files.create({ agentId: AGENT, requestBody: { fileUrl: 'https://example.com/a.png' } })).data;
  const byBytes = (await rbm.files.create({ agentId: AGENT, media: { mimeType: 'image/png', body: 'bytes' } })).data;
  for (const file of [byUrl, byBytes]) check(file.name.startsWith('files/'), `a file is ${JSON.stringify(file)}`);

  await refused(400, 'INVALID_ARGUMENT', () => send(phone, 'x', { contentMessage: { text: 'a'.repeat(3073) } }));
  await refused(403, 'PERMISSION_DENIED', () => rbm.phones.agentMessages.create({ parent: `phones/${phone}`, messageId: 'x', requestBody: { contentMessage: { text: 'a' } } }));
  await refused(404, 'NOT_FOUND', () => send('+818012340000', 'x', { contentMessage: { text: 'a' } }));
}

async function main() {
  const server = await webhook();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'musubi-rbm-'));
  const { child, origin } = await started(process.argv[2], folder, server.address().port);
  try {
    await run(origin, path.join(folder, 'service-account.json'));
  } finally {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    fs.rmSync(folder, { recursive: true });
    server.close();
    server.closeAllConnections();
  }
  for (const fault of faults) console.log(fault);
  process.exitCode = faults.length ? 1 : 0;
}

main().catch((error) => {
  console.log(error.stack || error);
  process.exit(1);
});
