import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { redirects } from '@wix/redirects';
import { createClient } from '@wix/sdk';
import { INSTANCE, problem, settle, StubService } from './support/service.js';

/** Wix's API and the service behind one fetch. */
function world() {
  const service = new StubService();
  const wix = { refused: new Set(), calls: [] };
  const client = service.client({
    fetch: async (input, init) => {
      if (String(input).startsWith('https://tokens.example/')) {
        return service.fetch(input, init);
      }

      const request = new Request(input, init);
      const authorization = request.headers.get('authorization');
      wix.calls.push({ url: request.url, method: request.method, authorization, body: await request.text() });
      wix.arguments = { input, init };
      wix.response = wix.refused.has(authorization) ? new Response('{}', { status: 401 }) : Response.json({ ok: true });
      Object.entries(wix.redirect ?? {}).forEach(([name, value]) => Object.defineProperty(wix.response, name, { value }));
      return wix.response;
    },
  });
  return { service, wix, client };
}

const URL_OF_WIX = 'https://www.wixapis.com/stores/v1/products/query';

test('a request carries the bare token of its instance', async () => {
  const { client, wix } = world();
  const response = await client.fetch(INSTANCE, URL_OF_WIX, { method: 'POST', body: '{"a":1}', headers: { Authorization: 'other' } });
  assert.equal(response.status, 200);
  assert.deepEqual(wix.calls, [{ url: URL_OF_WIX, method: 'POST', authorization: 'token-1', body: '{"a":1}' }]);
});

test('a token that Wix refuses is replaced and the request sent once more with its body', async () => {
  const { client, wix, service } = world();
  wix.refused.add('token-1');
  const responses = await Promise.all(Array.from({ length: 20 }, () => client.fetch(INSTANCE, URL_OF_WIX, { method: 'POST', body: '{"a":1}' })));
  assert.ok(responses.every((response) => response.status === 200));
  assert.ok(wix.calls.every((call) => call.body === '{"a":1}'));
  assert.equal(service.requests.length, 2);
  assert.match(service.requests[1].url, /\?rejected=[0-9a-f]{64}$/);
});

test('a Request is taken too', async () => {
  const { client, wix } = world();
  wix.refused.add('token-1');
  const response = await client.fetch(INSTANCE, new Request(URL_OF_WIX, { headers: { 'x-y': 'z' } }));
  assert.equal(response.status, 200);
  assert.equal(wix.calls.length, 2);
});

test('a Request is sent again with its body', async () => {
  const { client, wix } = world();
  wix.refused.add('token-1');
  const response = await client.fetch(INSTANCE, new Request(URL_OF_WIX, { method: 'POST', body: '{"a":1}' }));
  assert.equal(response.status, 200);
  assert.deepEqual(wix.calls.map((call) => call.body), ['{"a":1}', '{"a":1}']);
});

test('a fetch of your own is given what you gave, with the token', async () => {
  const { client, wix } = world();
  const dispatcher = {};
  await client.fetch(INSTANCE, URL_OF_WIX, { method: 'POST', dispatcher, headers: { 'x-y': 'z' } });
  assert.equal(wix.arguments.input, URL_OF_WIX);
  assert.equal(wix.arguments.init.dispatcher, dispatcher);
  assert.deepEqual([...wix.arguments.init.headers], [['authorization', 'token-1'], ['x-y', 'z']]);
});

test('a Request of another library is taken, and one over plain http refused', async () => {
  const { client, wix } = world();
  wix.refused.add('token-1');
  const request = (url) => ({ url, headers: new Headers({ 'x-y': 'z' }), clone: () => request(url), toString: () => url });
  assert.equal((await client.fetch(INSTANCE, request(URL_OF_WIX))).status, 200);
  assert.equal(wix.arguments.init.headers.get('x-y'), 'z');
  await assert.rejects(client.fetch(INSTANCE, request('http://www.wixapis.com/x')), TypeError);
  assert.equal(wix.calls.length, 2);
});

test('a body that can be read again is not copied', async (t) => {
  const form = new FormData();
  form.set('file', new Blob(['of a form']), 'f.txt');
  for (const [body, expected] of [[new Blob(['of a blob']), /^of a blob$/], [form, /f\.txt.*of a form/s]]) {
    const { client, wix } = world();
    wix.refused.add('token-1');
    const clone = t.mock.method(Request.prototype, 'clone');
    assert.equal((await client.fetch(INSTANCE, URL_OF_WIX, { method: 'POST', body })).status, 200);
    assert.equal(clone.mock.callCount(), 0);
    assert.equal(wix.calls.length, 2);
    wix.calls.forEach((call) => assert.match(call.body, expected));
  }
});

test('a signal ends the wait for a token, and others get it', async () => {
  const { client, wix, service } = world();
  const open = service.close();
  const controller = new AbortController();
  const aborted = client.fetch(INSTANCE, URL_OF_WIX, { signal: controller.signal });
  const other = client.fetch(INSTANCE, URL_OF_WIX);
  controller.abort(new Error('enough'));
  await assert.rejects(aborted, { message: 'enough' });
  open();
  assert.equal((await other).status, 200);
  assert.equal(wix.calls.length, 1);
});

test('a signal ends the wait for a replacement', async () => {
  const { client, wix, service } = world();
  await client.getToken(INSTANCE);
  wix.refused.add('token-1');
  service.close();
  const controller = new AbortController();
  const aborted = client.fetch(INSTANCE, URL_OF_WIX, { signal: controller.signal });
  const rejected = assert.rejects(aborted, { name: 'AbortError' });
  await settle();
  controller.abort();
  await rejected;
});

test('a second refusal is the caller\'s', async () => {
  const { client, wix } = world();
  wix.refused.add('token-1').add('token-2');
  assert.equal((await client.fetch(INSTANCE, URL_OF_WIX)).status, 401);
  assert.equal(wix.calls.length, 2);
});

/** A form of the package `form-data`, which no global fetch takes. */
const older = { pipe() {}, toString: () => 'one way' };

for (const [name, body] of [
  ['stream', new Blob(['one way']).stream()],
  ['stream of Node', Readable.from([Buffer.from('one way')])],
  ['stream of an older library', older],
]) {
  test(`a ${name} is sent once, and its token reported all the same`, async () => {
    const { client, wix } = world();
    wix.refused.add('token-1');
    assert.equal((await client.fetch(INSTANCE, URL_OF_WIX, { method: 'POST', body, duplex: 'half' })).status, 401);
    assert.deepEqual(wix.calls.map((call) => call.body), ['one way']);
    assert.equal(await client.getToken(INSTANCE), 'token-2');
  });
}

for (const [url, isElsewhere] of [
  ['https://elsewhere.example/x', true], ['https://www.wixapis.com:444/x', true], ['https://www.wixapis.com/x', false],
]) {
  test(`a 401 of ${url} after a redirect is ${isElsewhere ? 'returned as it is' : 'a refusal of the token'}`, async () => {
    const { client, wix, service } = world();
    wix.refused.add('token-1');
    wix.redirect = { redirected: true, url };
    assert.equal((await client.fetch(INSTANCE, URL_OF_WIX)).status, isElsewhere ? 401 : 200);
    assert.deepEqual([wix.calls.length, service.requests.length], isElsewhere ? [1, 1] : [2, 2]);
  });
}

test('Wix\'s 401 is the answer while the service is away; the end of an installation is thrown', async () => {
  const { client, wix, service } = world();
  await client.getToken(INSTANCE);
  wix.refused.add('token-1');
  service.answer = () => problem(503, 'storage_unavailable', 3);
  assert.equal((await client.fetch(INSTANCE, URL_OF_WIX)).status, 401);

  const other = world();
  await other.client.getToken(INSTANCE);
  other.wix.refused.add('token-1');
  other.service.answer = () => problem(410, 'app_removed');
  await assert.rejects(other.client.fetch(INSTANCE, URL_OF_WIX), { code: 'app_removed' });
  assert.ok(other.wix.response.bodyUsed);
});

test('a token is not sent over plain http', async () => {
  const { client, wix } = world();
  await assert.rejects(client.fetch(INSTANCE, 'http://www.wixapis.com/x'), TypeError);
  assert.equal(wix.calls.length, 0);
});

test('the strategy gives the header that the SDK sends', async () => {
  const { client } = world();
  assert.deepEqual(await client.auth(INSTANCE).getAuthHeaders(), { headers: { Authorization: 'token-1' } });
  assert.throws(() => client.auth('no-id'), TypeError);
});

for (const [name, answer, expected] of [
  ['the end of an installation', () => problem(410, 'app_removed'), { code: 'app_removed', status: 410 }],
  ['Retry-After', () => problem(503, 'wix_unavailable', 30), { code: 'wix_unavailable', status: 503 }],
]) {
  test(`modules of the SDK change no other caller's error and none's code: ${name}`, async () => {
    const { client, service } = world();
    service.answer = answer;
    const sdk = createClient({ modules: { redirects }, auth: client.auth(INSTANCE) });
    const failure = () => sdk.redirects.createRedirectSession({}).then(assert.fail, (error) => error);
    const errors = [...await Promise.all([failure(), failure()]), await failure()];
    for (const error of errors) {
      const { code, status, name: type } = error;
      assert.deepEqual({ code, status, type }, { ...expected, type: 'WixOAuthError' });
    }

    assert.equal(new Set(errors).size, 3);
    assert.match(inspect(errors[0]), new RegExp(expected.code));
    await assert.rejects(client.getToken(INSTANCE), { ...expected, message: 'No.' });
  });
}
