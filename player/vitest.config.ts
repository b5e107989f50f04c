import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^chatsync-player$/, replacement: path('./src/index.ts') },
      { find: /^chatsync-player\/(.*)$/, replacement: path('./src/$1.ts') },
      { find: /^@lit\/react$/, replacement: path('./node_modules/@lit/react/index.js') }, // as browsers get it, and what is built in
    ],
  },
  test: { include: ['test/**/*.test.{ts,tsx}'], environment: 'node', testTimeout: 10_000 },
});
