// Builds the ES modules and types into dist/, the single file and hls.js into ../chatsync/web. Prints sizes and SRI.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));
const web = fileURLToPath(new URL('../chatsync/web/', import.meta.url));

await build({ root: here, logLevel: 'warn' });
await build({ root: here, logLevel: 'warn', mode: 'iife' });
execFileSync(process.execPath, [`${here}node_modules/typescript/bin/tsc`, '-p', `${here}tsconfig.types.json`], { stdio: 'inherit' });
copyFileSync(`${here}node_modules/hls.js/dist/hls.min.js`, `${web}hls.min.js`);

for (const name of ['chatsync-player.js', 'hls.min.js']) {
  const bytes = readFileSync(web + name);
  const integrity = createHash('sha384').update(bytes).digest('base64');
  console.log(`${name}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped, integrity sha384-${integrity}`);
}
