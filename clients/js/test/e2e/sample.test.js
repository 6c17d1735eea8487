// samples/node with a service that answers as a test tells it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

let answer;
let service;
let sample;
let url;

before(async () => {
  service = createServer((request, response) => response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.body));
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  sample = spawn('node', ['app.js'], {
    cwd: join(import.meta.dirname, '../../../../samples/node'),
    env: {
      ...process.env,
      WIXOAUTH_URL: `http://127.0.0.1:${service.address().port}`,
      WIXOAUTH_KEY: 'k',
      EVENTS_SECRET: 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX',
      PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface(sample.stdout)) {
    url = /http:\S+/.exec(line)[0];
    break;
  }
});

after(() => {
  sample?.kill();
  service.close();
  service.closeAllConnections();
});

for (const [status, type, body, expected] of [
  [410, 'application/problem+json', '{"code":"app_removed"}', 410],
  [403, 'application/problem+json', '{"code":"unauthorized"}', 502],
  [200, 'text/html', '<html>', 502],
]) {
  test(`a service that answers ${status} with ${type} makes the sample answer ${expected}`, async () => {
    answer = { status, type, body };
    assert.equal((await fetch(`${url}/sites/${crypto.randomUUID()}`)).status, expected);
  });
}

test('an event that is too long is not verified', async () => {
  const post = async (length) => (await fetch(`${url}/events`, { method: 'POST', body: ' '.repeat(length) })).status;
  assert.deepEqual([await post(256 * 1024), await post(256 * 1024 + 1), await post(8 * 1024 * 1024)], [401, 413, 413]);
});
