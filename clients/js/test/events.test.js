import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { EventVerificationError, verifyEvent } from '../src/index.js';

const SECRET = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX';
const OTHER = 'whsec_/////////////////////////////////w==';
const BODY = JSON.stringify({
  specversion: '1.0', id: 'e-1', source: 'https://tokens.example', type: 'instance.connected', time: '2026-05-04T03:07:00Z',
  subject: '0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000002', datacontenttype: 'application/json',
  data: { instance_id: '0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000002', customer: 'ann', site: { id: 's', name: 'Ann’s Café', url: null }, reason: null },
});

/** Headers as the standardwebhooks package signs them. */
function sign({ secret = SECRET, body = BODY, id = 'e-1', at = new Date() } = {}) {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  };
}

const refused = (headers, body = BODY) => assert.rejects(verifyEvent(headers, body, SECRET), EventVerificationError);

test('a signed event is read, whatever holds its headers and body', async () => {
  const headers = sign();
  assert.deepEqual(await verifyEvent(headers, BODY, SECRET), JSON.parse(BODY));
  assert.equal((await verifyEvent(new Headers(headers), new TextEncoder().encode(BODY), SECRET)).id, 'e-1');
  assert.equal((await verifyEvent({ 'Webhook-Id': 'e-1', ...headers }, Buffer.from(BODY), SECRET)).id, 'e-1');
});

test('any of several secrets and signatures is enough', async () => {
  await verifyEvent(sign(), BODY, `${OTHER} ${SECRET}`);
  const both = sign();
  both['webhook-signature'] = `v1a,AAAA v1,%%% ${sign({ secret: OTHER })['webhook-signature']} ${both['webhook-signature']}`;
  await verifyEvent(both, BODY, SECRET);
});

test('however many signatures there are, the body is hashed once for each secret', async (t) => {
  const calls = ['sign', 'verify'].map((name) => t.mock.method(crypto.subtle, name).mock);
  const headers = sign();
  const forged = `v1,${'A'.repeat(43)}= `.repeat(300);
  await verifyEvent({ ...headers, 'webhook-signature': forged + headers['webhook-signature'] }, BODY, `${OTHER} ${SECRET}`);
  await refused({ ...headers, 'webhook-signature': forged });
  assert.equal(calls.reduce((sum, each) => sum + each.callCount(), 0), 3);
});

test('another body, id, time, secret or signature is refused', async () => {
  await refused(sign(), BODY.replace('ann', 'bob'));
  await refused({ ...sign(), 'webhook-id': 'e-2' });
  await refused({ ...sign(), 'webhook-timestamp': sign({ at: new Date(Date.now() - 2000) })['webhook-timestamp'] });
  await refused(sign({ secret: OTHER }));
  await refused({ ...sign(), 'webhook-signature': sign()['webhook-signature'].replace('v1,', 'v2,') });
  await refused({ ...sign(), 'webhook-signature': 'v1,' });
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
    await refused({ ...sign(), [name]: undefined });
  }
});

test('the time of sending lies within five minutes', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-05-04T03:07:01Z') });
  const at = (seconds) => sign({ at: new Date(Date.now() + seconds * 1000) });
  await verifyEvent(at(-300), BODY, SECRET);
  await verifyEvent(at(300), BODY, SECRET);
  await refused(at(-301));
  await refused(at(301));
  for (const timestamp of ['', '-1', '1e9', '99999999999999999999', 'now']) {
    await refused({ ...sign(), 'webhook-timestamp': timestamp });
  }
});

test('a signed body that is no event is refused', async () => {
  for (const body of ['', 'null', '[]', '{', '{"specversion":"0.3","id":"e","type":"t"}', '{"specversion":"1.0","type":"t"}']) {
    await refused(sign({ body }), body);
  }
});

test('any view of the body is read, and a parsed body is a mistake', async () => {
  const bytes = new TextEncoder().encode(BODY);
  for (const view of [bytes.buffer, new DataView(bytes.buffer), new Uint8Array([0, ...bytes]).subarray(1)]) {
    assert.equal((await verifyEvent(sign(), view, SECRET)).id, 'e-1');
  }

  for (const parsed of [JSON.parse(BODY), {}, [], null, undefined, 1]) {
    await assert.rejects(verifyEvent(sign({ body: '' }), parsed, SECRET), { name: 'TypeError', message: 'body should be the raw body.' });
  }
});

test('a bad secret is a mistake and not quoted', async () => {
  for (const secret of ['', ' ', 'whsec_', 'whsec_AAAA', 'whsec_not base64', undefined]) {
    await assert.rejects(verifyEvent(sign(), BODY, secret), (error) => error instanceof TypeError && !error.message.includes('AAAA'));
  }
});
