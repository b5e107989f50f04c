/**
 * Words of what only those who run the room open, one table per language.
 *
 * Apart from strings.ts, since nobody else loads them (later.ts).
 */

export interface SideStrings {
  readonly hidden: string;
  readonly nothingHidden: string;
  readonly hiddenBy: (name: string, reason: string) => string;
  readonly noWords: string;
  readonly restore: string;
  readonly earlier: string;
  readonly reading: string;
  readonly failed: string;
  readonly isAll: string;
}

const english: SideStrings = {
  hidden: 'Hidden',
  nothingHidden: 'Nothing is hidden.',
  hiddenBy: (name, reason) => `${name === '' ? 'Hidden' : `Hidden by ${name}`}${reason === '' ? '' : `: ${reason}`}`,
  noWords: 'Its words are no longer kept.',
  restore: 'Show to everyone again',
  earlier: 'Look further back',
  reading: 'Looking further back…',
  failed: 'What came earlier could not be read.',
  isAll: 'That is all of this broadcast.',
};

const arabic: SideStrings = {
  hidden: 'المخفي',
  nothingHidden: 'لا شيء مخفي.',
  hiddenBy: (name, reason) => `${name === '' ? 'أُخفيت' : `أخفاها ${name}`}${reason === '' ? '' : `: ${reason}`}`,
  noWords: 'لم يعد نصها محفوظًا.',
  restore: 'إظهارها للجميع مجددًا',
  earlier: 'البحث أبعد في الماضي',
  reading: 'جارٍ البحث أبعد في الماضي…',
  failed: 'تعذّرت قراءة ما سبق.',
  isAll: 'هذا كل ما في هذا البث.',
};

export const sideStringsFor = (language: string): SideStrings => (/^ar\b/i.test(language) ? arabic : english);
