import { defineConfig, type UserConfig } from 'vite';

// virtual-core asks `process.env.NODE_ENV`, which no browser has.
const define = { 'process.env.NODE_ENV': JSON.stringify('production') };

/** The entries of the package: each is `src/NAME.ts`, and an entry of `exports` in package.json. */
const ENTRIES = ['index', 'define', 'react', 'videojs'];

/** Modules of the first script that the second takes from it: what they import of these, iife.ts exports. */
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

/** A script for a tag, with all it needs but `external`. */
function script(entry: string, file: string, rollupOptions: NonNullable<UserConfig['build']>['rollupOptions'] = {}): UserConfig {
  return {
    define,
    build: { target: 'es2022', outDir: 'dist', emptyOutDir: false, lib: { entry, name: 'ChatsyncPlayer', formats: ['iife'], fileName: () => file }, rollupOptions },
  };
}

/** `vite build` makes the ES modules; the modes make the scripts that the relay and the CDNs of npm serve. */
export default defineConfig(({ mode }) => {
  if (mode === 'host') return script('src/host.ts', 'chatsync-host.js');
  if (mode === 'script') return script('src/iife.ts', 'chatsync-player.js');
  if (mode !== 'more') return MODULES;
  return script('src/iife-more.ts', 'chatsync-more.js', {
    external: (id) => LIT.test(id) || SHARED.test(id),
    output: { extend: true, globals: (id) => (LIT.test(id) ? 'ChatsyncPlayer.lit' : 'ChatsyncPlayer') },
  });
});
