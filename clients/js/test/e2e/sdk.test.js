// Wix's official SDK judges the pretend Wix: its requests to Wix are led there.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { AppStrategy, createClient } from '@wix/sdk';
import { SignJWT } from 'jose';
import { APP_ID, APP_SECRET, KEY, Program } from './program.js';

const REAL = 'https://www.wixapis.com';
const realFetch = globalThis.fetch;
let program;

before(async () => {
  program = await Program.start();
  globalThis.fetch = (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    return realFetch(url.startsWith(REAL) ? program.wix + url.slice(REAL.length) : input, init);
  };
});

after(async () => {
  globalThis.fetch = realFetch;
  await program?.stop();
});

const strategy = (options) => AppStrategy({ appId: APP_ID, appSecret: APP_SECRET, ...options });

/** Asks Wix whose token the headers hold. */
async function ownerOf({ headers }) {
  const response = await realFetch(`${program.wix}/apps/v1/instance`, { headers });
  assert.equal(response.status, 200);
  return (await response.json()).instance.instanceId;
}

async function callback() {
  const { instanceId, code } = await program.control('install', { name: 'Judged' });
  return { instanceId, url: `https://app.example/redirect?${new URLSearchParams({ code, state: 's', instanceId })}` };
}

test('handleOAuthCallback exchanges a code', async () => {
  const { instanceId, url } = await callback();
  const auth = strategy({});
  const tokens = await auth.handleOAuthCallback(url, { state: 's' });
  assert.equal(tokens.instanceId, instanceId);
  assert.equal(await ownerOf({ headers: { Authorization: tokens.accessToken } }), instanceId);

  // A code is good once.
  await assert.rejects(auth.handleOAuthCallback(url, { state: 's' }), /Failed to exchange authorization code/);
});

test('getAuthHeaders works by refresh token, again and again', async () => {
  const { instanceId, url } = await callback();
  const { refreshToken } = await strategy({}).handleOAuthCallback(url, { state: 's' });
  const auth = strategy({ refreshToken });
  assert.equal(await ownerOf(await auth.getAuthHeaders()), instanceId);
  assert.equal(await ownerOf(await auth.getAuthHeaders()), instanceId);
  await program.control('reject', { instanceId });
  await assert.rejects(auth.getAuthHeaders(), /Failed to exchange refresh token/);
});

test('getAuthHeaders works by instance id, and its token is kept for expires_in', async () => {
  const { instanceId } = await callback();
  const auth = strategy({ instanceId });
  const headers = await auth.getAuthHeaders();
  assert.equal(await ownerOf(headers), instanceId);
  assert.deepEqual(await auth.getAuthHeaders(), headers);
  await assert.rejects(strategy({ instanceId: APP_ID }).getAuthHeaders(), /Failed to exchange instance ID/);
});

for (const tokenInfoHasRealTypes of [false, true]) {
  test(`getTokenInfo tells whose token it is${tokenInfoHasRealTypes ? ', with real types' : ''}`, async () => {
    await program.control('', { tokenInfoHasRealTypes });
    const { instanceId, url } = await callback();
    const auth = strategy({});
    const { accessToken, refreshToken } = await auth.handleOAuthCallback(url, { state: 's' });
    for (const each of [auth, strategy({ refreshToken }), strategy({ accessToken })]) {
      const info = await each.getTokenInfo();
      assert.deepEqual([String(info.active), info.clientId, info.instanceId], ['true', APP_ID, instanceId]);
    }

    const { exp, iat } = await strategy({ accessToken }).getTokenInfo();
    assert.ok(exp - iat === 300 && Math.abs(iat - Date.now() / 1000) < 60);
    const elevated = await strategy({ accessToken }).elevated();
    assert.equal(await ownerOf(await elevated.getAuthHeaders()), instanceId);

    await program.control('remove', { instanceId });
    for (const token of [{ accessToken }, { refreshToken }]) {
      assert.equal(String((await strategy(token).getTokenInfo()).active), 'false');
    }
  });
}

for (const newerWebhooks of [false, true]) {
  test(`webhooks.process takes what the pretend Wix signs${newerWebhooks ? ', in the newer form' : ''}`, async () => {
    await program.control('', { newerWebhooks });
    const { webhookPublicKeyPem } = await program.control();
    const { instanceId } = await callback();
    const clone = await program.control('clone', { instanceId });

    // The key as a dashboard shows it: as PEM, and as base64 of that.
    for (const publicKey of [webhookPublicKeyPem, btoa(webhookPublicKeyPem)]) {
      const client = createClient({ auth: strategy({ publicKey }) });
      const seen = [];
      client.use(client.webhooks.apps.AppInstalled)((event) => { seen.push(event); });
      client.use(client.webhooks.apps.AppRemoved)((event) => { seen.push(event); });
      for (const [eventType, id] of [['AppInstalled', instanceId], ['AppInstalled', clone.instanceId], ['AppRemoved', instanceId]]) {
        const { jwt } = await program.control('webhook', { eventType, instanceId: id });
        const processed = await client.webhooks.process(jwt);
        assert.deepEqual([processed.eventType, processed.instanceId, processed.payload.appId], [eventType, id, APP_ID]);
        assert.equal(processed.identity !== undefined, newerWebhooks);
      }

      assert.deepEqual(seen.map((event) => event.metadata.instanceId), [instanceId, clone.instanceId, instanceId]);
      assert.equal(seen[1].data.originInstanceId, instanceId);
    }
  });
}

test('webhooks that pass the SDK\'s check pass ours, and what it refuses is refused', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  const service = await Program.start({ Wix__WebhookPublicKey: btoa(pem) });
  t.after(() => service.stop());
  const client = createClient({ auth: strategy({ publicKey: pem }) });

  const now = Math.floor(Date.now() / 1000);
  const sign = (data, { key = privateKey, header = {}, claims = {} } = {}) =>
    new SignJWT({ data: JSON.stringify(data), iat: now, exp: now + 41 * 86_400, ...claims })
      .setProtectedHeader({ alg: 'RS256', ...header }).sign(key);
  const installed = (more = {}) => ({
    data: JSON.stringify({ appId: APP_ID }), instanceId: crypto.randomUUID(), eventType: 'AppInstalled', ...more,
  });
  const post = async (jwt) => (await realFetch(`${service.url}/api/webhooks`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: jwt })).status;
  const instance = async (id) => (await realFetch(`${service.url}/api/instances/${id}`, { headers: { 'x-functions-key': KEY } })).json();

  for (const [name, options, more] of [
    ['plain', {}, {}],
    ['with kid and typ', { header: { kid: 'k1', typ: 'JWT' } }, {}],
    ['with issuer, audience and other claims', { claims: { iss: 'wix.com', aud: APP_ID, jti: 'j', nbf: now - 60 } }, {}],
    ['with identity and account', {}, { identity: JSON.stringify({ identityType: 'WIX_USER', wixUserId: 'u' }), accountInfo: { siteId: 's' }, id: 'e' }],
    ['of a clone', {}, { data: JSON.stringify({ appId: APP_ID, originInstanceId: crypto.randomUUID() }) }],
    ['about to end', { claims: { exp: now + 30 } }, {}],
  ]) {
    const event = installed(more);
    const jwt = await sign(event, options);
    assert.equal((await client.webhooks.process(jwt)).instanceId, event.instanceId, name);
    assert.equal(await post(jwt), 200, name);
    assert.equal((await instance(event.instanceId)).status, 'active', name);

    const removed = await sign({ ...event, eventType: 'AppRemoved' }, { claims: { iat: now + 1 } });
    await client.webhooks.process(removed);
    assert.equal(await post(removed), 200, name);
    assert.equal((await instance(event.instanceId)).status, 'removed', name);
  }

  for (const [name, jwt] of [
    ['another key', await sign(installed(), { key: other.privateKey })],
    ['over', await sign(installed(), { claims: { iat: now - 7_200, exp: now - 3_600 } })],
    ['changed', (await sign(installed())).replace(/\.[^.]+\./, `.${btoa(JSON.stringify({ data: '{}' })).replaceAll('=', '')}.`)],
  ]) {
    await assert.rejects(client.webhooks.process(jwt), undefined, name);
    assert.equal(await post(jwt), 401, name);
  }
});
