"""Pages from their templates: everything is escaped, and nothing is loaded from anywhere."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from edgeworthy.reports.html.embedding import checksum, embedded
from edgeworthy.reports.html.statuses import MEANINGS, SIGNS
from edgeworthy.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

#: What a page runs, in this order: the library of charts as it was published, and the page's own.
CHARTS = ("d3.min.js", "plot.min.js")
SCRIPTS = {
    "page.html.jinja": ("address.js", "filters.js", "sorting.js", "charts.js", "cells.js", "pairs.js", "start.js"),
    "compare.html.jinja": ("charts.js", "cells.js", "pairs.js", "compare.js"),
    "site_model.html.jinja": ("charts.js", "cells.js", "site.js"),
}
#: Nothing but this page's own scripts and style counts, and nothing is loaded.
_POLICY = "default-src 'none'; script-src {scripts}; style-src {style}; img-src data:; form-action 'none'"


def render(name: str, context: Mapping[str, Any]) -> str:
    """The template of that name, filled. A template may use scripts, styles and the policy that allows just these."""
    return _environment().get_template(name, globals=_scripts(name)).render(context)


@functools.cache
def _scripts(name: str) -> dict[str, Any]:
    """The scripts of a template, and the policy that allows just these and the style of pages."""
    from markupsafe import Markup

    if name not in SCRIPTS:
        return {"scripts": [], "policy": _policy([])}
    own = "\n".join(_file("templates", file) for file in SCRIPTS[name])
    scripts = [*(_file("charts", file) for file in CHARTS), own]
    return {
        "scripts": [Markup(script) for script in scripts],  # noqa: S704 - our own files
        "policy": _policy(scripts),
    }


def _policy(scripts: Sequence[str]) -> str:
    """What allows these scripts and the style of all pages."""
    return _POLICY.format(scripts=" ".join(map(checksum, scripts)) or "'none'", style=checksum(_style()))


@functools.cache
def _style() -> str:
    return _file("templates", "page.css")


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("edgeworthy.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    made.filters["embedded"] = embedded
    made.globals.update(
        signs=SIGNS,
        meanings=MEANINGS,
        style=Markup(_style()),  # noqa: S704 - our own file
    )
    return made


def _shown(value: Any) -> Any:
    """Text of users, whose signs may be none that are printed; what is markup already is our own."""
    return printable(value) if type(value) is str else value


def _file(folder: str, name: str) -> str:
    return resources.files("edgeworthy.reports.html").joinpath(folder, name).read_text(encoding="utf-8")
