// Ends the process groups whose ids it reads, a line each, when its standard input ends: however the process that started
// it ends, SIGKILL included, none of what that has started is left behind.
import { spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

const patience = 8000;
let groups = [];

// Only the one who closes standard input ends this process.
['SIGINT', 'SIGTERM', 'SIGHUP'].forEach((signal) => process.on(signal, () => {}));

function signal(group, name) {
  try {
    process.kill(-group, name);
    return true;
  } catch {
    return false;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  groups.push(Number(line));
}

if (process.platform === 'win32') {
  groups.forEach((group) => spawnSync('taskkill', ['/pid', String(group), '/T', '/F']));
  groups = [];
}

// Azurite saves its data on SIGINT.
groups = groups.filter((group) => signal(group, 'SIGINT'));
for (const end = Date.now() + patience; groups.length > 0 && Date.now() < end; await wait(100)) {
  groups = groups.filter((group) => signal(group, 0));
}

groups.forEach((group) => signal(group, 'SIGKILL'));
