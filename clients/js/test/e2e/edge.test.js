// The package in an edge runtime, against the real service.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { startWorker } from './edge/start.js';
import { KEY, Program } from './program.js';

const SECRET = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX';
let program;
let worker;
let url;

before(async () => {
  program = await Program.start();
  worker = await startWorker({ WIXOAUTH_URL: program.url, WIXOAUTH_KEY: KEY, WIX_API_URL: program.wix, EVENTS_SECRET: SECRET });
  url = worker.url;
});

after(async () => {
  worker?.stop();
  await program?.stop();
});

test('callers share one request, and a site answers with the token of its instance', async () => {
  const instanceId = await program.install('At the edge');
  const responses = await Promise.all(Array.from({ length: 20 }, () => fetch(`${url}/sites/${instanceId}`)));
  for (const response of responses) {
    assert.equal((await response.json()).site.siteDisplayName, 'At the edge');
  }

  assert.equal(await (await fetch(`${url}/requests`)).json(), 1);
});

test('errors carry the problem\'s code', async () => {
  const response = await fetch(`${url}/sites/${crypto.randomUUID()}`);
  assert.deepEqual([response.status, await response.json()], [404, { name: 'WixOAuthError', code: 'unknown_instance' }]);
});

test('an event is verified', async () => {
  const body = JSON.stringify({ specversion: '1.0', id: 'e-1', type: 'instance.connected', data: { site: { name: 'Ann’s Café' } } });
  const now = new Date();
  const headers = {
    'webhook-id': 'e-1',
    'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': new Webhook(SECRET).sign('e-1', now, body),
  };
  const verified = await fetch(`${url}/events`, { method: 'POST', headers, body });
  assert.deepEqual([verified.status, await verified.json()], [200, JSON.parse(body)]);
  const forged = await fetch(`${url}/events`, { method: 'POST', headers, body: `${body} ` });
  assert.deepEqual([forged.status, (await forged.json()).name], [401, 'EventVerificationError']);
});
