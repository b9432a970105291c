"""Forms of something that cost time to make: each is made when it is first asked for, once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edgeworthy.errors import EdgeworthyError

View = TypeVar("View")
Owner = TypeVar("Owner", bound="Views")


@dataclass(kw_only=True)
class Views:
    """What has views: methods that are marked with ``once``, and further ones by name."""

    #: Called with a view's name, and True before it is made and False after.
    on_view: Callable[[str, bool], None] = field(default=lambda name, begins: None, repr=False)
    _views: dict[str, Any] = field(default_factory=dict, repr=False)

    def once(self, name: str, make: Callable[[], View]) -> View:
        """The result of ``make``, called once for each ``name``; an error is kept and raised again too."""
        if name not in self._views:
            self.on_view(name, True)
            try:
                self._views[name] = make()
            except EdgeworthyError as error:
                self._views[name] = error
            finally:
                self.on_view(name, False)
        if isinstance(self._views[name], EdgeworthyError):
            raise self._views[name]
        made: View = self._views[name]
        return made

    def fail_view(self, name: str, error: EdgeworthyError) -> None:
        """Let the view raise ``error``: making it killed or hung an earlier process."""
        self._views[name] = error


def once(make: Callable[[Owner], View]) -> Callable[[Owner], View]:
    """A view of the method's name, made at most once."""

    @functools.wraps(make)
    def view(self: Owner) -> View:
        return self.once(make.__name__, lambda: make(self))

    return view
