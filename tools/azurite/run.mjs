// Runs Azurite's table and blob services, and its queue service when asked to, for as long as standard input is open: however
// the program that started it ends, even killed, the pipe closes, the data is saved and this process is gone.
//
//   node run.mjs <folder> [at-end] [queue]     prints "listening table=<port> blob=<port> [queue=<port>]" as soon as requests are answered
//
// With "at-end" data is saved at the end only: for a large table Azurite stands still for seconds, every five of them.
//
// Azurite's own command line is not used because it cannot tell which free port it was given.
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const azurite = createRequire(import.meta.url);
const { AzuriteTelemetryClient } = azurite('azurite/dist/src/common/Telemetry');
const BlobConfiguration = azurite('azurite/dist/src/blob/BlobConfiguration').default;
const BlobServer = azurite('azurite/dist/src/blob/BlobServer').default;
const TableConfiguration = azurite('azurite/dist/src/table/TableConfiguration').default;
const TableServer = azurite('azurite/dist/src/table/TableServer').default;

const [folder, ...options] = process.argv.slice(2);
if (!folder) {
  throw new Error('Name the folder to keep the data in.');
}

// Azurite looks a row up by its partition first, and reads all of that: by its row key the index leads to it at once.
const { Collection } = azurite('lokijs');
const { findOne } = Collection.prototype;
Collection.prototype.findOne = function (query) {
  return findOne.call(this, query?.RowKey === undefined ? query : { RowKey: query.RowKey, ...query });
};

mkdirSync(folder, { recursive: true });
AzuriteTelemetryClient.init(folder, false);

const tables = new TableServer(new TableConfiguration(
  '127.0.0.1',
  0, // any free port
  undefined, // keep connections alive as long as Azurite likes
  join(folder, '__azurite_db_table__.json'),
  false, // no debug log
  false, // no access log: it prints the keys of rows
  undefined,
  undefined,
  false, // not loose: what Azure would refuse is refused
  true)); // skipApiVersionCheck: the SDK may know a newer version than Azurite

const blobs = new BlobServer(new BlobConfiguration(
  '127.0.0.1',
  0,
  undefined,
  join(folder, '__azurite_db_blob__.json'),
  join(folder, '__azurite_db_blob_extent__.json'),
  [{ locationId: 'Default', locationPath: join(folder, '__blobstorage__'), maxConcurrency: 10 }],
  false, // no access log
  undefined,
  false,
  undefined,
  false,
  true));
const servers = [tables, blobs];

// Its messages live a minute at most, so they are kept in memory.
async function startQueue() {
  const QueueConfiguration = azurite('azurite/dist/src/queue/QueueConfiguration').default;
  const QueueServer = azurite('azurite/dist/src/queue/QueueServer').default;
  const configuration = new QueueConfiguration('127.0.0.1', 0, undefined, '', '', [], false, undefined, false, undefined, false, true);
  configuration.isMemoryPersistence = true;
  const queue = new QueueServer(configuration);
  await queue.start();
  return new URL(queue.getHttpServerAddress()).port;
}

// Ends even while a connection is open: by then the data is saved, and nobody is left to answer.
let closing;
const close = () => (closing ??= Promise.all(servers.map((server) => server.close())).then(() => process.exit(0)));

// Ctrl+C reaches this process too, and so does the closing of the terminal, but the program that started it may still have
// something to save.
process.on('SIGINT', () => process.stdin.isTTY && close());
process.on('SIGHUP', () => {});
process.on('SIGTERM', close);

await Promise.all(servers.map((server) => server.start()));
if (options.includes('at-end')) {
  tables.metadataStore.db.autosaveDisable();
}

const queuePort = options.includes('queue') ? ` queue=${await startQueue()}` : '';
process.stdin.on('end', close).on('error', close).resume();
const portOf = (server) => new URL(server.getHttpServerAddress()).port;
console.log(`listening table=${portOf(tables)} blob=${portOf(blobs)}${queuePort}`);
