/** The script of the page `/host/{room}`, for nobody else to embed. */

import { ChatsyncHostPanel } from './host-panel.js';
import { register } from './register.js';

const page = new CSSStyleSheet();
page.replaceSync('body { margin: 0; }');
document.adoptedStyleSheets.push(page);
register({ 'chatsync-host-panel': ChatsyncHostPanel });
