import { copyOf } from './errors.js';
import { after, msUntil, PAST, readClocks, waitFor } from './time.js';

/**
 * An edge runtime may end the request that a shared one was started for, and with it the shared one and its timers. Without
 * a heartbeat for so long it is taken for lost.
 */
const LOST_AFTER_MS = 3_000;
const HEARTBEAT_MS = 1_000;

/** A request for a token that callers share. None of them can end it. */
export class SharedRequest {
  #outcome;
  #lostOn;

  constructor(now, rejected, run) {
    this.rejected = rejected;
    this.#lostOn = after(now, LOST_AFTER_MS);
    const heartbeat = setInterval(() => (this.#lostOn = after(readClocks(), LOST_AFTER_MS)), HEARTBEAT_MS);
    heartbeat.unref?.();
    this.#outcome = run().then((token) => ({ token }), (error) => ({ error })).finally(() => {
      clearInterval(heartbeat);
      this.#lostOn = PAST;
    });
  }

  /** Whether it is settled or lost. */
  isOver(now) {
    return msUntil(this.#lostOn, now) <= 0;
  }

  /** The token that it brings; undefined when it is lost. */
  async token(signal) {
    for (let ms; (ms = msUntil(this.#lostOn, readClocks())) > 0;) {
      const outcome = await waitFor(this.#outcome, { ms, signal }).catch(() => {
        signal?.throwIfAborted();
        // workerd refuses to wait for what a request that has ended would have brought.
        this.#lostOn = PAST;
      });
      if (outcome?.error) {
        throw copyOf(outcome.error);
      }

      if (outcome) {
        return outcome.token;
      }
    }

    return undefined;
  }
}
