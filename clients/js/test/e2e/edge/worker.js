import { verifyEvent, WixOAuthClient, WixOAuthError } from './src/index.js';

let requests = 0;
let client;

export default {
  async fetch(request, env) {
    client ??= new WixOAuthClient({
      url: env.WIXOAUTH_URL,
      key: env.WIXOAUTH_KEY,
      fetch: (...args) => {
        requests += args[0].startsWith(env.WIXOAUTH_URL) ? 1 : 0;
        return fetch(...args);
      },
    });
    const [, what, instanceId, limitMs] = new URL(request.url).pathname.split('/');
    try {
      switch (what) {
        case 'requests':
          return Response.json(requests);
        case 'events':
          return Response.json(await verifyEvent(request.headers, await request.arrayBuffer(), env.EVENTS_SECRET));
        default: {
          const answer = client.fetch(instanceId, `${env.WIX_API_URL}/apps/v1/instance`);
          const late = new Promise((resolve) => limitMs && setTimeout(resolve, limitMs, Response.json('late')));
          return await Promise.race([answer, late]);
        }
      }
    } catch (error) {
      return Response.json({ name: error.name, code: error.code }, { status: error instanceof WixOAuthError ? error.status : 401 });
    }
  },
};
