// An edge runtime ends a request with all that it has started: callers that share that wait for it no longer. The service
// and Wix are stubs, which answer when the test says so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startWorker } from './edge/start.js';

// Long enough that a busy machine does not outlive a token between two steps.
const LIFE_S = 20;
let isSilent = false;
let asked = 0;
let server;
let worker;

before(async () => {
  server = createServer((request, response) => {
    if (!request.url.startsWith('/api/')) {
      response.end(request.headers.authorization);
      return;
    }

    asked++;
    if (!isSilent) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ access_token: `token-${asked}`, expires_in: LIFE_S }));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}`;
  worker = await startWorker({ WIXOAUTH_URL: url, WIXOAUTH_KEY: 'k', WIX_API_URL: url, EVENTS_SECRET: '' });
});

after(() => {
  worker?.stop();
  server.close();
  server.closeAllConnections();
});

async function site(instanceId, limitMs = '') {
  return (await fetch(`${worker.url}/sites/${instanceId}/${limitMs}`, { signal: AbortSignal.timeout(120_000) })).text();
}

/** The requests for tokens that this makes get no answer. */
async function withoutAnswer(action) {
  isSilent = true;
  const before = asked;
  await action();
  while (asked === before) {
    await sleep(10);
  }

  isSilent = false;
}

test('a background request that ended with its caller holds up none after it', async () => {
  const instanceId = crypto.randomUUID();
  const token = await site(instanceId);
  await sleep(LIFE_S * 700);
  await withoutAnswer(async () => assert.equal(await site(instanceId), token));
  await sleep(LIFE_S * 300);
  const tokens = await Promise.all(Array.from({ length: 3 }, () => site(instanceId)));
  assert.deepEqual(new Set(tokens), new Set([`token-${asked}`]));
});

test('callers that joined the request of a caller that has ended get a token', async () => {
  const instanceId = crypto.randomUUID();
  let others;
  await withoutAnswer(async () => {
    const first = site(instanceId, 5000);
    await sleep(200);
    others = [site(instanceId), site(instanceId)];
    assert.equal(await first, '"late"');
  });
  assert.deepEqual(await Promise.all(others), [`token-${asked}`, `token-${asked}`]);
});
