import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Starts workerd with worker.js; `env` holds the worker's bindings. */
export async function startWorker(env) {
  const { default: binary } = createRequire(import.meta.url)('workerd');
  const worker = spawn(binary, ['serve', join(import.meta.dirname, 'worker.capnp'), '--control-fd=3'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  for await (const line of createInterface(worker.stdio[3])) {
    const { event, port } = JSON.parse(line);
    if (event === 'listen') {
      return { url: `http://127.0.0.1:${port}`, stop: () => worker.kill() };
    }
  }

  throw new Error('workerd did not start.');
}
