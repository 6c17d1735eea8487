import { isTransient, TokenEndpoint } from './endpoint.js';
import { Instance } from './instance.js';
import { readClocks } from './time.js';

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const EVICT_EVERY_MS = 60_000;

/** Access tokens of app instances, from memory or from the WixOAuth service. Make one for each process. */
export class WixOAuthClient {
  #endpoint;
  #fetch;
  #onRefreshError;
  #instances = new Map();
  #evictedAt = performance.now();

  constructor(options) {
    this.#endpoint = new TokenEndpoint(options);
    this.#fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
    this.#onRefreshError = options.onRefreshError;
  }

  async getToken(instanceId, { signal } = {}) {
    return this.#instances.get(instanceId)?.fresh(readClocks()) ?? this.#instance(instanceId).get(signal);
  }

  async replaceToken(instanceId, rejectedToken, { signal } = {}) {
    return this.#instance(instanceId).replace(rejectedToken, signal);
  }

  auth(instanceId) {
    this.#instance(instanceId);
    return { getAuthHeaders: async () => ({ headers: { Authorization: await this.getToken(instanceId) } }) };
  }

  async fetch(instanceId, input, init) {
    // Not by the classes of this runtime: another library's fetch has its own.
    const url = new URL(input.url ?? input);
    if (url.protocol !== 'https:' && !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) {
      throw new TypeError('An access token is sent over https only, or to localhost.');
    }

    // A Request is sent again from its copy; any other body is read again, but for a stream.
    const again = init?.body || !input.url ? input : input.clone();
    const signal = init?.signal ?? input.signal;
    const token = await this.getToken(instanceId, { signal });
    const response = await this.#send(input, init, token);

    // A redirect led elsewhere: that 401 says nothing about the token.
    if (response.status !== 401 || (response.redirected && new URL(response.url).origin !== url.origin)) {
      return response;
    }

    const replacement = await this.#replacement(response, instanceId, token, signal);
    if (replacement === undefined || isStream(init?.body)) {
      return response;
    }

    discard(response);
    return this.#send(again, init, replacement);
  }

  #send(input, init, token) {
    const headers = new Headers(init?.headers ?? input.headers);
    headers.set('Authorization', token);
    return this.#fetch(input, { ...init, headers });
  }

  async #replacement(response, instanceId, token, signal) {
    try {
      const replacement = await this.replaceToken(instanceId, token, { signal });
      return replacement === token ? undefined : replacement;
    } catch (error) {
      // While the service is away, Wix's own answer says more to the caller.
      if (isTransient(error)) {
        return undefined;
      }

      discard(response);
      throw error;
    }
  }

  #instance(id) {
    if (typeof id !== 'string' || !ID.test(id)) {
      throw new TypeError('An instance id is a GUID with hyphens.');
    }

    const key = id.toLowerCase();
    let instance = this.#instances.get(key);
    if (!instance) {
      this.#evict();
      instance = new Instance(this.#endpoint, key, this.#onRefreshError);
      this.#instances.set(key, instance);
    }

    return instance;
  }

  // Memory follows the instances in use.
  #evict() {
    const now = readClocks();
    if (now.monotonic - this.#evictedAt < EVICT_EVERY_MS) {
      return;
    }

    this.#evictedAt = now.monotonic;
    for (const [id, instance] of this.#instances) {
      if (instance.isIdle(now)) {
        this.#instances.delete(id);
      }
    }
  }
}

/** Of the web, of Node or of an older library. */
function isStream(body) {
  return ['getReader', 'pipe', Symbol.asyncIterator].some((name) => typeof body?.[name] === 'function');
}

/** Frees the connection, with what every library's response can do. Nobody waits for it. */
function discard(response) {
  response.arrayBuffer().catch(() => {});
}
