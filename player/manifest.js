// Writes the custom elements manifest from the comments over the elements' classes, for editors and documentation.
// The analyzer that is made for this brings a second TypeScript; our comments keep to a form that a page of code reads.
import { readdirSync, readFileSync } from 'node:fs';

/** Comment tags that are told, and what they are called in the manifest. A tag may name several things at once: `@csspart a, b`. */
const LISTS = { attr: 'attributes', fires: 'events', csspart: 'cssParts', cssproperty: 'cssProperties', slot: 'slots' };

/** @param source the folder of the elements' modules and of define.ts, with a slash at its end. */
export function manifestOf(source) {
  const tags = new Map([...readFileSync(`${source}define.ts`, 'utf8').matchAll(/^\s+'([a-z-]+)': (\w+),$/gm)].map(([, tag, name]) => [name, tag]));
  const declarations = readdirSync(source)
    .filter((name) => name.endsWith('-element.ts'))
    .sort()
    .flatMap((name) => declarationsOf(readFileSync(source + name, 'utf8'), tags));
  const missing = [...tags.keys()].filter((name) => !declarations.some((one) => one.name === name));
  if (missing.length > 0) throw new Error(`define.ts registers ${missing.join(', ')}, of which no *-element.ts tells in a comment over its class`);
  return {
    schemaVersion: '2.1.0',
    readme: 'README.md',
    modules: [
      { kind: 'javascript-module', path: 'dist/index.js', declarations, exports: declarations.map(({ name }) => ({ kind: 'js', name, declaration: { name } })) },
      {
        kind: 'javascript-module',
        path: 'dist/define.js',
        declarations: [],
        exports: declarations.map(({ name, tagName }) => ({ kind: 'custom-element-definition', name: tagName, declaration: { name, module: 'dist/index.js' } })),
      },
    ],
  };
}

function declarationsOf(code, tags) {
  return [...code.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport class (\w+) extends LitElement/g)].map(([, comment, name]) => {
    const lines = comment.split('\n').map((line) => line.replace(/^\s*\* ?/, '').trimEnd());
    const text = lines.join('\n').trim();
    const description = text.split(/^@/m)[0].trim() || code.match(/^\/\*\*\s*\n \* (.*)$/m)?.[1] || '';
    const told = Object.fromEntries(Object.values(LISTS).map((list) => [list, []]));
    for (const [, tag, rest] of text.matchAll(/^@(\w+) ([^]*?)(?=\n@|$(?![^]))/gm)) {
      const list = LISTS[tag];
      if (list === undefined) continue;
      const [names, about] = rest.replace(/\s*\n\s*/g, ' ').split(/\s+-\s+([^]*)/);
      for (const one of names.split(/,\s*/)) told[list].push(about ? { name: one.trim(), description: about.trim() } : { name: one.trim() });
    }
    for (const event of told.events) event.type = { text: 'CustomEvent' };
    const fields = [...code.matchAll(/^  declare (\w+): ([^;]+);$/gm)].map(([, field, type]) => ({ kind: 'field', name: field, type: { text: type } }));
    const fieldOf = (attribute) => fields.find((field) => field.name === attribute.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase()));
    for (const attribute of told.attributes) {
      const field = fieldOf(attribute.name);
      if (field === undefined) continue;
      attribute.fieldName = field.name;
      attribute.type = field.type;
      field.attribute = attribute.name;
    }
    const superclass = { name: 'LitElement', package: 'lit' };
    return { kind: 'class', name, customElement: true, tagName: tags.get(name), description, superclass, members: fields, ...told };
  });
}
