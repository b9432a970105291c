"""Where the history is: a SQLite file or a PostgreSQL database, shown without its password."""

from __future__ import annotations

import importlib.util
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.errors import HistoryError

if TYPE_CHECKING:
    from sqlalchemy import URL

FILE_NAME = "history.sqlite"
#: The ini value of a project whose runs do not record themselves.
OFF = "off"
BACKENDS = ("sqlite", "postgresql")
_FORMS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"


def installed() -> bool:
    """Whether the extra ``history`` is; nothing is imported."""
    return importlib.util.find_spec("sqlalchemy") is not None


@dataclass(frozen=True, repr=False)
class Location:
    """A database's address. Only ``shown`` may be printed."""

    url: URL

    @classmethod
    def parse(cls, text: str) -> Location:
        """From a URL, or the path of a SQLite file. Raises HistoryError where the extra is missing, or it is neither."""
        if not installed():
            raise HistoryError("the history needs SQLAlchemy", hint="pip install 'edgeworthy[history]'")
        return cls(_parsed(text) if "://" in text else _file_url(text))

    @property
    def file(self) -> Path | None:
        """SQLite's file."""
        return Path(str(self.url.database)) if self.url.get_backend_name() == "sqlite" else None

    @property
    def shown(self) -> str:
        """The address with ``***`` for every secret in it."""
        query = {name: "***" if "pass" in name.lower() else value for name, value in self.url.query.items()}
        return self.url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")

    def scrub(self, text: str) -> str:
        """``text`` of a driver without the secrets of the address, however they are quoted."""
        hidden = [value for name, value in self.url.query.items() if "pass" in name.lower()]
        for secret in filter(None, [self.url.password, *map(str, hidden)]):
            for form in {str(secret), urllib.parse.quote(str(secret), safe=""), urllib.parse.quote_plus(str(secret))}:
                text = text.replace(form, "***")
        return text


def _file_url(path: str) -> URL:
    from sqlalchemy import URL

    return URL.create("sqlite", database=path)


def _parsed(text: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # whose words may hold the password
        url = None
    if url is None or url.get_backend_name() not in BACKENDS or not url.database:
        raise HistoryError("the address of the history is none that edgeworthy knows", hint=f"write it as {_FORMS}")
    return url
