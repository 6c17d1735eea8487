// Multiplies installations in the file that Azurite keeps its tables in. Azurite itself looks through a whole partition
// for each row that is added, so a hundred thousand installations would take it a quarter of an hour.
//
//   node fill.mjs <azurite's run.mjs> <azurite's folder> <table> <how many> <ids of installations to copy ...>
import { createHash, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [script, folder, table, count, ...samples] = process.argv.slice(2);
const tools = createRequire(script);
const Loki = createRequire(tools.resolve('azurite/package.json'))('lokijs');

const db = new Loki(join(folder, '__azurite_db_table__.json'), { persistenceMethod: 'fs' });
await new Promise((done, failed) => db.loadDatabase({}, error => (error ? failed(error) : done())));
const rows = db.getCollection(`devstoreaccount1$${table}`);
rows.adaptiveBinaryIndices = false;

const originals = samples.map(id => ({ id, rows: rows.where(row => row.RowKey.endsWith(`|${id}`)) }));
for (let made = 0; made < Number(count); made++) {
  const original = originals[made % originals.length];
  const id = randomUUID();

  // As InstanceRows.ShardOf.
  const hash = createHash('sha256').update(Buffer.from(id.replaceAll('-', ''), 'hex')).digest();
  const shard = String(hash[0] % 16).padStart(2, '0');
  for (const { $loki, meta, ...row } of original.rows) {
    const key = { PartitionKey: shard, RowKey: row.RowKey.replace(original.id, id) };
    rows.insert({ ...row, ...key, properties: { ...row.properties, ...key } });
  }
}

rows.ensureAllIndexes(true);
rows.adaptiveBinaryIndices = true;
await new Promise((done, failed) => db.saveDatabase(error => (error ? failed(error) : done())));
