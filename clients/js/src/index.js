export { WixOAuthClient } from './client.js';
export { WixOAuthError, EventVerificationError } from './errors.js';
export { verifyEvent } from './events.js';
