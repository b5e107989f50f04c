/**
 * The Arabic table. Counts take the form the language has for them: one, two, few, many.
 *
 * Not in the first script tag, which every page loads whatever its language is.
 */

import type { Strings } from './strings.js';

const rules = new Intl.PluralRules('ar');
const numbers = new Intl.NumberFormat('ar');

interface Forms {
  readonly zero: string;
  readonly one: string;
  readonly two: string;
  readonly few: string;
  readonly many: string;
  readonly other: string;
}

/** `#` is where the number stands. */
const counted =
  (forms: Forms) =>
  (count: number): string =>
    forms[rules.select(count)].replace('#', numbers.format(count));

const MESSAGES = { zero: 'لا رسائل', one: 'رسالة واحدة', two: 'رسالتان', few: '# رسائل', many: '# رسالة', other: '# رسالة' };
const VOTES = { zero: 'لا أصوات', one: 'صوت واحد', two: 'صوتان', few: '# أصوات', many: '# صوتًا', other: '# صوت' };
const SECONDS = { zero: '# ثانية', one: 'ثانية واحدة', two: 'ثانيتين', few: '# ثوانٍ', many: '# ثانية', other: '# ثانية' };
const votes = counted(VOTES);
const seconds = counted(SECONDS);

const FAILED: Readonly<Record<string, string>> = {
  rate_limited: 'أنت تكتب بسرعة كبيرة.',
  slow_mode: 'الوضع البطيء مفعّل: انتظر قليلًا.',
  too_long: 'الرسالة طويلة جدًا.',
  muted: 'تم كتمك.',
  not_allowed: 'لا يمكنك الكتابة هنا الآن.',
};

const REFUSED: Readonly<Record<string, string>> = {
  rate_limited: 'بسرعة كبيرة. انتظر قليلًا.',
  not_allowed: 'لا يمكنك فعل ذلك الآن.',
  not_found: 'لم يعد ذلك موجودًا.',
  closed: 'الاستطلاع مغلق.',
  offline: 'لا يوجد اتصال.',
  socket_closed: 'لا يوجد اتصال.',
};

const CLOSED: Readonly<Record<number, string>> = {
  4501: 'هذه الدردشة غير موجودة أو غير متاحة لك.',
  4502: 'انتهت صلاحية دخولك. أعد تحميل الصفحة.',
  4504: 'لا يمكنك المشاركة في هذه الدردشة.',
};

export const arabic: Strings = {
  chat: 'الدردشة',
  messages: 'رسائل الدردشة',
  live: 'مباشر',
  recording: 'تسجيل',
  jumpToLive: 'إلى البث المباشر',
  jumpToNow: 'إلى الآن',
  goTo: (time) => `انتقل إلى ${time}`,
  paused: 'الدردشة متوقفة',
  newMessages: counted({ zero: 'لا جديد', one: 'رسالة جديدة', two: 'رسالتان جديدتان', few: '# رسائل جديدة', many: '# رسالة جديدة', other: '# رسالة جديدة' }),
  newAnnounced: counted({ zero: 'لا جديد', one: 'رسالة جديدة واحدة', two: 'رسالتان جديدتان', few: '# رسائل جديدة', many: '# رسالة جديدة', other: '# رسالة جديدة' }),
  behindLive: (time) => `قيلت أثناء مشاهدة ${time}`,
  question: 'سؤال',
  announcement: 'إعلان',
  host: 'المضيف',
  moderator: 'مشرف',
  pinned: (text) => (text === '' ? 'ثُبّتت رسالة' : `مثبّت: ${text}`),
  unpinned: 'أزيلت الرسالة المثبّتة',
  questionAnswered: 'أجيب عن سؤال',
  broadcastOpened: 'بدأ البث',
  broadcastClosed: 'انتهى البث',
  write: 'اكتب رسالة',
  send: 'إرسال',
  ask: 'اطرح سؤالًا',
  sending: 'جارٍ الإرسال…',
  held: 'بانتظار الموافقة',
  sayAgain: 'حاول مجددًا',
  dismiss: 'إزالة',
  failed: (code) => FAILED[code] ?? `لم تُرسل (${code}).`,
  empty: 'لم يُكتب شيء هنا بعد.',
  loading: 'جارٍ تحميل الدردشة…',
  connecting: 'جارٍ الاتصال…',
  offline: 'انقطع الاتصال. نحاول مجددًا…',
  closed: (code) => CLOSED[code] ?? 'الدردشة مغلقة.',
  holdHint: 'تظهر الرسائل مع الصورة التي تخصها',
  nowHint: 'تظهر الرسائل عند كتابتها',
  syncHold: 'مع الصورة',
  syncNow: 'عند الكتابة',
  more: (count) => `و${counted(MESSAGES)(count)} أخرى`,
  watching: counted({ zero: 'لا مشاهدين', one: 'مشاهد واحد', two: 'مشاهدان', few: '# مشاهدين', many: '# مشاهدًا', other: '# مشاهد' }),
  message: 'رسالة',
  privateMark: 'إلى المضيفين',
  privateHint: 'لن يراها إلا المضيفون والمشرفون.',
  writePrivately: 'اكتب إلى المضيفين',
  announce: 'اكتب إعلانًا',
  kindOfMessage: 'نوع الرسالة',
  answering: (name) => `ردًا على ${name}:`,
  stopAnswering: 'إلغاء الرد',
  slowMode: (count) => `الوضع البطيء: رسالة واحدة كل ${seconds(count)}`,
  chatClosed: 'الدردشة مغلقة.',
  hostsOnly: 'يكتب المضيفون فقط الآن.',
  mayNotWrite: 'لا يمكنك الكتابة هنا الآن.',
  replies: 'ردود للاختيار',
  reactions: 'التفاعلات',
  react: (emoji) => `تفاعل بـ ${emoji}`,
  raiseHand: 'ارفع يدك',
  lowerHand: 'أنزل اليد',
  actions: 'إجراءات',
  actionsFor: (name) => `إجراءات لرسالة ${name}`,
  about: (action, name) => `${action}: ${name}`,
  answer: 'رد',
  upvote: 'تأييد',
  report: 'إبلاغ',
  muteForMe: 'اكتمه عندي',
  hide: 'إخفاء',
  pin: 'تثبيت',
  mute: 'كتم 10 دقائق',
  ban: 'حظر',
  banReally: 'حظر نهائي؟',
  undo: 'تراجع',
  done: {
    report: 'تم الإبلاغ. لا يراه إلا المشرفون.',
    hide: 'أُخفيت الرسالة عن الجميع.',
    restore: 'عادت الرسالة.',
    mute: 'كُتم لمدة 10 دقائق.',
    ban: 'تم الحظر.',
    pin: 'تم التثبيت.',
    answer: 'وُضعت علامة: أجيب عنه.',
    muteForMe: 'لن ترى رسائله.',
  },
  refused: (code) => REFUSED[code] ?? `لم ينجح ذلك (${code}).`,
  close: 'إغلاق',
  views: 'ما يُعرض',
  questions: (count) => (count === 0 ? 'الأسئلة' : `الأسئلة (${numbers.format(count)})`),
  noQuestions: 'لا أسئلة مفتوحة.',
  upvoteCount: (count, name) => `▲ ${count}: أيّد سؤال ${name}`,
  answered: 'أجيب عنه',
  moderation: (count) => (count === 0 ? 'الإشراف' : `الإشراف (${numbers.format(count)})`),
  waiting: 'بانتظار الموافقة',
  nothingWaits: 'لا شيء ينتظر.',
  approve: 'موافقة',
  reject: 'رفض',
  reports: 'البلاغات',
  noReports: 'لا بلاغات.',
  hands: 'الأيدي المرفوعة',
  noHands: 'لا أيدي مرفوعة.',
  pinnedMessage: 'رسالة مثبّتة',
  unpin: 'إزالة التثبيت',
  poll: 'استطلاع',
  vote: 'صوّت',
  voteAgain: 'غيّر صوتي',
  yourVote: 'صوتك',
  votes,
  closePoll: 'أغلق الاستطلاع',
  pollFinal: (count) => `النتيجة النهائية: ${votes(count)}`,
  pollCounting: 'أُغلق. ما زالت الأصوات المتأخرة تُعد.',
  rightAnswer: 'صحيح',
  options: 'خيارات',
  offset: 'تأخير الدردشة أو تقديمها',
  offsetHint: 'لبث ساعته غير صحيحة. يُحفظ لهذا البث.',
  offsetReset: 'إعادة الضبط',
  earlierBy: (count) => `تقديم ${numbers.format(count)} ث`,
  laterBy: (count) => `تأخير ${numbers.format(count)} ث`,
  mutedByYou: 'من كتمتهم',
  nobodyMuted: 'لا أحد.',
  showAgain: 'أظهر مجددًا',
};
