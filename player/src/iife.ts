/** One script tag: the element is registered, the rest hangs on the global `ChatsyncPlayer`. */

import './define.js';

export * from './index.js';
