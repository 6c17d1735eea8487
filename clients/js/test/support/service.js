import { mock } from 'node:test';
import { WixOAuthClient } from '../../src/index.js';

const realTimeout = setTimeout;

export const INSTANCE = '0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000002';

/** A WixOAuth service behind `fetch`: it answers as a test tells it, and records what was asked. */
export class StubService {
  requests = [];
  answer = () => this.newToken();
  gate = Promise.resolve();
  #issued = 0;

  fetch = async (url, init) => {
    this.requests.push({ url: String(url), headers: init.headers, redirect: init.redirect, cache: init.cache });
    await this.gate;
    return this.answer(this.requests.at(-1));
  };

  newToken(expires_in) {
    return this.token(`token-${++this.#issued}`, expires_in);
  }

  token(access_token, expires_in = 300) {
    return Response.json({ instance_id: INSTANCE, access_token, expires_in, expires_on: '2026-05-04T03:07:01Z' });
  }

  client(options = {}) {
    return new WixOAuthClient({ url: 'https://tokens.example', key: 'the-key', fetch: this.fetch, ...options });
  }

  /** Closes the gate; the result opens it. */
  close() {
    let open;
    this.gate = new Promise((resolve) => (open = resolve));
    return open;
  }
}

export function problem(status, code, retryAfter) {
  const headers = { 'content-type': 'application/problem+json', ...(retryAfter && { 'retry-after': String(retryAfter) }) };
  return new Response(JSON.stringify({ type: 'about:blank', title: 'No.', status, code }), { status, headers });
}

/** Time that a test moves: both clocks and timers. */
export function fakeTime(t) {
  const start = Date.parse('2026-05-04T03:00:00Z');
  let setBack = 0;
  mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval'], now: start });
  t.mock.method(performance, 'now', () => Date.now() + setBack - start);
  t.mock.method(AbortSignal, 'timeout', (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), ms);
    return controller.signal;
  });
  t.after(() => mock.timers.reset());

  // Hashes are made on other threads, which fake time does not wait for by itself.
  const digest = crypto.subtle.digest.bind(crypto.subtle);
  let hashing = 0;
  t.mock.method(crypto.subtle, 'digest', async (...args) => {
    hashing++;
    try {
      return await digest(...args);
    } finally {
      hashing--;
    }
  });
  return {
    advance: (seconds) => mock.timers.tick(seconds * 1000),
    setClockBack(seconds) {
      setBack += seconds * 1000;
      mock.timers.setTime(Date.now() - seconds * 1000);
    },
    /** Moves the clock in small steps for as long as a promise waits for it. */
    async until(promise) {
      let done = false;
      const settled = promise.finally(() => (done = true));
      settled.catch(() => {});
      for (let i = 0; i < 10_000 && !done; i++) {
        do {
          await new Promise((resolve) => realTimeout(resolve, 1));
        } while (hashing > 0);
        if (!done) {
          mock.timers.tick(50);
        }
      }

      return settled;
    },
  };
}

/** Lets what goes on in the background go on. */
export async function settle() {
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Starts a request that never settles: an edge runtime ended it, and its timers. */
export async function lose(service, start) {
  const { gate, requests: { length } } = service;
  const { setInterval } = globalThis;
  service.close();
  globalThis.setInterval = () => 0;
  start();
  while (service.requests.length === length) {
    await settle();
  }

  globalThis.setInterval = setInterval;
  service.gate = gate;
}
