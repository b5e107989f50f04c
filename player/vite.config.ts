import { defineConfig } from 'vite';

// virtual-core asks `process.env.NODE_ENV`, which no browser has.
const define = { 'process.env.NODE_ENV': JSON.stringify('production') };

/** `vite build` makes the ES modules, `vite build --mode iife` the single file that the Python package serves. */
export default defineConfig(({ mode }) =>
  mode === 'iife'
    ? {
        define,
        build: {
          target: 'es2022',
          outDir: '../chatsync/web',
          emptyOutDir: true,
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
          lib: { entry: { index: 'src/index.ts', define: 'src/define.ts' }, formats: ['es'] },
          rollupOptions: { external: [/^lit(\/|$)/, '@tanstack/virtual-core'] },
        },
      },
);
