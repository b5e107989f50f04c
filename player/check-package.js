// Packs the package as npm would publish it, and has publint and are-the-types-wrong look at what is in it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'chatsync-player-'));
try {
  // Both would call `npm` by its name; the one that runs us says itself where it lies.
  const packed = execFileSync(process.execPath, [process.env.npm_execpath, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: here, encoding: 'utf8' });
  const answer = JSON.parse(packed);
  const [{ filename, files }] = Array.isArray(answer) ? answer : Object.values(answer);
  const tarball = join(folder, filename);
  const { messages, pkg } = await publint({ pack: { tarball: readFileSync(tarball).buffer }, strict: true });
  for (const message of messages) console.error(formatMessage(message, pkg));
  console.log(`publint: ${messages.length} remarks on ${files.length} files`);
  const attw = join(here, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  execFileSync(process.execPath, [attw, tarball, '--profile', 'esm-only', '--exclude-entrypoints', 'custom-elements.json', '--format', 'ascii'], { stdio: 'inherit' });
  if (messages.length > 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
