/** Registers the elements. The only module with a side effect. */

import { ChatsyncChat } from './chat-element.js';

/** Every element by its tag. Another one is a line here, and one in index.ts. */
const ELEMENTS = {
  'chatsync-chat': ChatsyncChat,
};

type Elements = { [Tag in keyof typeof ELEMENTS]: InstanceType<(typeof ELEMENTS)[Tag]> };

declare global {
  interface HTMLElementTagNameMap extends Elements {}
}

for (const [tag, element] of Object.entries(ELEMENTS)) {
  if (customElements.get(tag) === undefined) customElements.define(tag, element);
}

export { ChatsyncChat };
