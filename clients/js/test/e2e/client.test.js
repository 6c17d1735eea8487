// The client with the real service, the pretend Wix and Wix's SDK.
import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { createClient } from '@wix/sdk';
import { WixOAuthClient } from '../../src/index.js';
import { freeUrl, KEY, Program } from './program.js';

let program;
let wix;

before(async () => {
  program = await Program.start();
  wix = new WixOAuthClient({ url: program.url, key: KEY });
});

after(() => program?.stop());

/** How often Wix was asked for tokens. */
const wixCalls = async () => Object.values((await program.control()).counts.grants).reduce((sum, each) => sum + each, 0);

test('a site answers with the token of its instance', async () => {
  const instanceId = await program.install('Rosemary & Rye');
  const response = await wix.fetch(instanceId, `${program.wix}/apps/v1/instance`);
  assert.equal((await response.json()).site.siteDisplayName, 'Rosemary & Rye');
});

test('the strategy works in createClient of the SDK', async () => {
  const instanceId = await program.install();
  const client = createClient({ auth: wix.auth(instanceId), fetch: (url, init) => wix.fetch(instanceId, url, init) });
  const response = await client.fetchWithAuth(`${program.wix}/apps/v1/instance`);
  assert.equal((await response.json()).instance.instanceId, instanceId);
  assert.deepEqual(await client.auth.getAuthHeaders(), { headers: { Authorization: await wix.getToken(instanceId) } });
});

test('a token revoked at Wix: every caller is well again after one report', async (t) => {
  const instanceId = await program.install();
  const before = await wix.getToken(instanceId);
  let reports = 0;
  const counting = new WixOAuthClient({
    url: program.url,
    key: KEY,
    fetch: (input, init) => {
      reports += String(input.url ?? input).includes('rejected=') ? 1 : 0;
      return fetch(input, init);
    },
  });
  assert.equal(await counting.getToken(instanceId), before);

  // Removed and installed again behind the service's back: the old tokens are worthless.
  await program.control('', { sendWebhooks: false });
  t.after(() => program.control('', { sendWebhooks: true }));
  await program.control('remove', { instanceId });
  await program.consent(instanceId);
  const responses = await Promise.all(Array.from({ length: 20 }, () => counting.fetch(instanceId, `${program.wix}/apps/v1/instance`)));
  assert.deepEqual(new Set(responses.map((response) => response.status)), new Set([200]));
  assert.equal(reports, 1);
});

test('hits reach neither the service nor Wix', async () => {
  let requests = 0;
  const counting = new WixOAuthClient({
    url: program.url,
    key: KEY,
    fetch: (...args) => {
      requests++;
      return fetch(...args);
    },
  });
  const start = await wixCalls();
  const instanceId = await program.install();
  await counting.getToken(instanceId);
  const before = await wixCalls();
  assert.ok(before > start);
  await Promise.all(Array.from({ length: 1000 }, () => counting.getToken(instanceId)));
  assert.deepEqual([await wixCalls(), requests], [before, 1]);
});

test('no caller fails while its token lives, though the service is killed for a minute', async (t) => {
  const instanceId = await program.install();
  let service = await program.startService(await freeUrl());
  t.after(() => service.stop());
  const { url } = service;
  const wire = { asked: 0, answered: 0, ended: 0, gate: Promise.resolve() };
  const client = new WixOAuthClient({
    url,
    key: KEY,
    fetch: async (...args) => {
      wire.asked++;
      await wire.gate;
      try {
        const response = await fetch(...args);
        wire.answered++;
        return response;
      } finally {
        wire.ended++;
      }
    },
  });
  const call = () => Promise.all(Array.from({ length: 50 }, () => client.getToken(instanceId)));
  const until = async (condition) => {
    while (!condition()) {
      await call();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  mock.timers.enable({ apis: ['Date'], now: Date.now() });
  t.after(() => mock.timers.reset());
  await call();

  // 40 % of its life is left: it is refreshed in the background, by a request that meets the kill.
  mock.timers.tick(180_000);
  let killed;
  wire.gate = new Promise((resolve) => (killed = resolve));
  await call();
  assert.deepEqual([wire.asked, wire.answered], [2, 1]);
  let isGone = false;
  await Promise.all([service.stop('SIGKILL').then(() => (isGone = true)), until(() => isGone)]);
  killed();
  for (let second = 0; second < 60; second++) {
    await call();
    await until(() => wire.ended === wire.asked);
    mock.timers.tick(1_000);
  }

  assert.ok(wire.asked > 3 && wire.asked < 20, `${wire.asked} requests`);
  assert.equal(wire.answered, 1);
  service = await program.startService(url);
  mock.timers.tick(15_000);
  await until(() => wire.answered === 2);

  // The token from before the outage would be dead by now.
  mock.timers.tick(60_000);
  await call();
});

test('errors carry the problem\'s code', async () => {
  await assert.rejects(wix.getToken(crypto.randomUUID()), { code: 'unknown_instance', status: 404 });
  const instanceId = await program.install();
  await fetch(`${program.url}/api/instances/${instanceId}`, { method: 'DELETE', headers: { 'x-functions-key': KEY } });
  await assert.rejects(wix.getToken(instanceId), { code: 'app_removed', status: 410 });
  await assert.rejects(new WixOAuthClient({ url: program.url, key: 'wrong' }).getToken(instanceId), { code: 'unauthorized', status: 401 });
});
