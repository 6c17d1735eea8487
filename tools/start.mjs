// npm start: Azurite and the Functions host together, and without a Wix__AppId the pretend Wix, until Ctrl+C or until one
// of them ends.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describeMissing, findFunc } from './core-tools.mjs';
import { findFolders } from './data-folders.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const windows = process.platform === 'win32';
const azuriteFolder = join(root, 'tools', 'azurite');
const azurite = join(azuriteFolder, 'node_modules', 'azurite', 'dist', 'src', 'azurite.js');
const local = join(root, 'WixOAuth.Local', 'bin', 'Debug', 'net10.0', 'WixOAuth.Local.dll');
const port = process.env.FUNCTIONS_PORT ?? '7071';
const npm = process.ppid;
let ending = false;

// In a session of its own, so that Ctrl+C in the terminal does not end it first.
const reaper = spawn(process.execPath, [join(root, 'tools', 'reaper.mjs')], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });

function end(code, line) {
  if (ending) {
    return;
  }

  ending = true;
  if (line) {
    console.error(line);
  }

  reaper.once('exit', () => process.exit(code));
  reaper.stdin.end();
}

function start(name, command, args, options) {
  // The leader of a process group, which also holds what it starts: func's worker.
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], detached: !windows, ...options });
  if (child.pid) {
    reaper.stdin.write(`${child.pid}\n`);
  }

  child.once('error', (error) => end(1, `${name} could not be started: ${error.message}`));
  child.once('exit', (code) => end(code ?? 1, `${name} has ended.`));
  return child;
}

const answers = (port) => new Promise((done) => {
  const socket = connect(port, '127.0.0.1', () => done(true) || socket.destroy());
  socket.once('error', () => done(false));
});

// As the host sees them: the environment wins over local.settings.json. Without the file the sample serves.
function readSettings() {
  const own = join(root, 'local.settings.json');
  const file = existsSync(own) ? own : join(root, 'local.settings.sample.json');
  try {
    const values = Object.entries(JSON.parse(readFileSync(file, 'utf8')).Values ?? {}).filter(([, value]) => value !== '');
    const settings = { ...Object.fromEntries(values), ...process.env };

    // The service takes their names in any case and with colons. An app id that is not seen here would be served without keys.
    for (const name of ['Wix__AppId', 'Tables__ConnectionString', 'Tables__ServiceUri']) {
      settings[name] ??= Object.entries(settings).find(([other, value]) => other.replaceAll(':', '__').toLowerCase() === name.toLowerCase() && value)?.[1];
    }

    return settings;
  } catch {
    // What is wrong with it is not said: it may be a secret.
    end(1, `${file} cannot be read, or is not JSON.`);
    return null;
  }
}

async function startPretendWix(dataFolder) {
  console.log('No Wix__AppId is given: a pretend Wix is started.');
  const build = spawnSync('dotnet', ['build', join(root, 'WixOAuth.Local'), '--nologo', '--verbosity', 'quiet', '--disable-build-servers'], { stdio: 'inherit' });
  if (build.status !== 0) {
    end(1, `WixOAuth.Local, which has the pretend Wix, could not be built: ${build.error ? 'is the .NET SDK installed?' : 'see above.'}`);
    return null;
  }

  const wix = start('The pretend Wix', 'dotnet', [local, 'pretend-wix', '--urls', `http://localhost:${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, Local__DataFolder: dataFolder },
  });
  for await (const line of createInterface({ input: wix.stdout })) {
    const { install, settings } = JSON.parse(line);
    console.log(`Install:  ${install}`);
    return settings;
  }

  return null;
}

['SIGINT', 'SIGTERM', 'SIGHUP'].forEach((signal) => process.on(signal, () => end(0)));

// When npm is killed it tells nobody, and this process gets another parent.
setInterval(() => process.ppid === npm || end(0), 500).unref();

const func = findFunc();
const settings = func && readSettings();
if (!func) {
  end(1, describeMissing());
} else if (settings) {
  const folders = findFolders(root, process.env.Local__DataFolder, Boolean(settings.Wix__AppId));
  if (!existsSync(azurite) && spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: azuriteFolder, shell: windows, stdio: 'inherit' }).status !== 0) {
    end(1, 'Azurite could not be installed: see what npm says above.');
  } else if (await answers(10000) && await answers(10002)) {
    console.log('Something answers on the ports 10000 and 10002: taken for an Azurite that runs already.');
  } else {
    start('Azurite', process.execPath, [azurite, '--silent', '--disableTelemetry', '--skipApiVersionCheck', '--location', folders.azurite]);
    for (let attempt = 0; attempt < 100 && !ending && !(await answers(10000) && await answers(10002)); attempt++) {
      await wait(100);
    }
  }

  // With a real app its tokens are real: Core Tools ask for keys only when told to, and listen on all interfaces.
  const enableAuth = settings.Wix__AppId ? ['--enableAuth'] : [];
  if (!ending && !settings.Wix__AppId) {
    Object.assign(settings, await startPretendWix(folders.data));
  }

  if (!settings.Tables__ConnectionString && !settings.Tables__ServiceUri) {
    settings.Tables__ConnectionString = 'UseDevelopmentStorage=true';
  }

  if (!ending) {
    start('The Functions host', func, ['start', '--port', port, ...enableAuth], { cwd: join(root, 'WixOAuth.Functions'), shell: windows, env: settings });
  }
}
