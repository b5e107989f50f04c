import { defineConfig } from 'vite';

/** The stage of the browser tests, in one file: no part of the package. */
export default defineConfig({
  build: { target: 'es2022', outDir: 'build', emptyOutDir: true, minify: false, lib: { entry: 'test/stage.ts', name: 'Stage', formats: ['iife'], fileName: () => 'stage.js' } },
});
