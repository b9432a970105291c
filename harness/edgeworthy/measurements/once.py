"""What is made of each model once, whichever thread asks first."""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from edgeworthy.errors import EdgeworthyError

Made = TypeVar("Made")


def once(make: Callable[[str], Made]) -> Callable[[str], Made]:
    """``make`` of a model, called once for each; an error is kept and raised again too."""
    cached = functools.cache(make)
    failed: dict[str, EdgeworthyError] = {}
    lock_of: dict[str, threading.RLock] = defaultdict(threading.RLock)
    lock = threading.Lock()

    def found(model: str) -> Made:
        with lock:
            own = lock_of[model]
        with own:
            if model in failed:
                raise failed[model]
            try:
                return cached(model)
            except EdgeworthyError as error:
                failed[model] = error
                raise

    return found
