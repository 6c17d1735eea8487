// Where npm start keeps its data. Neither Wix must ever be asked for the sites of the other.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

// The folder of the pretend Wix, and that of Azurite. A folder that was used with a real app alone stays that one's.
export function findFolders(root, given, hasRealApp) {
  const shared = resolve(root, given || join('.data', 'functions'));
  const isReal = existsSync(join(shared, 'azurite')) && !existsSync(join(shared, 'pretend-wix.json'));
  const data = given || hasRealApp === isReal ? shared : join(root, '.data', isReal ? 'pretend-functions' : 'wix-functions');
  const azurite = join(data, 'azurite');

  // The first versions kept Azurite's data in the shared folder itself, and knew no pretend Wix.
  const isOld = hasRealApp && !existsSync(azurite) && existsSync(join(shared, '__azurite_db_table__.json'));
  return { data, azurite: isOld ? shared : azurite };
}
