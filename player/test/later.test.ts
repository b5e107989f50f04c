import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { build } from 'vite';
import { exportsOfPart, partsLeftOut, PART_GLOBAL } from '../later.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chatsync-later-'));
  writeFileSync(join(folder, 'entry.ts'), "export const load = (): Promise<string> => import('./words-ar.js').then((part) => part.words + part.shared());");
  writeFileSync(join(folder, 'words-ar.ts'), "import { shared } from 'shared';\nexport const words = 'kalam';\nexport { shared };");
});

afterEach(() => rmSync(folder, { recursive: true }));

test('a part is a file beside the script, is found from there, and shares what the script has', async () => {
  const found: string[] = [];
  const common = { root: folder, logLevel: 'error', configFile: false } as const;
  const output = { outDir: folder, emptyOutDir: false };
  await build({ ...common, plugins: [partsLeftOut((name) => found.push(name))], build: { ...output, lib: { entry: 'entry.ts', name: 'Script', formats: ['iife'], fileName: () => 'script.js' } } });
  expect(found).toEqual(['words-ar']);
  await build({
    ...common,
    plugins: [exportsOfPart()],
    build: {
      ...output,
      lib: { entry: 'words-ar.ts', name: PART_GLOBAL, formats: ['iife'], fileName: () => 'chatsync-words-ar.js' },
      rollupOptions: { external: ['shared'], output: { globals: { shared: 'SharedParts' } } },
    },
  });
  (globalThis as Record<string, unknown>)['SharedParts'] = { shared: () => '!' };
  writeFileSync(join(folder, 'page.mjs'), "import { readFileSync } from 'node:fs';\nconst code = readFileSync(new URL('./script.js', import.meta.url), 'utf8');\nexport const has = code.includes('./chatsync-words-ar.js') && !code.includes('kalam');\nexport const part = await import('./chatsync-words-ar.js');");
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const page = (await import(/* @vite-ignore */ pathToFileURL(join(folder, 'page.mjs')).href)) as { has: boolean; part: { words: string; shared: () => string } };
  expect(page.has).toBe(true);
  expect(page.part.words + page.part.shared()).toBe('kalam!');
});
