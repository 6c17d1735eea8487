import { EventVerificationError } from './errors.js';

const TOLERANCE_S = 300;

/**
 * Verifies an event of the service (Standard Webhooks over CloudEvents 1.0 JSON) and returns it. An event may come more
 * than once: ignore an `id` that you have handled.
 */
export async function verifyEvent(headers, body, secret) {
  const keys = secretsOf(secret);
  const bytes = bytesOf(body);
  const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => header(headers, name));
  if (!id || !timestamp || !signatures) {
    throw new EventVerificationError('A header of Standard Webhooks is missing.');
  }

  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) {
    throw new EventVerificationError('The time of sending is not within five minutes of now.');
  }

  if (!(await isSigned(keys, concat(new TextEncoder().encode(`${id}.${timestamp}.`), bytes), signatures))) {
    throw new EventVerificationError('No signature is made with this secret.');
  }

  return read(bytes);
}

// One hash of the body for each key, however many signatures a stranger sends.
async function isSigned(keys, content, signatures) {
  const given = signatures.split(' ').filter((each) => each.startsWith('v1,')).map((each) => decode(each.slice(3))).filter(Boolean);
  for (const key of keys) {
    const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    const expected = new Uint8Array(await crypto.subtle.sign('HMAC', imported, content));
    if (given.some((signature) => isEqual(signature, expected))) {
      return true;
    }
  }

  return false;
}

// In a time that does not depend on where they differ.
function isEqual(given, expected) {
  return given.length === expected.length && expected.reduce((difference, byte, i) => difference | (byte ^ given[i]), 0) === 0;
}

function read(bytes) {
  let event;
  try {
    event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new EventVerificationError('The body is not a CloudEvents 1.0 event.', { cause });
  }

  if (event?.specversion !== '1.0' || typeof event.id !== 'string' || !event.id || typeof event.type !== 'string' || !event.type) {
    throw new EventVerificationError('The body is not a CloudEvents 1.0 event.');
  }

  return event;
}

function secretsOf(secret) {
  const keys = String(secret ?? '').split(' ').filter(Boolean).map((each) => decode(each.replace(/^whsec_/, '')));
  if (keys.length === 0 || keys.some((key) => !key || key.length < 24 || key.length > 64)) {
    throw new TypeError('The secret should be whsec_ and base64 of 24 to 64 bytes.');
  }

  return keys;
}

function bytesOf(body) {
  if (typeof body === 'string') {
    return new TextEncoder().encode(body);
  }

  if (ArrayBuffer.isView(body)) {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  }

  if (body instanceof ArrayBuffer) {
    return new Uint8Array(body);
  }

  throw new TypeError('body should be the raw body.');
}

function header(headers, name) {
  if (typeof headers?.get === 'function') {
    return headers.get(name) ?? undefined;
  }

  const value = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
  return Array.isArray(value) ? value.join(' ') : value;
}

function decode(base64) {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function concat(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
