import { isFinal, isTransient } from './endpoint.js';
import { copyOf } from './errors.js';
import { SharedRequest } from './shared-request.js';
import { after, msUntil, PAST, readClocks, waitFor } from './time.js';

/** A token is refreshed when this part of the life that it came with is left. */
const REFRESH_AT = 0.4;

/** The shortest life handed out: the lesser of 30 s and a fifth of the life. With less left, callers wait for the refresh. */
const SHORTEST_LIFE_MS = 30_000;
const SHORTEST_LIFE = 0.2;
const LONGEST_WAIT_WITH_TOKEN_MS = 3_000;

const ATTEMPTS = 3;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
const LONGEST_WAIT_MS = 2_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/** No attempt begins later than this after the first: one that the service lets hang takes as long. */
const RETRY_WITHIN_MS = 15_000;

/** What the service demands by itself, and the most that it takes. */
const LEAST_MIN_TTL_S = 30;
const MOST_MIN_TTL_S = 240;

/** What is cached for one instance. */
export class Instance {
  #endpoint;
  #id;
  #onRefreshError;
  #held;
  #pending;
  #failure;
  #failures = 0;
  #refreshNotBefore = PAST;
  #askNotBefore = PAST;

  constructor(endpoint, id, onRefreshError) {
    this.#endpoint = endpoint;
    this.#id = id;
    this.#onRefreshError = onRefreshError;
  }

  /** The cached token when it needs no refresh. */
  fresh(now) {
    return this.#held !== undefined && msUntil(this.#held.refreshOn, now) > 0 ? this.#held.token : undefined;
  }

  /** Whether nothing here is of use any more. */
  isIdle(now) {
    return this.#current(now) === undefined && this.#alive(now) === undefined && msUntil(this.#askNotBefore, now) <= 0;
  }

  async get(signal) {
    signal?.throwIfAborted();
    const now = readClocks();
    const pending = this.#current(now);
    const isReported = pending?.rejected !== undefined && pending.rejected === this.#held?.token;
    const alive = isReported ? undefined : this.#alive(now);
    const isPaused = msUntil(this.#refreshNotBefore, now) > 0;
    if (alive !== undefined && (isPaused || msUntil(this.#held.shortOn, now) > 0)) {
      if (!pending && !isPaused && this.fresh(now) === undefined) {
        this.#start(now);
      }

      return alive;
    }

    if (alive === undefined && !pending) {
      this.#throwIfHeldBack(now);
    }

    // However slow the service is, a living token is returned while it lives.
    const ms = alive === undefined ? undefined : Math.min(LONGEST_WAIT_WITH_TOKEN_MS, msUntil(this.#held.deadOn, now) / 2);
    try {
      return (await waitFor((pending ?? this.#start(now)).token(signal), { ms })) ?? alive ?? (await this.get(signal));
    } catch (error) {
      // The request may be another caller's report of the token, which is better than nothing.
      const held = isTransient(error) || (alive !== undefined && !isFinal(error)) ? this.#alive(readClocks()) : undefined;
      if (held === undefined) {
        throw error;
      }

      return held;
    }
  }

  async replace(rejected, signal) {
    signal?.throwIfAborted();
    const now = readClocks();
    const alive = this.#alive(now);
    if (alive !== undefined && alive !== rejected) {
      return alive;
    }

    let pending = this.#current(now);
    if (pending?.rejected !== rejected) {
      if (!pending) {
        this.#throwIfHeldBack(now);
      }

      if (this.#held?.token === rejected) {
        // Other callers wait for the replacement too; if there is none, the token is better than nothing.
        this.#held.refreshOn = now;
      }

      pending = this.#start(now, rejected, pending);
    }

    return (await pending.token(signal)) ?? this.replace(rejected, signal);
  }

  /** Throws the last failure, with what is left of its Retry-After. */
  #throwIfHeldBack(now) {
    const ms = msUntil(this.#askNotBefore, now);
    if (ms > 0) {
      throw copyOf(this.#failure, Math.ceil(ms / 1000));
    }
  }

  #alive(now) {
    return this.#held !== undefined && msUntil(this.#held.deadOn, now) > 0 ? this.#held.token : undefined;
  }

  /** How long a token has to live to be another than the living one, in seconds; undefined where there is none. */
  #minTtl(now) {
    return this.#alive(now) === undefined
      ? undefined
      : Math.min(Math.max(Math.ceil(msUntil(this.#held.endsBy, now) / 1000), LEAST_MIN_TTL_S), MOST_MIN_TTL_S);
  }

  #current(now) {
    return this.#pending?.isOver(now) === false ? this.#pending : undefined;
  }

  #start(now, rejected, previous) {
    this.#pending = new SharedRequest(now, rejected, () => this.#request(rejected, previous));
    return this.#pending;
  }

  async #request(rejected, previous) {
    if (previous) {
      await previous.token().catch(() => {});
      const alive = this.#alive(readClocks());
      if (alive !== undefined && alive !== rejected) {
        return alive;
      }
    }

    const giveUpOn = after(readClocks(), RETRY_WITHIN_MS);
    for (let attempt = 0; ; attempt++) {
      const startedAt = readClocks();
      try {
        const minTtl = rejected === undefined ? this.#minTtl(startedAt) : undefined;
        const { access_token: token, expires_in: seconds } = await this.#endpoint.get(this.#id, { rejected, minTtl });
        const life = Math.min(seconds, 86_400) * 1000;
        this.#held = {
          token,
          refreshOn: after(startedAt, life * (1 - REFRESH_AT)),
          shortOn: after(startedAt, life - Math.min(SHORTEST_LIFE_MS, life * SHORTEST_LIFE)),
          deadOn: after(startedAt, life),
          // expires_in is rounded down, and the answer took its time: until then the service may know the token as alive.
          endsBy: after(readClocks(), life + 1000),
        };
        this.#failure = undefined;
        this.#resume();
        return token;
      } catch (error) {
        const now = readClocks();
        this.#failed(error, now);
        const wait = error.retryAfter === undefined ? pause(attempt) : error.retryAfter * 1000;
        if (this.#alive(now) !== undefined) {
          this.#notify(error);
          throw error;
        }

        if (!isTransient(error) || attempt + 1 >= ATTEMPTS || wait > LONGEST_WAIT_MS || msUntil(giveUpOn, now) <= wait) {
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
      this.#resume();
      return;
    }

    const asked = isTransient(error) ? Math.min((error.retryAfter ?? 0) * 1000, LONGEST_RETRY_AFTER_MS) : 0;
    this.#refreshNotBefore = after(now, Math.max(asked, pause(this.#failures++)));
    this.#askNotBefore = after(now, asked);
  }

  /** Callers go on with the living token and see nothing of the failure. */
  #notify(error) {
    Promise.resolve().then(() => this.#onRefreshError?.(this.#id, copyOf(error))).catch(() => {});
  }

  #resume() {
    this.#failures = 0;
    this.#refreshNotBefore = this.#askNotBefore = PAST;
  }
}

function pause(failures) {
  return Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS) * (0.75 + 0.5 * Math.random());
}
