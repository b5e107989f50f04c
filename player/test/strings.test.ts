import { expect, test } from 'vitest';
import { arabic } from '../src/strings-ar.js';
import { addLanguage, english, stringsFor } from '../src/strings.js';

test('the Arabic table has every word of the English one, none of them English', () => {
  const words = (table: object): string[] => Object.keys(table).sort();
  expect(words(arabic)).toEqual(words(english));
  expect(words(arabic.done)).toEqual(words(english.done));
  for (const [name, value] of Object.entries(arabic)) {
    const text: unknown = typeof value === 'function' ? (value as (...all: unknown[]) => string)(3, 3) : value;
    if (typeof text === 'string' && !['about', 'closed'].includes(name)) expect(text, name).toMatch(/[\u0600-\u06ff]/);
  }
});

test('Arabic counts one, two, few and many', () => {
  expect([1, 2, 3, 11, 100].map((count) => arabic.newMessages(count).replace(/[\d\u0660-\u0669]+/, '#'))).toEqual([
    'رسالة جديدة',
    'رسالتان جديدتان',
    '# رسائل جديدة',
    '# رسالة جديدة',
    '# رسالة جديدة',
  ]);
});

test('a language that is added is found by its tag, and English stands in for the rest', () => {
  expect(stringsFor('xx-YY')).toBe(english);
  addLanguage('xx', arabic);
  expect(stringsFor('xx-YY')).toBe(arabic);
  expect(stringsFor(null)).toBe(english);
});
