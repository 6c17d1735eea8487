// What README.md shows and what samples/node does, run as they are against the real service.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { KEY, Program, ROOT } from './program.js';

const SECRET = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX';
const run = promisify(execFile);
let program;
let instanceId;

before(async () => {
  program = await Program.start();
  instanceId = await program.install('Nordlicht');
});

after(() => program?.stop());

/** A snippet of "Asking for a token", with the address of this run. */
function snippet(language) {
  const section = readFileSync(join(ROOT, 'README.md'), 'utf8').split('## Asking for a token')[1].split('\n## ')[0];
  const [, text] = new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(section);
  return text.replaceAll('https://YOUR-APP.azurewebsites.net', program.url);
}

async function assertWorks(token) {
  const response = await fetch(`${program.wix}/apps/v1/instance`, { headers: { Authorization: token } });
  assert.equal((await response.json()).site.siteDisplayName, 'Nordlicht');
}

async function runJavaScript(t, key) {
  // Beside the sample, where the package is installed.
  const file = join(ROOT, 'samples/node', `snippet-${process.pid}.mjs`);
  writeFileSync(file, `const { KEY: key, INSTANCE_ID: instanceId } = process.env;\n${snippet('js')}\nconsole.log(token);`);
  t.after(async () => (await import('node:fs/promises')).rm(file));
  return run('node', [file], { env: { ...process.env, KEY: key, INSTANCE_ID: instanceId } });
}

test('the JavaScript snippet gets a token', async (t) => {
  const { stdout } = await runJavaScript(t, KEY);
  await assertWorks(stdout.trim());
});

test('the JavaScript snippet names a wrong key', async (t) => {
  await assert.rejects(runJavaScript(t, 'wrong'), (error) => {
    assert.match(error.stderr, /refuses the function key/);
    assert.doesNotMatch(error.stderr, /Unexpected end|SyntaxError/);
    return true;
  });
});

test('the curl snippet gets a token', async () => {
  const { stdout } = await run('sh', ['-c', snippet('sh')], { env: { ...process.env, KEY, INSTANCE_ID: instanceId } });
  await assertWorks(JSON.parse(stdout).access_token);
});

test('the node sample shows a site and receives an event', async (t) => {
  assert.ok(readFileSync(join(ROOT, 'samples/node/app.js'), 'utf8').trimEnd().split('\n').length <= 60);
  const sample = spawn('node', ['app.js'], {
    cwd: join(ROOT, 'samples/node'),
    env: { ...process.env, WIXOAUTH_URL: program.url, WIXOAUTH_KEY: KEY, EVENTS_SECRET: SECRET, WIX_API_URL: program.wix, PORT: '0' },
  });
  t.after(() => sample.kill());
  const lines = createInterface(sample.stdout)[Symbol.asyncIterator]();
  const url = /http:\S+/.exec((await lines.next()).value)[0];

  const site = await fetch(`${url}/sites/${instanceId}`);
  assert.equal((await site.json()).site.siteDisplayName, 'Nordlicht');
  const unknown = await fetch(`${url}/sites/${crypto.randomUUID()}`);
  assert.deepEqual([unknown.status, await unknown.text()], [404, 'unknown_instance']);

  const body = JSON.stringify({
    specversion: '1.0', id: 'e-1', source: program.url, type: 'instance.connected', time: new Date().toISOString(), subject: instanceId,
    datacontenttype: 'application/json', data: { instance_id: instanceId, customer: null, site: null, reason: null },
  });
  const now = new Date();
  const headers = {
    'content-type': 'application/cloudevents+json',
    'webhook-id': 'e-1',
    'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': new Webhook(SECRET).sign('e-1', now, body),
  };
  assert.equal((await fetch(`${url}/events`, { method: 'POST', headers, body })).status, 204);
  assert.equal((await lines.next()).value, `instance.connected of ${instanceId}`);
  assert.equal((await fetch(`${url}/events`, { method: 'POST', headers, body: `${body} ` })).status, 401);
});
