// Prints the table of bench/README.md "Clients": what a token costs by each way to have one.
// node bench/clients/run.mjs [--seconds 10]; needs WixOAuth.Local and bench/clients built in Release, and npm ci in clients/js.
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Program, KEY, APP_ID, APP_SECRET } from '../../clients/js/test/e2e/program.js';
import { WixOAuthClient } from '../../clients/js/src/index.js';

const { AppStrategy } = createRequire(resolve(import.meta.dirname, '../../clients/js/package.json'))('@wix/sdk');
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' } } });
const SECONDS = Number(values.seconds);
const [CALLERS, SITES, LATENCY_MS] = [8, 20, 150];
const REAL = 'https://www.wixapis.com';
const realFetch = globalThis.fetch;
let requests = 0;

const program = await Program.start();
try {
  const sites = await Promise.all(Array.from({ length: SITES }, (_, i) => program.install(`Site ${i}`)));
  const strangers = await Promise.all(Array.from({ length: SITES }, async (_, i) => {
    const { instanceId, code } = await program.control('install', { name: `Of the SDK ${i}` });
    return { instanceId, code };
  }));
  globalThis.fetch = (input, init) => {
    requests++;
    const url = String(input.url ?? input);
    return realFetch(url.startsWith(REAL) ? program.wix + url.slice(REAL.length) : input, init);
  };
  const app = { appId: APP_ID, appSecret: APP_SECRET };
  const byRefreshToken = await Promise.all(strangers.map(async ({ instanceId, code }) => {
    const { refreshToken } = await AppStrategy(app).handleOAuthCallback(`https://a.example/?${new URLSearchParams({ code, instanceId })}`);
    return AppStrategy({ ...app, refreshToken });
  }));
  const byInstanceId = strangers.map(({ instanceId }) => AppStrategy({ ...app, instanceId }));
  await program.control('', { clientCredentialsLifetime: 300, latencyMs: { access: LATENCY_MS, token: LATENCY_MS } });

  const wix = new WixOAuthClient({ url: program.url, key: KEY });
  const rows = [
    ['`WixOAuth.Client`', () => dotnet('client', sites)],
    ['`wixoauth-client`', () => loop((i) => wix.getToken(sites[i % SITES]))],
    ['GetToken over HTTP, .NET', () => dotnet('plain', sites)],
    ['GetToken over HTTP, node', () => loop((i) => plain(sites[i % SITES]))],
    ['`@wix/sdk` `AppStrategy` by refresh token', () => loop((i) => byRefreshToken[i % SITES].getAuthHeaders())],
    ['`@wix/sdk` `AppStrategy` by instance id', () => loop((i) => byInstanceId[i % SITES].getAuthHeaders())],
  ];
  console.log('| a token by | tokens/s | p50 | p99 | HTTP requests per token | calls to Wix per token |\n|---|---|---|---|---|---|');
  for (const [name, measure] of rows) {
    const before = await wixCalls();
    const { tokens, seconds, p50, p99, requests: sent } = await measure();
    const calls = (await wixCalls()) - before;
    console.log(`| ${name} | ${Math.round(tokens / seconds).toLocaleString('en')} | ${time(p50)} | ${time(p99)} | ${part(sent, tokens)} | ${part(calls, tokens)} |`);
  }
} finally {
  globalThis.fetch = realFetch;
  await program.stop();
}

async function loop(ask) {
  const sample = [];
  const [sentBefore, started] = [requests, performance.now()];
  const end = started + SECONDS * 1000;
  let tokens = 0;
  await Promise.all(Array.from({ length: CALLERS }, async (_, caller) => {
    for (let i = caller, n = 0; performance.now() < end; i++, n++) {
      const at = performance.now();
      await ask(i);
      tokens++;
      if (n < 10_000 || n % 64 === 0) {
        sample.push(performance.now() - at);
      }

      // Hits never leave the microtasks: let timers and answers in.
      if (n % 1_000 === 999) {
        await new Promise((go) => setImmediate(go));
      }
    }
  }));
  sample.sort((a, b) => a - b);
  return {
    tokens, seconds: (performance.now() - started) / 1000, requests: requests - sentBefore,
    p50: sample[Math.floor(sample.length / 2)], p99: sample[Math.floor(sample.length * 0.99)],
  };
}

async function plain(site) {
  const response = await fetch(`${program.url}/api/instances/${site}/token`, { headers: { 'x-functions-key': KEY } });
  if (!response.ok) {
    throw new Error(String(response.status));
  }

  return (await response.json()).access_token;
}

async function dotnet(way, sites) {
  const assembly = join(import.meta.dirname, 'bin/Release/net10.0/WixOAuth.ClientLoad.dll');
  const { stdout } = await promisify(execFile)('dotnet', [assembly, way, program.url, KEY, String(SECONDS), String(CALLERS), sites.join(',')]);
  return JSON.parse(stdout);
}

async function wixCalls() {
  const { counts } = await (await realFetch(`${program.wix}/_control`)).json();
  return Object.values(counts.grants).reduce((sum, each) => sum + each, 0);
}

function time(ms) {
  // .NET's TimeSpan counts in 100 ns.
  return ms < 0.0001 ? '< 0.1 µs' : ms < 0.1 ? `${(ms * 1000).toPrecision(2)} µs` : `${ms.toPrecision(3)} ms`;
}

function part(count, tokens) {
  const each = count / tokens;
  return count === 0 ? '0' : each < 0.001 ? `${count} in ${tokens.toLocaleString('en')}` : each.toFixed(3);
}
