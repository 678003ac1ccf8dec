"""Texts that a page must only show: HTML, SVG, templates, control and direction characters, very long ones; and a page, read."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

from tests.support.hostile import HOSTILE

_ATTACKS = Path(__file__).parent.parent / "judges" / "attacks.jsonl"

MARKUP = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://evil.example/pixel.gif'>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data='javascript:alert(1)'></object>",
    "<embed src='data:text/html,<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<form action='http://evil.example'><input name=q autofocus onfocus=alert(1)>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<base href='http://evil.example/'>",
    "<link rel=stylesheet href='http://evil.example/x.css'>",
    "<style>*{background:url(http://evil.example)}</style>",
    "<div style='position:fixed;inset:0'>x</div>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "` onmouseover=alert(1)",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    '<!--<img src="--><img src=x onerror=alert(1)>',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "&colon;javascript&Tab;:alert(1)",
    "\ufe64script\ufe65alert(1)\ufe64/script\ufe65",
    "\uff1cscript\uff1ealert(1)",
    "{{ 7 * 7 }} {% raw %}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% include '/etc/passwd' %}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example>",
    "# heading\n\n| a | b |\n| :- | -: |\n| <b>x</b> | y |",
    "\x00NUL\x00in\x00between",
    "\x1b]0;title\x07\x1b[31mred\x1b[0m \x9b31m",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f\u061c",
    "zero\u200bwidth\u200dand\ufeffmark\u00ad",
    "a" * 300_000,
    "\u0300" * 5_000,
    "\ud55c\uae00" * 40_000,
    "line\u2028separator\u2029paragraph\x85next\rreturn\r\nboth\ttab",
    "../../../../etc/passwd\n..\\..\\windows\\win.ini\nfile:///etc/passwd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U000e0061\U000e0062 \ufffe\uffff",
]  # fmt: skip


def payloads() -> list[str]:
    """All of them, what has broken something elsewhere, and attacks on judges."""
    attacks = [json.loads(line)["text"] for line in _ATTACKS.read_text(encoding="utf-8").splitlines()]
    return [*MARKUP, *HOSTILE.values(), *attacks[::10]]


class Page(HTMLParser):
    """Reads a page as a browser does, and notes whatever no page of ours has."""

    ATTRIBUTES = frozenset({"style", "srcdoc", "formaction", "xlink:href", "background", "ping"})
    TAGS = frozenset({"iframe", "object", "embed", "base", "style", "img", "video", "audio", "math", "animate", "image", "use",
                      "foreignobject", "applet", "frame", "frameset", "portal", "source", "textarea", "template"})  # fmt: skip

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in self.TAGS or (tag == "script" and not str(told.get("src")).startswith("/static/")):
            self.wrong.append(f"<{tag}>")
        if tag == "meta" and told.get("http-equiv", "refresh") != "refresh":
            self.wrong.append("<meta>")
        for name, value in attrs:
            if name.startswith("on") or name in self.ATTRIBUTES:
                self.wrong.append(f"{tag} {name}")
            if name in {"href", "src", "action"}:
                self.links.append(value or "")
                if not (value or "").startswith(("/", "?", "#")) or (value or "").startswith("//"):
                    self.wrong.append(f"{tag} {name}={value!r}")

    def handle_data(self, data: str) -> None:
        self.text += data
