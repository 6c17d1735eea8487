import { isFinal, isTransient } from './endpoint.js';
import { WixOAuthError } from './errors.js';

/** A token is refreshed when this part of the life that it came with is left. */
const REFRESH_AT = 0.4;
const ATTEMPTS = 3;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
const LONGEST_WAIT_MS = 2_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * An edge runtime may end the request that a shared one was started for, and the shared one with it: after so long a
 * request is taken for lost.
 */
const LOST_AFTER_MS = 60_000;

/** What is cached for one instance. */
export class Instance {
  #endpoint;
  #id;
  #held;
  #pending;
  #failure;
  #failures = 0;
  #refreshNotBefore = 0;
  #askNotBefore = 0;

  constructor(endpoint, id) {
    this.#endpoint = endpoint;
    this.#id = id;
  }

  /** The cached token when it needs no refresh. */
  fresh(now) {
    return this.#held !== undefined && now < this.#held.refreshOn ? this.#held.token : undefined;
  }

  /** Whether nothing here is of use any more. */
  isIdle(now) {
    return this.#current(now) === undefined && this.#alive(now) === undefined && now >= this.#askNotBefore;
  }

  async get() {
    const now = Date.now();
    const pending = this.#current(now);
    const alive = pending?.rejected !== undefined && pending.rejected === this.#held?.token ? undefined : this.#alive(now);
    if (alive !== undefined) {
      if (!pending && this.fresh(now) === undefined && now >= this.#refreshNotBefore) {
        this.#start(now).catch(() => {});
      }

      return alive;
    }

    if (!pending && now < this.#askNotBefore) {
      throw this.#heldBack(now);
    }

    try {
      return await (pending?.promise ?? this.#start(now));
    } catch (error) {
      // The request may be another caller's report of the token, which is better than nothing.
      const held = isTransient(error) ? this.#alive(Date.now()) : undefined;
      if (held === undefined) {
        throw error;
      }

      return held;
    }
  }

  async replace(rejected) {
    const now = Date.now();
    const alive = this.#alive(now);
    if (alive !== undefined && alive !== rejected) {
      return alive;
    }

    const pending = this.#current(now);
    if (pending?.rejected === rejected) {
      return pending.promise;
    }

    if (!pending && now < this.#askNotBefore) {
      throw this.#heldBack(now);
    }

    if (this.#held?.token === rejected) {
      // Other callers wait for the replacement too; if there is none, the token is better than nothing.
      this.#held.refreshOn = 0;
    }

    return this.#start(now, rejected, pending?.promise);
  }

  /** The last failure, with what is left of its Retry-After. */
  #heldBack(now) {
    const { message, code, status, cause } = this.#failure;
    return new WixOAuthError(message, { code, status, retryAfter: Math.ceil((this.#askNotBefore - now) / 1000), cause });
  }

  #alive(now) {
    return this.#held !== undefined && now < this.#held.deadOn ? this.#held.token : undefined;
  }

  #current(now) {
    return this.#pending && now - this.#pending.startedAt < LOST_AFTER_MS ? this.#pending : undefined;
  }

  #start(startedAt, rejected, previous) {
    const pending = { startedAt, rejected };
    this.#pending = pending;
    pending.promise = this.#request(rejected, previous).finally(() => {
      if (this.#pending === pending) {
        this.#pending = undefined;
      }
    });
    return pending.promise;
  }

  async #request(rejected, previous) {
    if (previous) {
      await previous.catch(() => {});
      const alive = this.#alive(Date.now());
      if (alive !== undefined && alive !== rejected) {
        return alive;
      }
    }

    for (let attempt = 0; ; attempt++) {
      const startedAt = Date.now();
      try {
        const { access_token: token, expires_in: seconds } = await this.#endpoint.get(this.#id, rejected);
        const life = Math.min(seconds, 86_400) * 1000;
        this.#held = { token, refreshOn: startedAt + life * (1 - REFRESH_AT), deadOn: startedAt + life };
        this.#failure = undefined;
        this.#failures = this.#refreshNotBefore = this.#askNotBefore = 0;
        return token;
      } catch (error) {
        const now = Date.now();
        this.#failed(error, now);
        const wait = error.retryAfter === undefined ? pause(attempt) : error.retryAfter * 1000;
        if (!isTransient(error) || attempt + 1 >= ATTEMPTS || wait > LONGEST_WAIT_MS || this.#alive(now) !== undefined) {
          throw error;
        }

        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  #failed(error, now) {
    this.#failure = error;
    if (isFinal(error)) {
      this.#held = undefined;
      this.#failures = this.#refreshNotBefore = this.#askNotBefore = 0;
      return;
    }

    const asked = Math.min((error.retryAfter ?? 0) * 1000, LONGEST_RETRY_AFTER_MS);
    this.#refreshNotBefore = now + Math.max(asked, pause(this.#failures++));
    this.#askNotBefore = now + asked;
  }
}

function pause(failures) {
  return Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS) * (0.75 + 0.5 * Math.random());
}
