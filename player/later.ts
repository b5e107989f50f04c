/**
 * Parts of the script that are loaded when they are needed, each a file beside it.
 *
 * Whatever a module of ours imports by `import('./NAME.js')` is left out of the script for a tag and becomes
 * `chatsync-NAME.js`, which the browser looks for where the script came from. The part takes lit and what else it shares
 * with the script from the global `ChatsyncPlayer`. ES modules need none of this: there it is a chunk like any other.
 */

import type { Plugin } from 'vite';

/** What is said of a part to the build that makes it. */
const GLOBAL = 'ChatsyncPart';

/** In the script: dynamic imports of ours stay what they are, and name the part's file. @param found is told of each part. */
export function partsLeftOut(found: (name: string) => void = () => undefined): Plugin {
  return {
    name: 'chatsync-parts-left-out',
    enforce: 'pre',
    resolveDynamicImport(specifier) {
      const name = typeof specifier === 'string' ? /^\.\/([\w-]+)\.js$/.exec(specifier)?.[1] : undefined;
      if (name === undefined) return null;
      found(name);
      return { id: `./chatsync-${name}.js`, external: true };
    },
  };
}

/** In a part: what is made as one expression for a global becomes a module with the exports of its source. */
export function exportsOfPart(): Plugin {
  return {
    name: 'chatsync-exports-of-part',
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type === 'chunk') file.code = `${file.code.trimEnd()}\nexport const{${file.exports.join(',')}}=${GLOBAL};\n`;
      }
    },
  };
}

export { GLOBAL as PART_GLOBAL };
