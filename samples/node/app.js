// Shows a site's data with its token, and receives the service's events. Settings: WIXOAUTH_URL, WIXOAUTH_KEY,
// EVENTS_SECRET, PORT, and WIX_API_URL for the pretend Wix.
import { createServer } from 'node:http';
import { EventVerificationError, verifyEvent, WixOAuthClient, WixOAuthError } from 'wixoauth-client';

const { WIXOAUTH_URL, WIXOAUTH_KEY, EVENTS_SECRET, PORT = 3000, WIX_API_URL = 'https://www.wixapis.com' } = process.env;
const wix = new WixOAuthClient({ url: WIXOAUTH_URL, key: WIXOAUTH_KEY });

// Try it with: curl http://localhost:3000/sites/<instanceId>
async function showSite(instanceId) {
  const response = await wix.fetch(instanceId, `${WIX_API_URL}/apps/v1/instance`);
  return [response.ok ? 200 : 502, await response.text()];
}

async function receiveEvent(request, limit = 256 * 1024) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length <= limit) {
      chunks.push(chunk);
    }
  }

  if (length > limit) {
    return [413];
  }

  const event = await verifyEvent(request.headers, Buffer.concat(chunks), EVENTS_SECRET);
  console.log(`${event.type} of ${event.data.instance_id}`);
  return [204];
}

async function answer(request) {
  const site = /^\/sites\/([0-9a-f-]{36})$/i.exec(request.url);
  if (request.method === 'GET' && site) {
    return showSite(site[1]);
  }

  return request.method === 'POST' && request.url === '/events' ? receiveEvent(request) : [404];
}

function failure(error) {
  if (error instanceof EventVerificationError) {
    return [401];
  }

  if (error instanceof WixOAuthError) {
    return [[404, 409, 410, 503].includes(error.status) ? error.status : 502, error.code ?? error.message];
  }

  console.error(error);
  return [500];
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request).catch(failure);
  response.writeHead(status).end(body);
});
server.listen(PORT, () => console.log(`Listening on http://localhost:${server.address().port}`));
