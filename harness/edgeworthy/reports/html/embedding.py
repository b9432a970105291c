"""Data inside of a page: JSON that no text of a user's can end, and the checksums by which scripts and styles are allowed."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from markupsafe import Markup

#: What could end a script element or begin a comment in it, and two line ends of JavaScript that are none of JSON.
_ESCAPES = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def embedded(value: Any) -> Markup:
    """``value`` as JSON for a ``<script type="application/json">``. Raises ValueError for NaN and infinity, which JSON lacks."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign, escape in _ESCAPES.items():  # ten times as fast as str.translate
        text = text.replace(sign, escape)
    return Markup(text)  # noqa: S704 - escaped above


def checksum(inline: str) -> str:
    """How a content security policy names a script that may run, or a style that counts."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
