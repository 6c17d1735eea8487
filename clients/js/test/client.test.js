import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { WixOAuthClient, WixOAuthError } from '../src/index.js';
import { fakeTime, INSTANCE, lose, problem, settle, StubService } from './support/service.js';

test('the service is asked as its contract says', async () => {
  const service = new StubService();
  assert.equal(await service.client().getToken(INSTANCE), 'token-1');
  assert.deepEqual(service.requests, [{
    url: `https://tokens.example/api/instances/${INSTANCE}/token`,
    headers: { 'x-functions-key': 'the-key' },
    redirect: 'manual',
    cache: 'no-store',
  }]);
});

test('the address may have /api or not', async () => {
  for (const [url, expected] of [
    ['https://tokens.example/api', 'https://tokens.example/api/instances/'],
    ['https://gateway.example/wix/', 'https://gateway.example/wix/api/instances/'],
    ['http://localhost:7071', 'http://localhost:7071/api/instances/'],
    ['https://tokens.example//api', 'https://tokens.example/api/instances/'],
    ['https://tokens.example//', 'https://tokens.example/api/instances/'],
  ]) {
    const service = new StubService();
    await service.client({ url }).getToken(INSTANCE);
    assert.ok(service.requests[0].url.startsWith(expected), service.requests[0].url);
  }
});

test('bad options and instance ids are refused', async () => {
  assert.throws(() => new WixOAuthClient({ url: 'http://tokens.example', key: 'k' }), TypeError);
  assert.throws(() => new WixOAuthClient({ url: 'https://tokens.example' }), TypeError);
  await assert.rejects(new StubService().client().getToken('../status'), TypeError);
});

test('a key or an Entra token that no header can hold is refused and not quoted', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  assert.throws(() => service.client({ key: 'the-key\n' }), (error) => error instanceof TypeError && !error.message.includes('the-key'));
  const client = service.client({ getEntraToken: () => 'entra\nx' });
  await assert.rejects(time.until(client.getToken(INSTANCE)), (error) => {
    assert.equal(error.code, 'unreachable');
    assert.ok(error.cause instanceof TypeError && !error.cause.message.includes('entra'), error.cause.message);
    return true;
  });
  assert.equal(service.requests.length, 0);
});

test('an Entra token that does not come within the time of a request is an outage', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  await assert.rejects(time.until(service.client({ getEntraToken: () => new Promise(() => {}) }).getToken(INSTANCE)), { code: 'unreachable' });
  assert.equal(service.requests.length, 0);
});

test('an Entra token is sent beside the key', async () => {
  const service = new StubService();
  await service.client({ getEntraToken: async () => 'entra' }).getToken(INSTANCE);
  assert.deepEqual(service.requests[0].headers, { 'x-functions-key': 'the-key', Authorization: 'Bearer entra' });
});

test('an instance id is the same in either case', async () => {
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  assert.equal(await client.getToken(INSTANCE.toUpperCase()), 'token-1');
});

test('a token is cached until 40 % of its life is left and refreshed in the background then', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  time.advance(179);
  assert.equal(await client.getToken(INSTANCE), 'token-1');
  assert.equal(service.requests.length, 1);

  const open = service.close();
  time.advance(1);
  assert.equal(await client.getToken(INSTANCE), 'token-1');
  assert.equal(await client.getToken(INSTANCE), 'token-1');
  open();
  await settle();
  assert.equal(await client.getToken(INSTANCE), 'token-2');
  assert.equal(service.requests.length, 2);
});

test('a refresh of a living token asks for one that lives longer', async (t) => {
  const time = fakeTime(t);
  for (const [life, answersAfter, askedAfter, minTtl] of [[300, 0, 180, 121], [300, 5, 180, 126], [50, 0, 30, 30], [14_400, 0, 8640, 240]]) {
    const service = new StubService();
    service.answer = () => service.newToken(life);
    const client = service.client();
    const open = service.close();
    const first = client.getToken(INSTANCE);
    await settle();
    time.advance(answersAfter);
    open();
    await first;
    time.advance(askedAfter - answersAfter);
    assert.equal(await client.getToken(INSTANCE), 'token-1');
    await settle();
    time.advance(life);
    await client.getToken(INSTANCE);
    assert.deepEqual(service.requests.map(({ url }) => new URL(url).search), ['', `?min_ttl=${minTtl}`, '']);
  }
});

test('300 callers of one stale instance share one request', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  time.advance(301);
  const open = service.close();
  const callers = Array.from({ length: 300 }, () => client.getToken(INSTANCE));
  await settle();
  open();
  assert.deepEqual(new Set(await Promise.all(callers)), new Set(['token-2']));
  assert.equal(service.requests.length, 2);
});

for (const [status, code] of [[409, 'reinstall_required'], [410, 'app_removed'], [404, 'unknown_instance']]) {
  test(`${code} is an error with that code and evicts the token`, async (t) => {
    const time = fakeTime(t);
    const service = new StubService();
    const client = service.client();
    await client.getToken(INSTANCE);
    service.answer = () => problem(status, code);
    time.advance(200);
    await client.getToken(INSTANCE);
    await settle();
    await assert.rejects(client.getToken(INSTANCE), (error) => error instanceof WixOAuthError && error.code === code && error.status === status);

    // A reinstall is seen at once.
    service.answer = () => service.newToken();
    assert.equal(await client.getToken(INSTANCE), 'token-2');
  });
}

test('a 404 without a problem is a wrong address and not an unknown instance', async () => {
  const service = new StubService();
  service.answer = () => new Response('', { status: 404 });
  await assert.rejects(service.client().getToken(INSTANCE), { name: 'WixOAuthError', code: undefined, status: 404 });
});

test('a wrong key is said at once and never quoted', async () => {
  const service = new StubService();
  service.answer = () => new Response('', { status: 401 });
  await assert.rejects(service.client().getToken(INSTANCE), (error) => error.code === 'unauthorized' && !String(error.stack).includes('the-key'));
  assert.equal(service.requests.length, 1);
});

test('a short outage is waited out', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  let failures = 2;
  service.answer = () => (failures-- > 0 ? problem(503, 'wix_unavailable', 1) : service.newToken());
  assert.equal(await time.until(service.client().getToken(INSTANCE)), 'token-1');
  assert.equal(service.requests.length, 3);
});

test('Retry-After is told and kept to by every caller', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  service.answer = () => problem(503, 'wix_unavailable', 30);
  await assert.rejects(client.getToken(INSTANCE), { code: 'wix_unavailable', retryAfter: 30 });
  service.answer = () => service.newToken();
  time.advance(29);
  await assert.rejects(client.getToken(INSTANCE), { code: 'wix_unavailable' });
  assert.equal(service.requests.length, 1);
  time.advance(1);
  assert.equal(await client.getToken(INSTANCE), 'token-1');
});

test('a refusal holds nobody back', async () => {
  const service = new StubService();
  const client = service.client();
  service.answer = () => problem(403, 'unauthorized', 30);
  await assert.rejects(client.getToken(INSTANCE), { status: 403 });
  service.answer = () => service.newToken();
  assert.equal(await client.getToken(INSTANCE), 'token-1');
});

test('a caller that is held back is told the rest of Retry-After', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  service.answer = () => problem(503, 'wix_unavailable', 30);
  await assert.rejects(client.getToken(INSTANCE), { retryAfter: 30 });
  time.advance(10);
  const held = { code: 'wix_unavailable', status: 503, retryAfter: 20, message: 'No.' };
  await assert.rejects(client.getToken(INSTANCE), held);
  await assert.rejects(client.replaceToken(INSTANCE, 'token'), held);
});

test('a living token is returned when its report by another caller finds the service down', async (t) => {
  fakeTime(t);
  const service = new StubService();
  const client = service.client();
  const token = await client.getToken(INSTANCE);
  const open = service.close();
  service.answer = () => problem(503, 'storage_unavailable', 60);
  const replacement = client.replaceToken(INSTANCE, token);
  const other = client.getToken(INSTANCE);
  open();
  await assert.rejects(replacement, { code: 'storage_unavailable' });
  assert.equal(await other, token);
});

test('no caller fails while its token lives, though the service is down for a minute', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  service.answer = () => { throw new TypeError('fetch failed'); };
  time.advance(180);
  for (let second = 0; second < 60; second++) {
    const tokens = await Promise.all(Array.from({ length: 8 }, () => client.getToken(INSTANCE)));
    assert.deepEqual(new Set(tokens), new Set(['token-1']));
    await settle();
    time.advance(1);
  }

  assert.ok(service.requests.length > 3 && service.requests.length < 20, `${service.requests.length} requests`);
  service.answer = () => service.newToken();
  time.advance(15);
  await client.getToken(INSTANCE);
  await settle();
  assert.equal(await client.getToken(INSTANCE), 'token-2');
});

test('a failed refresh of a living token is told, but not what else fails', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const told = [];
  for (const ending of [() => undefined, () => { throw new Error('of the callback'); }, () => Promise.reject(new Error('of the callback'))]) {
    const client = service.client({
      onRefreshError: (...args) => {
        told.push(args);
        return ending();
      },
    });
    service.answer = () => service.token('living');
    await client.getToken(INSTANCE);
    service.answer = () => problem(503, 'wix_unavailable', 30);
    time.advance(200);
    assert.equal(await client.getToken(INSTANCE), 'living');
    await settle();
    assert.equal(await client.getToken(INSTANCE), 'living');
    time.advance(100);
    await assert.rejects(client.getToken(INSTANCE), { code: 'wix_unavailable' });
    await settle();
  }

  assert.deepEqual(told.map(([id, error]) => [id, error.code, error.retryAfter]), Array(3).fill([INSTANCE, 'wix_unavailable', 30]));
});

test('a dead token is never returned', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  service.answer = () => { throw new TypeError('fetch failed'); };
  time.advance(300);
  await assert.rejects(time.until(client.getToken(INSTANCE)), { code: 'unreachable', status: undefined });
});

test('a service that does not answer is asked once, and given up after 15 seconds', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  service.close();
  await assert.rejects(time.until(service.client().getToken(INSTANCE)), { code: 'unreachable' });
  assert.equal(service.requests.length, 1);
});

test('a page in place of a token is an outage', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  service.answer = () => new Response('<html>');
  await assert.rejects(time.until(service.client().getToken(INSTANCE)), { code: 'unreachable' });
});

test('a clock that is set back makes neither a token nor a pause longer', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  time.setClockBack(3600);
  time.advance(300);
  assert.equal(await client.getToken(INSTANCE), 'token-2');

  time.advance(300);
  service.answer = () => problem(503, 'wix_unavailable', 30);
  await assert.rejects(client.getToken(INSTANCE), { retryAfter: 30 });
  time.setClockBack(3600);
  await assert.rejects(client.getToken(INSTANCE), { retryAfter: 30 });
  service.answer = () => service.newToken();
  time.advance(30);
  assert.equal(await client.getToken(INSTANCE), 'token-3');
});

for (const [life, left] of [[300, 29], [100, 19]]) {
  test(`a token of ${life} seconds is not handed out for its last ${left} while the service is well`, async (t) => {
    const time = fakeTime(t);
    const service = new StubService();
    service.answer = () => service.newToken(life);
    const client = service.client();
    await client.getToken(INSTANCE);
    time.advance(life - left);
    assert.equal(await client.getToken(INSTANCE), 'token-2');
  });
}

test('a token is handed out until its end while the service is away, or too slow to wait for', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await client.getToken(INSTANCE);
  time.advance(290);
  service.answer = () => { throw new TypeError('fetch failed'); };
  assert.equal(await client.getToken(INSTANCE), 'token-1');
  assert.equal(await client.getToken(INSTANCE), 'token-1');
  assert.equal(service.requests.length, 2);

  time.advance(2);
  const open = service.close();
  service.answer = () => service.newToken();
  const started = Date.now();
  assert.equal(await time.until(client.getToken(INSTANCE)), 'token-1');
  assert.ok(Date.now() - started <= 4000, `waited ${Date.now() - started} ms`);
  open();
  await settle();
  assert.equal(await client.getToken(INSTANCE), 'token-2');
});

test('a background request that an edge runtime ended holds up no caller for more than three seconds', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  service.answer = () => service.newToken(4);
  const client = service.client();
  await client.getToken(INSTANCE);
  time.advance(3);
  await lose(service, () => client.getToken(INSTANCE));
  time.advance(1);
  const started = Date.now();
  const callers = Array.from({ length: 3 }, () => client.getToken(INSTANCE));
  assert.deepEqual(await time.until(Promise.all(callers)), ['token-2', 'token-2', 'token-2']);
  assert.ok(Date.now() - started <= 3000, `waited ${Date.now() - started} ms`);
  assert.equal(service.requests.length, 3);
});

test('callers that joined a request that an edge runtime ended share a new one', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  await lose(service, () => client.getToken(INSTANCE));
  const callers = Array.from({ length: 3 }, () => client.getToken(INSTANCE));
  callers.push(client.replaceToken(INSTANCE, 'token-0'));
  const started = Date.now();
  assert.deepEqual(new Set(await time.until(Promise.all(callers))), new Set(['token-1']));
  assert.ok(Date.now() - started <= 10_000, `waited ${Date.now() - started} ms`);
});

test('a report that an edge runtime ended is made again', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  const token = await client.getToken(INSTANCE);
  await lose(service, () => client.replaceToken(INSTANCE, token));
  const callers = [client.replaceToken(INSTANCE, token), client.getToken(INSTANCE)];
  assert.deepEqual(await time.until(Promise.all(callers)), ['token-2', 'token-2']);
  assert.deepEqual(service.requests.map(({ url }) => url.includes('rejected=')), [false, true, true]);
});

test('a slow request is shared for as long as it takes', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  const open = service.close();
  const callers = [client.getToken(INSTANCE)];
  for (let second = 0; second < 14; second++) {
    await settle();
    time.advance(1);
    callers.push(client.getToken(INSTANCE));
  }

  open();
  assert.deepEqual(new Set(await Promise.all(callers)), new Set(['token-1']));
  assert.equal(service.requests.length, 1);
});

test('a signal ends the wait of its caller alone', async () => {
  const service = new StubService();
  const client = service.client();
  const open = service.close();
  const controller = new AbortController();
  const [first, second, report] = [
    client.getToken(INSTANCE, { signal: controller.signal }),
    client.getToken(INSTANCE),
    client.replaceToken(INSTANCE, 'token-0', { signal: controller.signal }),
  ];
  const aborted = Promise.all([first, report].map((each) => assert.rejects(each, { name: 'AbortError' })));
  await settle();
  controller.abort();
  await aborted;
  await assert.rejects(client.getToken(INSTANCE, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  open();
  assert.equal(await second, 'token-1');
  assert.equal(service.requests.length, 1);
});

test('a rejected token is reported once by its hash, however many callers report it', async () => {
  const service = new StubService();
  const client = service.client();
  const token = await client.getToken(INSTANCE);
  const open = service.close();
  const callers = Array.from({ length: 100 }, () => client.replaceToken(INSTANCE, token));
  const other = client.getToken(INSTANCE);
  await settle();
  open();
  assert.deepEqual(new Set(await Promise.all([...callers, other])), new Set(['token-2']));
  assert.equal(service.requests.length, 2);
  assert.equal(new URL(service.requests[1].url).searchParams.get('rejected'), createHash('sha256').update(token).digest('hex'));
  assert.equal(await client.replaceToken(INSTANCE, token), 'token-2');
  assert.equal(service.requests.length, 2);
});

test('a rejection during a refresh that brings the same token is reported after it', async (t) => {
  const time = fakeTime(t);
  const service = new StubService();
  const client = service.client();
  service.answer = ({ url }) => service.token(url.includes('rejected=') ? 'new' : 'old');
  const token = await client.getToken(INSTANCE);
  const open = service.close();
  time.advance(200);
  await client.getToken(INSTANCE);
  const replacement = client.replaceToken(INSTANCE, token);
  open();
  assert.equal(await replacement, 'new');
  assert.equal(service.requests.length, 3);
});
