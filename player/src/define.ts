/** Registers the elements. The only module with a side effect. */

import { ChatsyncChat } from './chat-element.js';
import { ChatsyncHeatmap } from './heatmap-element.js';
import { register } from './register.js';
import { ChatsyncSearch } from './search-element.js';
import { arabic } from './strings-ar.js';
import { addLanguage } from './strings.js';

/** Every element by its tag. Another one is a line here, one in index.ts, and for pages without a bundler one in iife-more.ts. */
const ELEMENTS = {
  'chatsync-chat': ChatsyncChat,
  'chatsync-heatmap': ChatsyncHeatmap,
  'chatsync-search': ChatsyncSearch,
};

type Elements = { [Tag in keyof typeof ELEMENTS]: InstanceType<(typeof ELEMENTS)[Tag]> };

declare global {
  interface HTMLElementTagNameMap extends Elements {}
}

addLanguage('ar', arabic);
register(ELEMENTS);

export { ChatsyncChat, ChatsyncHeatmap, ChatsyncSearch };
