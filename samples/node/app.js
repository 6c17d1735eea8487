// Shows a site's data with its token, and receives the service's events. Settings: WIXOAUTH_URL, WIXOAUTH_KEY,
// EVENTS_SECRET, PORT, and WIX_API_URL for the pretend Wix.
import { createServer } from 'node:http';
import { EventVerificationError, verifyEvent, WixOAuthClient, WixOAuthError } from 'wixoauth-client';

const { WIXOAUTH_URL, WIXOAUTH_KEY, EVENTS_SECRET, PORT = 3000, WIX_API_URL = 'https://www.wixapis.com' } = process.env;
const wix = new WixOAuthClient({ url: WIXOAUTH_URL, key: WIXOAUTH_KEY });

// Try it with: curl http://localhost:3000/sites/<instanceId>
async function showSite(instanceId) {
  try {
    const response = await wix.fetch(instanceId, `${WIX_API_URL}/apps/v1/instance`);
    return response.ok ? [200, await response.text()] : [502, `Wix answered ${response.status}.`];
  } catch (error) {
    if (error instanceof WixOAuthError) {
      return [error.status ?? 503, error.code ?? error.message];
    }

    throw error;
  }
}

async function receiveEvent(request) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }

  try {
    const event = await verifyEvent(request.headers, Buffer.concat(chunks), EVENTS_SECRET);
    console.log(`${event.type} of ${event.data.instance_id}`);
    return [204];
  } catch (error) {
    if (error instanceof EventVerificationError) {
      return [401];
    }

    throw error;
  }
}

const server = createServer(async (request, response) => {
  const site = /^\/sites\/([0-9a-f-]{36})$/i.exec(request.url);
  let answer = [404];
  try {
    if (request.method === 'GET' && site) {
      answer = await showSite(site[1]);
    } else if (request.method === 'POST' && request.url === '/events') {
      answer = await receiveEvent(request);
    }
  } catch (error) {
    console.error(error);
    answer = [500];
  }

  response.writeHead(answer[0]).end(answer[1]);
});
server.listen(PORT, () => console.log(`Listening on http://localhost:${server.address().port}`));
