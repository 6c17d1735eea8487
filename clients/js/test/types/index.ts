// Compiled, never run: the types as a user of the SDK meets them.
import { createClient } from '@wix/sdk';
import { verifyEvent, WixOAuthClient, WixOAuthError, type WixOAuthEvent } from 'wixoauth-client';

const wix = new WixOAuthClient({ url: 'https://tokens.example', key: 'k' });
export const watched = new WixOAuthClient({
  url: 'https://tokens.example', key: 'k', onRefreshError: (id, error) => console.warn(id, error.code),
});
const client = createClient({ auth: wix.auth('i'), fetch: (url, init) => wix.fetch('i', url, init) });
export const headers = client.auth.getAuthHeaders();
export const token: Promise<string> = wix.getToken('i', { signal: AbortSignal.timeout(1_000) });
export const replacement: Promise<string> = wix.replaceToken('i', 't');
export const event: Promise<WixOAuthEvent> = verifyEvent(new Headers(), 'body', 'secret');
export const code = (error: unknown): string | undefined => (error instanceof WixOAuthError ? error.code : undefined);

// @ts-expect-error A client needs an address.
new WixOAuthClient({ key: 'k' });
