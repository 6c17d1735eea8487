/** The service gave no token. Decide by `code`. */
export class WixOAuthError extends Error {
  name = 'WixOAuthError';

  constructor(message, { code, status, retryAfter, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    // Modules of @wix/sdk assign a code and a status of their own to every error that passes through them.
    for (const [name, value] of Object.entries({ code, status })) {
      Object.defineProperty(this, name, { get: () => value, set() {}, enumerable: true });
    }

    this.retryAfter = retryAfter;
  }

  /** Node shows no values of accessors by itself. */
  [Symbol.for('nodejs.util.inspect.custom')](depth, options, inspect) {
    return inspect(this, { ...options, getters: true, customInspect: false });
  }
}

/** The error for one more caller, who may change it. */
export function copyOf(error, retryAfter = error.retryAfter) {
  if (!(error instanceof WixOAuthError)) {
    return error;
  }

  const { message, code, status, cause } = error;
  return new WixOAuthError(message, { code, status, retryAfter, cause });
}

/** An event is not signed by the service, too old, or malformed. */
export class EventVerificationError extends Error {
  name = 'EventVerificationError';
}
