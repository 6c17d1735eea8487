/** The service gave no token. Decide by `code`. */
export class WixOAuthError extends Error {
  name = 'WixOAuthError';

  constructor(message, { code, status, retryAfter, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** An event is not signed by the service, too old, or malformed. */
export class EventVerificationError extends Error {
  name = 'EventVerificationError';
}
