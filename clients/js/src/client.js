import { isTransient, TokenEndpoint } from './endpoint.js';
import { Instance } from './instance.js';
import { readClocks } from './time.js';

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const EVICT_EVERY_MS = 60_000;

/** Access tokens of app instances, from memory or from the WixOAuth service. Make one for each process. */
export class WixOAuthClient {
  #endpoint;
  #fetch;
  #instances = new Map();
  #evictedAt = performance.now();

  constructor(options) {
    this.#endpoint = new TokenEndpoint(options);
    this.#fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
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
    // A Request is sent again from its copy; any other body is read again, but for a stream. Node's own streams are async
    // iterables.
    const isStream = init?.body instanceof ReadableStream || init?.body?.[Symbol.asyncIterator] !== undefined;
    const again = input instanceof Request && !init?.body ? input.clone() : input;
    const request = new Request(input, init);
    const url = new URL(request.url);
    if (url.protocol !== 'https:' && !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) {
      throw new TypeError('An access token is sent over https only, or to localhost.');
    }

    const { signal } = request;
    const token = await this.getToken(instanceId, { signal });
    const response = await this.#send(request, token);
    if (response.status !== 401) {
      return response;
    }

    const replacement = await this.#replacement(instanceId, token, signal);
    if (replacement === undefined || isStream) {
      return response;
    }

    await response.body?.cancel();
    return this.#send(new Request(again, init), replacement);
  }

  #send(request, token) {
    request.headers.set('Authorization', token);
    return this.#fetch(request);
  }

  async #replacement(instanceId, token, signal) {
    try {
      const replacement = await this.replaceToken(instanceId, token, { signal });
      return replacement === token ? undefined : replacement;
    } catch (error) {
      // While the service is away, Wix's own answer says more to the caller.
      if (isTransient(error)) {
        return undefined;
      }

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
      instance = new Instance(this.#endpoint, key);
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
