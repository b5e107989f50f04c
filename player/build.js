// Builds the package into dist/: ES modules, types, the scripts and the manifest. Then puts the scripts and hls.js where
// the relay serves them, with their integrity; `--package-only` leaves that out. Prints sizes and integrity.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { manifestOf } from './manifest.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const web = fileURLToPath(new URL('../chatsync/web/', import.meta.url));
const dist = `${here}dist/`;
const scripts = ['chatsync-player.js', 'chatsync-more.js'];
const pages = { host: 'chatsync-host.js' }; // scripts of the relay's own pages: of no use to others, and not published

await build({ root: here, logLevel: 'warn' });
for (const mode of ['script', 'more']) await build({ root: here, logLevel: 'warn', mode });
// What they load later (later.ts). A part loads none of its own.
const parts = new Set(scripts.flatMap((name) => [...readFileSync(dist + name, 'utf8').matchAll(/import\(.\.\/chatsync-([\w-]+)\.js.\)/g)].map(([, part]) => part)));
for (const part of parts) {
  await build({ root: here, logLevel: 'warn', mode: `part-${part}` });
  scripts.push(`chatsync-${part}.js`);
}
execFileSync(process.execPath, [`${here}node_modules/typescript/bin/tsc`, '-p', `${here}tsconfig.types.json`], { stdio: 'inherit' });
writeFileSync(`${dist}custom-elements.json`, `${JSON.stringify(manifestOf(`${here}src/`), null, 2)}\n`);

if (!process.argv.includes('--package-only')) {
  rmSync(web, { recursive: true, force: true });
  mkdirSync(web, { recursive: true });
  for (const mode of Object.keys(pages)) await build({ root: here, logLevel: 'warn', mode });
  for (const name of scripts) copyFileSync(dist + name, web + name);
  for (const name of Object.values(pages)) renameSync(dist + name, web + name);
  copyFileSync(`${here}node_modules/hls.js/dist/hls.min.js`, `${web}hls.min.js`);
  const integrity = {};
  for (const name of [...scripts, ...Object.values(pages), 'hls.min.js']) {
    const bytes = readFileSync(web + name);
    integrity[name] = `sha384-${createHash('sha384').update(bytes).digest('base64')}`;
    console.log(`${name}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped, integrity ${integrity[name]}`);
  }
  writeFileSync(`${web}integrity.json`, `${JSON.stringify(integrity, null, 2)}\n`);
}
