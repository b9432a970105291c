"""Debian's Chromium, driven by Playwright: pages as a person has them, and what must never happen in one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Opened:
    """A page, and what went wrong in it: requests for what it may not ask for, messages, exceptions."""

    page: Any
    defects: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        """The text of every element that is seen."""
        found: list[str] = self.page.eval_on_selector_all(
            selector, "all => all.filter(one => one.checkVisibility()).map(one => one.innerText.trim())"
        )
        return found

    def widths(self) -> tuple[int, int]:
        """That of the page, and that of what is seen of it."""
        page, seen = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        return page, seen

    def violations(self) -> list[str]:
        """What axe-core finds, at every impact."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser. Skips the test where Playwright or Chromium is not installed."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="pages are tested by Playwright: pip install playwright"
    )
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed here: apt-get install chromium")
    # Chromium's own sandbox refuses to run as root.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, file: Path, hash_: str = "", folder: Path | None = None, **how: Any) -> Iterator[Opened]:
    """The file, from the disk; ``how`` are Playwright's options of a page. Fails where anything went wrong in it.

    It may ask for nothing but itself and what lies in it; where it is one of several in a ``folder``, for these.
    """
    page = browser.new_page(**how)
    found = Opened(page)
    page.on("console", lambda message: found.defects.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.defects.append(f"exception: {error}"))
    page.on("dialog", lambda dialog: (found.defects.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: found.defects.extend(_elsewhere(request.url, folder or file)))
    page.goto(f"{file.as_uri()}{hash_}")
    yield found
    page.close()
    assert found.defects == []


def _elsewhere(url: str, allowed: Path) -> list[str]:
    own = url.partition("#")[0]
    inside = own == allowed.as_uri() or (allowed.is_dir() and own.startswith(f"{allowed.as_uri()}/"))
    return [] if inside or url.startswith("data:") else [f"request: {url}"]
