import { defineConfig, type UserConfig } from 'vite';
import { exportsOfPart, partsLeftOut, PART_GLOBAL } from './later.js';

// virtual-core asks `process.env.NODE_ENV`, which no browser has.
const define = { 'process.env.NODE_ENV': JSON.stringify('production') };

/** The entries of the package: each is `src/NAME.ts`, and an entry of `exports` in package.json. */
const ENTRIES = ['index', 'define', 'react', 'videojs'];

/** Modules of the first script that those after it take from it: what they import of these, iife.ts exports. */
const SHARED = /\/src\/(chat-timeline|chat-element|connection|deeds|playhead|adapters\/(hls|recording))\.[jt]s$/;
const LIT = /^lit(\/|$)/;

const MODULES: UserConfig = {
  define,
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    minify: false,
    lib: { entry: Object.fromEntries(ENTRIES.map((name) => [name, `src/${name}.ts`])), formats: ['es'] },
    // @lit/react is built in: as a dependency it would ask everybody for React's types.
    rollupOptions: { external: [LIT, '@tanstack/virtual-core', 'react'], output: { chunkFileNames: '[name].js' } },
  },
};

type RollupOptions = NonNullable<UserConfig['build']>['rollupOptions'];

/** A script, with all it needs but what is external. */
function script(name: string, source: string, file: string, rollupOptions: RollupOptions = {}): UserConfig {
  const lib = { entry: `src/${source}.ts`, name, formats: ['iife' as const], fileName: () => `${file}.js` };
  return { define, build: { target: 'es2022', outDir: 'dist', emptyOutDir: false, lib, rollupOptions } };
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
  if (part !== undefined) return { ...script(PART_GLOBAL, part, `chatsync-${part}`, { external, output: { globals } }), plugins: [exportsOfPart()] };
  if (mode === 'host') return script('ChatsyncHost', 'host', 'chatsync-host');
  if (mode === 'script') return { ...script('ChatsyncPlayer', 'iife', 'chatsync-player'), plugins: [partsLeftOut()] };
  if (mode === 'more') return { ...script('ChatsyncPlayer', 'iife-more', 'chatsync-more', { external, output: { extend: true, globals } }), plugins: [partsLeftOut()] };
  return MODULES;
});
