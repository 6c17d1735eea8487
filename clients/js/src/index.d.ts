/** Where the WixOAuth service is and how to sign in to it. */
export interface WixOAuthClientOptions {
  /** The service's address, with or without `/api`. https; http is accepted on localhost only. */
  url: string | URL;
  /** The function key, sent in the header `x-functions-key`. Required unless `getEntraToken` is given. */
  key?: string;
  /** Returns an Entra ID access token for a service with Easy Auth in front. Called once for each request: let it cache. */
  getEntraToken?: () => string | Promise<string>;
  /** Used in place of the global `fetch`. Given the arguments of `WixOAuthClient.fetch`, with the token among `headers`. */
  fetch?: typeof globalThis.fetch;
  /** Called when a token could not be refreshed while it still lives, and callers go on with it. What it throws is ignored. */
  onRefreshError?: (instanceId: string, error: WixOAuthError) => void | Promise<void>;
}

/** An authentication strategy that `createClient({ auth })` of `@wix/sdk` takes. */
export interface WixAuthStrategy {
  getAuthHeaders(): Promise<{ headers: { Authorization: string } }>;
}

/** How long a caller waits. */
export interface WixOAuthWaitOptions {
  /** Ends the wait of this caller. A request that others share goes on. */
  signal?: AbortSignal;
}

/** Access tokens of app instances, from memory or from the WixOAuth service. Make one for each process. */
export declare class WixOAuthClient {
  /** @throws {TypeError} An option is missing or malformed. */
  constructor(options: WixOAuthClientOptions);

  /**
   * Returns an access token that is alive, for Wix's `Authorization` header without `Bearer`. A token is cached until 40 %
   * of its life is left and refreshed in the background then. Callers wait for the refresh when less than 30 seconds, or a
   * fifth of the life, is left. Concurrent callers share one request. While the service is away a cached token is returned
   * for as long as it lives.
   * @param instanceId What Wix calls `instanceId`: a GUID.
   * @throws {WixOAuthError}
   */
  getToken(instanceId: string, options?: WixOAuthWaitOptions): Promise<string>;

  /** Reports a token that Wix refused with 401 and returns its replacement. One report is sent, however many callers make it. */
  replaceToken(instanceId: string, rejectedToken: string, options?: WixOAuthWaitOptions): Promise<string>;

  /** The instance's strategy for `createClient({ auth })` of `@wix/sdk`. */
  auth(instanceId: string): WixAuthStrategy;

  /**
   * As the global `fetch`, with the instance's access token. When Wix answers 401 the token is reported and the request is
   * sent once more. A body given as a stream is not sent again; the body of a `Request` is kept in memory for that. A 401
   * after a redirect to another origin is returned as it is.
   */
  fetch(instanceId: string, input: string | URL | Request, init?: RequestInit): Promise<Response>;
}

/** The codes of problems, as the service's HTTP API documents them, and `unreachable` when there was no usable answer. */
export type WixOAuthErrorCode =
  | 'invalid_request' | 'unauthorized' | 'unknown_instance' | 'reinstall_required' | 'app_removed' | 'internal_error'
  | 'storage_unavailable' | 'wix_unavailable' | 'unreachable' | (string & {});

/** The service gave no token. Decide by `code`. It and `status` stay when modules of `@wix/sdk` change the error. */
export declare class WixOAuthError extends Error {
  constructor(message: string, details?: { code?: string; status?: number; retryAfter?: number; cause?: unknown });
  readonly name: 'WixOAuthError';
  readonly code?: WixOAuthErrorCode;
  /** The HTTP status; none when there was no answer. */
  readonly status?: number;
  /** Seconds to wait, where the service named them. */
  readonly retryAfter?: number;
}

/** An event of the service: CloudEvents 1.0. It holds no secret. */
export interface WixOAuthEvent {
  specversion: '1.0';
  /** The same each time the event is sent. */
  id: string;
  /** The public address of the service that sent it. */
  source: string;
  type:
    | 'instance.connected' | 'instance.reconnected' | 'instance.removed' | 'instance.reinstall_required'
    | 'instance.recovered' | 'instance.setup_completed' | 'instance.customer_conflict' | (string & {});
  /** RFC 3339, UTC. */
  time: string;
  /** The instance id. */
  subject: string;
  datacontenttype: 'application/json';
  data: {
    instance_id: string;
    customer: string | null;
    /** Texts are what the site's owner wrote. */
    site: { id: string | null; name: string | null; url: string | null } | null;
    reason: string | null;
  };
}

/** An event is not signed by the service, too old, or malformed: answer 401. */
export declare class EventVerificationError extends Error {
  readonly name: 'EventVerificationError';
}

/**
 * Verifies an event of the service and returns it. An event may come more than once: ignore an `id` that you have handled.
 * @param headers The request's headers: `Headers`, or an object as node's `request.headers`.
 * @param body The request's body, byte for byte: not parsed.
 * @param secret The event secret, `whsec_…`; two separated by a space are both accepted, for rotation.
 * @throws {EventVerificationError} The event is not to be trusted.
 * @throws {TypeError} The secret is malformed, or the body is parsed.
 */
export declare function verifyEvent(
  headers: Headers | Record<string, string | string[] | undefined>,
  body: string | ArrayBuffer | ArrayBufferView,
  secret: string,
): Promise<WixOAuthEvent>;
