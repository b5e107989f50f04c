import { defineConfig } from 'vite';

// virtual-core asks `process.env.NODE_ENV`, which no browser has.
const define = { 'process.env.NODE_ENV': JSON.stringify('production') };

/** The entries of the package: each is `src/NAME.ts`, and an entry of `exports` in package.json. */
const ENTRIES = ['index', 'define', 'react', 'videojs'];

/** `vite build` makes the ES modules, `vite build --mode iife` the single file that the relay and the CDNs of npm serve. */
export default defineConfig(({ mode }) =>
  mode === 'iife'
    ? {
        define,
        build: {
          target: 'es2022',
          outDir: 'dist',
          emptyOutDir: false,
          lib: { entry: 'src/iife.ts', name: 'ChatsyncPlayer', formats: ['iife'], fileName: () => 'chatsync-player.js' },
        },
      }
    : {
        define,
        build: {
          target: 'es2022',
          outDir: 'dist',
          emptyOutDir: true,
          minify: false,
          lib: { entry: Object.fromEntries(ENTRIES.map((name) => [name, `src/${name}.ts`])), formats: ['es'] },
          // @lit/react is built in: as a dependency it would ask everybody for React's types.
          rollupOptions: { external: [/^lit(\/|$)/, '@tanstack/virtual-core', 'react'], output: { chunkFileNames: '[name].js' } },
        },
      },
);
