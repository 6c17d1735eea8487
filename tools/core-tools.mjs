// npm install: says what is missing where npm left out Azure Functions Core Tools, about which npm itself is silent.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const windows = process.platform === 'win32';
const packageFolder = join(root, 'node_modules', 'azure-functions-core-tools');
const names = windows ? ['func.exe', 'func.cmd'] : ['func'];

/** The path of func 4; undefined where there is none. */
export function findFunc() {
  // Without its program the package's own script in .bin downloads it, unseen; and npm puts that script before all others.
  const folders = process.env.PATH.split(delimiter).filter((folder) => !/node_modules[\\/]\.bin[\\/]?$/.test(folder));
  return [join(packageFolder, 'bin'), ...folders]
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((func) => existsSync(func) && spawnSync(windows ? `"${func}"` : func, ['--version'], { shell: windows, encoding: 'utf8' }).stdout?.startsWith('4.'));
}

/** Why there is none, and the command that mends it. */
export function describeMissing() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages['node_modules/azure-functions-core-tools'];
  const needed = Number(engines.node.match(/\d+/)[0]);
  const reason = existsSync(packageFolder)
    ? 'npm ran no install scripts, so their program was not downloaded. Run: npm rebuild azure-functions-core-tools'
    : Number(process.versions.node.split('.')[0]) < needed
      ? `npm installs them on Node ${needed} or newer only, and this is ${process.version}. Update Node, then run: npm install`
      : 'npm could not download them. Where cdn.functions.azure.com can be reached, run: npm install';
  return `Azure Functions Core Tools 4 are missing: ${reason}
To install them otherwise: https://learn.microsoft.com/azure/azure-functions/functions-run-local. dotnet run --project WixOAuth.Local does without them.`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url) && !findFunc()) {
  console.error(describeMissing());
  process.exitCode = 1;
}
