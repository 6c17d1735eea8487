/** A moment by two clocks: the monotonic one may stand still while the machine sleeps, and the other one may be set back. */
export function readClocks() {
  return { wall: Date.now(), monotonic: performance.now() };
}

export const PAST = { wall: 0, monotonic: 0 };

export function after({ wall, monotonic }, ms) {
  return { wall: wall + ms, monotonic: monotonic + ms };
}

/** Whichever clock reaches the moment first counts. */
export function msUntil(moment, now) {
  return Math.min(moment.wall - now.wall, moment.monotonic - now.monotonic);
}

/** Waits for a promise until `signal` aborts, or for `ms` at most: then the result is undefined. What is waited for goes on. */
export async function waitFor(promise, { ms, signal } = {}) {
  let timer;
  let abort;
  const end = new Promise((resolve, reject) => {
    if (ms !== undefined) {
      timer = setTimeout(resolve, ms);
      timer.unref?.();
    }

    abort = () => reject(signal.reason);
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) {
      abort();
    }
  });
  try {
    return await Promise.race([promise, end]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
