import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const ROOT = resolve(import.meta.dirname, '../../../..');
export const APP_ID = '0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000001';
export const APP_SECRET = 'the-app-secret-of-the-tests';
export const KEY = 'the-function-key-of-the-tests';

/** The built WixOAuth.Local as a process: the service, the pretend Wix and Azurite, with data of its own. */
export class Program {
  #process;
  #folder;

  static async start(settings = {}, url = 'http://localhost:0') {
    const program = new Program();
    program.#folder = mkdtempSync(join(tmpdir(), 'wixoauth-js-'));
    const inherited = Object.entries(process.env).filter(([name]) => !/^(Wix|Tables|Tokens|KeyVault|Functions|Local|Logging|ASPNETCORE)__/i.test(name));
    program.#process = spawn('dotnet', [assembly()], {
      cwd: program.#folder,
      env: {
        ...Object.fromEntries(inherited),
        urls: url,
        Local__DataFolder: program.#folder,
        Local__SettingsFile: 'none.json',
        Functions__Key: KEY,
        Wix__AppSecret: APP_SECRET,
        Logging__LogLevel__Default: 'Warning',
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      await program.#read();
      return program;
    } catch (error) {
      await program.stop();
      throw error;
    }
  }

  /** Starts the service alone, on this program's storage and pretend Wix: a process that a test may kill. */
  startService(url) {
    return Program.start({ Local__SettingsFile: join(this.#folder, 'settings.json') }, url);
  }

  /** A whole install in a browser of its own. */
  async install(name = 'Ann’s Café') {
    const { instanceId } = await this.control('install', { name });
    await this.consent(instanceId);
    return instanceId;
  }

  /** The owner opens the app and consents once more. */
  async consent(instanceId) {
    const appUrl = await redirect(`${this.wix}/sites/${instanceId}/open`);
    const answer = await fetch(appUrl, { redirect: 'manual' });
    const cookie = answer.headers.getSetCookie().map((each) => each.split(';')[0]).join('; ');
    const decided = await redirect(answer.headers.get('location'), { method: 'POST', body: new URLSearchParams({ decision: 'agree' }) });
    const end = await redirect(decided, { headers: { cookie } });
    if (!end.includes('/installer/close-window')) {
      throw new Error(`The install ended at ${end}`);
    }
  }

  /** The pretend Wix's control endpoints; without a path its switches, and without a body its state. */
  async control(path = '', body = undefined) {
    const response = await fetch(`${this.wix}/_control${path && `/${path}`}`, body && {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    }

    return response.json();
  }

  async stop(signal = 'SIGTERM') {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill(signal);
      await exited;
    }

    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  async #read() {
    let errors = '';
    this.#process.stderr.on('data', (data) => (errors += data));
    for await (const line of createInterface(this.#process.stdout)) {
      const install = /^Install: +(\S+)/.exec(line);
      if (install) {
        this.wix = new URL(install[1]).origin;
      }

      const getToken = /^GetToken: .* (\S+)\/api\/instances\//.exec(line);
      if (getToken) {
        this.url = getToken[1];
        this.#process.stdout.resume();
        return;
      }
    }

    throw new Error(`WixOAuth.Local ended: ${errors}`);
  }
}

async function redirect(url, init) {
  const response = await fetch(url, { redirect: 'manual', ...init });
  if (response.status !== 302) {
    throw new Error(`${new URL(url).pathname} answered ${response.status}: ${await response.text()}`);
  }

  return new URL(response.headers.get('location'), url).href;
}

/**
 * An address of this machine whose port is free now. From below the range that systems take the ports of outgoing
 * connections from, or such a connection could have it by the time a service is started there again.
 */
export async function freeUrl() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 4_000);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
      return `http://127.0.0.1:${port}`;
    } catch {
      // Taken: the next one.
    }
  }
}

/** What was built last. */
function assembly() {
  const built = ['Debug', 'Release']
    .map((configuration) => join(ROOT, 'WixOAuth.Local/bin', configuration, 'net10.0/WixOAuth.Local.dll'))
    .filter(existsSync)
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (built.length === 0) {
    throw new Error('Build WixOAuth.Local first.');
  }

  return built[0];
}
