import { WixOAuthError } from './errors.js';
import { waitFor } from './time.js';

const TIMEOUT_MS = 15_000;
const TRANSIENT = new Set([408, 429]);

/** The service's GetToken over HTTP: one request, and its answer as a value or a WixOAuthError. */
export class TokenEndpoint {
  #base;
  #key;
  #getEntraToken;
  #fetch;

  constructor({ url, key, getEntraToken, fetch }) {
    const base = new URL(url);
    const local = ['localhost', '127.0.0.1', '[::1]'].includes(base.hostname);
    if (base.protocol !== 'https:' && !(base.protocol === 'http:' && local)) {
      throw new TypeError('url must be https; http is accepted on localhost only.');
    }

    if (!key && !getEntraToken) {
      throw new TypeError('key or getEntraToken is required.');
    }

    // Relative to an address, `//api/` would name a host.
    const path = base.pathname.replace(/^\/+/, '/').replace(/\/+$/, '');
    base.pathname = path.toLowerCase().endsWith('/api') ? `${path}/` : `${path}/api/`;
    this.#base = base;
    this.#key = key && sendable(key, 'key');
    this.#getEntraToken = getEntraToken;
    this.#fetch = fetch ?? ((...args) => globalThis.fetch(...args));
  }

  /** @returns {Promise<{ access_token: string, expires_in: number }>} */
  async get(instanceId, { rejected, minTtl } = {}) {
    const url = new URL(`instances/${encodeURIComponent(instanceId)}/token`, this.#base);
    if (rejected !== undefined) {
      url.searchParams.set('rejected', await sha256(rejected));
    }

    if (minTtl !== undefined) {
      url.searchParams.set('min_ttl', minTtl);
    }

    let response;
    let body;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      [response, body] = await waitFor(this.#send(url, signal), { signal });
    } catch (cause) {
      throw new WixOAuthError('The WixOAuth service cannot be reached.', { code: 'unreachable', cause });
    }

    const json = parse(body);
    if (response.status !== 200) {
      throw failure(response, json);
    }

    if (!json?.access_token || !(json.expires_in >= 0)) {
      throw new WixOAuthError("The WixOAuth service's answer is not a token.", { code: 'unreachable', status: 200 });
    }

    return json;
  }

  async #send(url, signal) {
    const headers = {};
    if (this.#key) {
      headers['x-functions-key'] = this.#key;
    }

    if (this.#getEntraToken) {
      headers.Authorization = `Bearer ${sendable(await this.#getEntraToken(), 'The Entra token')}`;
    }

    // A redirect would take the key along, and Next.js 14 would cache the token.
    const response = await this.#fetch(url.href, { headers, redirect: 'manual', cache: 'no-store', signal });
    return [response, await response.text()];
  }
}

/** Whether it may succeed later. */
export function isTransient(error) {
  return error instanceof WixOAuthError && (error.code === 'unreachable' || error.status >= 500 || TRANSIENT.has(error.status));
}

/** Whether the installation is at its end: only a person can help. */
export function isFinal(error) {
  return error instanceof WixOAuthError && ['reinstall_required', 'app_removed', 'unknown_instance'].includes(error.code);
}

// The error of fetch would quote it.
function sendable(value, name) {
  if (!/^[\x20-\x7e]*$/.test(value)) {
    throw new TypeError(`${name} has a character that a header cannot hold.`);
  }

  return value;
}

function failure(response, json) {
  const { status } = response;
  const problem = response.headers.get('content-type')?.startsWith('application/problem+json') ? json : undefined;
  const code = problem?.code ?? (status === 401 || status === 403 ? 'unauthorized' : undefined);
  const message = problem?.title ?? (code === 'unauthorized'
    ? 'The WixOAuth service refuses the function key or the Entra token.'
    : `The WixOAuth service answered ${status}.`);
  return new WixOAuthError(message, { code, status, retryAfter: seconds(response.headers.get('retry-after')) });
}

function seconds(retryAfter) {
  if (!retryAfter) {
    return undefined;
  }

  const value = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return value >= 0 ? value : undefined;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function sha256(text) {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
