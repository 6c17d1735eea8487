// npm start: Azurite and the Functions host together, until Ctrl+C or until one of them ends.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const windows = process.platform === 'win32';
const azuriteFolder = join(root, 'tools', 'azurite');
const azurite = join(azuriteFolder, 'node_modules', 'azurite', 'dist', 'src', 'azurite.js');
const children = [];
let ending = false;

function end(code, line) {
  if (ending) {
    return;
  }

  ending = true;
  if (line) {
    console.error(line);
  }

  // Azurite saves its data on SIGINT; both may have had it from the terminal already, which does no harm.
  const running = children.filter((child) => child.exitCode === null && child.signalCode === null);
  running.forEach((child) => child.kill('SIGINT'));
  setTimeout(() => running.forEach((child) => child.kill('SIGKILL')), 8000).unref();
  Promise.all(running.map((child) => new Promise((done) => child.once('exit', done)))).then(() => process.exit(code));
}

function start(name, command, args, options) {
  const child = spawn(command, args, { stdio: 'inherit', ...options });
  children.push(child);
  child.once('error', (error) => end(1, `${name} could not be started: ${error.message}`));
  child.once('exit', (code) => end(code ?? 1, `${name} has ended.`));
}

const answers = (port) => new Promise((done) => {
  const socket = connect(port, '127.0.0.1', () => done(true) || socket.destroy());
  socket.once('error', () => done(false));
});

function findFunc() {
  const local = join(root, 'node_modules', '.bin', windows ? 'func.cmd' : 'func');
  // The package is there even where its program could not be downloaded.
  return [local, 'func'].find((func) => spawnSync(func, ['--version'], { shell: windows }).status === 0);
}

process.on('SIGINT', () => end(0));
process.on('SIGTERM', () => end(0));

const func = findFunc();
if (!func) {
  end(1, 'Azure Functions Core Tools 4 are missing: npm install puts them here, or see https://learn.microsoft.com/azure/azure-functions/functions-run-local (dotnet run --project WixOAuth.Local needs neither).');
} else if (!existsSync(join(root, 'local.settings.json'))) {
  end(1, 'local.settings.json is missing: copy local.settings.sample.json and fill in what README.md says under "With the Functions host".');
} else {
  if (!existsSync(azurite) && spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: azuriteFolder, shell: windows, stdio: 'inherit' }).status !== 0) {
    end(1, 'Azurite could not be installed: see what npm says above.');
  } else if (await answers(10000) && await answers(10002)) {
    console.log('Something answers on the ports 10000 and 10002: taken for an Azurite that runs already.');
  } else {
    start('Azurite', process.execPath, [azurite, '--silent', '--disableTelemetry', '--skipApiVersionCheck', '--location', join(root, '.data', 'functions')]);
    for (let attempt = 0; attempt < 100 && !ending && !(await answers(10000) && await answers(10002)); attempt++) {
      await wait(100);
    }
  }

  if (!ending) {
    start('The Functions host', func, ['start'], { cwd: join(root, 'WixOAuth.Functions'), shell: windows });
  }
}
