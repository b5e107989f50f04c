import { defineConfig, type UserConfig } from 'vite';
import { exportsOfPart, partsLeftOut, PART_GLOBAL } from './later.js';

/** 0 is a, 25 is z, 26 is aa. */
const letters = (index: number): string => (index < 26 ? '' : letters(Math.floor(index / 26) - 1)) + String.fromCharCode(97 + (index % 26));

/**
 * What no minifier does. Private names are the half of a class's text; each is private to its class, so one map does for a
 * module. And the line breaks of templates and of the style sheet, none of which is shown.
 */
const shorter = {
  name: 'shorter',
  transform(code: string, id: string) {
    if (!/\/src\/[a-z0-9/-]+\.ts$/.test(id)) return null;
    const names = [...new Set([...code.matchAll(/\b\w+\??\.#(\w+)/g)].map(([, name]) => name!))];
    const short = new Map(names.map((name, index) => [name, letters(index)]));
    const named = code.replace(/#([A-Za-z]\w*)\b/g, (whole, name: string) => (short.has(name) ? `#${short.get(name)}` : whole));
    const lines = named.replace(/\n\s+/g, '\n').replace(/>\n</g, '><');
    return { code: id.endsWith('-styles.ts') ? lines.replace(/([{;,])\n/g, '$1').replace(/ \{/g, '{').replace(/: (?=[^ ]+;|[a-z0-9.]+ )/g, ':').replace(/\n\}/g, '}') : lines, map: null };
  },
};

/** The entries of the package: each is `src/NAME.ts`, and an entry of `exports` in package.json. */
const ENTRIES = ['index', 'define', 'react', 'videojs'];

/** Modules of the first script that those after it take from it: what they import of these, iife.ts exports. */
const SHARED = /\/src\/(chat-timeline|chat-element|connection|deeds|playhead|strings|adapters\/(hls|recording))\.[jt]s$/;
const LIT = /^lit(\/|$)/;

const MODULES: UserConfig = {
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    minify: false,
    lib: { entry: Object.fromEntries(ENTRIES.map((name) => [name, `src/${name}.ts`])), formats: ['es'] },
    // @lit/react is built in: as a dependency it would ask everybody for React's types.
    rollupOptions: { external: [LIT, 'react'], output: { chunkFileNames: '[name].js' } },
  },
};

type RollupOptions = NonNullable<UserConfig['build']>['rollupOptions'];

/** A script, with all it needs but what is external. */
function script(name: string, source: string, file: string, rollupOptions: RollupOptions = {}): UserConfig {
  const lib = { entry: `src/${source}.ts`, name, formats: ['iife' as const], fileName: () => `${file}.js` };
  return { plugins: [shorter], build: { target: 'es2022', outDir: 'dist', emptyOutDir: false, lib, rollupOptions } };
}

/** What the first script has, and those after it take from there. */
const TAKEN = {
  external: (id: string): boolean => LIT.test(id) || SHARED.test(id),
  globals: (id: string): string => (LIT.test(id) ? 'ChatsyncPlayer.lit' : 'ChatsyncPlayer'),
};

/** `vite build` makes the ES modules; the modes make the scripts that the relay and the CDNs of npm serve (build.js). */
export default defineConfig(({ mode }) => {
  const part = /^part-(.+)$/.exec(mode)?.[1];
  const { external, globals } = TAKEN;
  if (part !== undefined) return { ...script(PART_GLOBAL, part, `chatsync-${part}`, { external, output: { globals } }), plugins: [shorter, exportsOfPart()] };
  if (mode === 'host') return script('ChatsyncHost', 'host', 'chatsync-host');
  if (mode === 'script') return { ...script('ChatsyncPlayer', 'iife', 'chatsync-player'), plugins: [shorter, partsLeftOut()] };
  if (mode === 'more') return { ...script('ChatsyncPlayer', 'iife-more', 'chatsync-more', { external, output: { extend: true, globals } }), plugins: [shorter, partsLeftOut()] };
  return MODULES;
});
