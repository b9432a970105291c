"""LiteRT's GPU accelerator as a target without a GPU: SwiftShader, a Vulkan driver of Chromium, computes on the processor."""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import json
import os
from pathlib import Path

from edgeworthy.emulator_schema import LitertGpuBackend
from edgeworthy.errors import BackendUnused
from edgeworthy.storage import file_digest
from edgeworthy.targets.emulated import EmulatedTarget
from edgeworthy.temporary import temporary_folder

DRIVER, LOADER = "libvk_swiftshader.so", "libvulkan.so.1"
#: Where Chromium, Chrome and Playwright's Chromium put their driver; the last are below the user's home.
_PLACES = (
    "/usr/lib/chromium",
    "/usr/lib64/chromium-browser",
    "/usr/lib/chromium-browser",
    "/opt/google/chrome",
    "/snap/chromium/current/usr/lib/chromium-browser",
)
_PLAYWRIGHT = ".cache/ms-playwright/chromium-*/chrome-linux*"
#: What the loader of Vulkan is told of a driver: https://github.com/KhronosGroup/Vulkan-Loader, LoaderDriverInterface.md.
_MANIFEST = '{"file_format_version": "1.0.0", "ICD": {"library_path": %s, "api_version": "1.0.5"}}'


class SoftwareGpuTarget(EmulatedTarget):
    """Its runner's processes find one Vulkan driver, and no other that this machine has."""

    backend: LitertGpuBackend

    def __init__(self, device: str, backend_name: str, backend: LitertGpuBackend) -> None:
        super().__init__(device, backend_name, backend)
        self._open = contextlib.ExitStack()

    @functools.cached_property
    def driver(self) -> Path | None:
        """The driver's file; None where there is none."""
        if self.backend.vulkan_driver:
            return Path(self.backend.vulkan_driver)
        folders = [*map(Path, _PLACES), *sorted(Path.home().glob(_PLAYWRIGHT))]
        return next((folder / DRIVER for folder in folders if (folder / DRIVER).is_file()), None)

    def identity(self) -> dict[str, str]:
        """The machine, this backend's options and the driver's file: its versions have no other name."""
        return {**super().identity(), "vulkan_driver": self._digest}

    @functools.cached_property
    def _digest(self) -> str:
        return file_digest(self.driver)[:12] if self.driver and self.driver.is_file() else "none"

    def environment(self) -> dict[str, str]:
        """Variables of the runner's process. Raises BackendUnused where the driver or the loader of drivers is missing."""
        return self._environment

    @functools.cached_property
    def _environment(self) -> dict[str, str]:
        driver = self.driver
        if driver is None or not driver.is_file():
            named = f"{driver} is not there" if driver else f"no {DRIVER} was found"
            raise BackendUnused(f"{self.name}: {named}, which computes in place of a GPU", hint=self._how_to_install())
        folder = self._open.enter_context(temporary_folder())
        beside = driver.with_name(LOADER)
        if beside.is_file():
            (folder / LOADER).symlink_to(beside)  # alone: a browser's other libraries would replace the system's
        elif not ctypes.util.find_library("vulkan"):
            problem = f"{self.name}: {LOADER}, which loads Vulkan drivers, is neither beside {driver} nor installed"
            raise BackendUnused(problem, hint=self._how_to_install())
        manifest = folder / "driver.json"
        manifest.write_text(_MANIFEST % json.dumps(str(driver)))
        libraries = os.pathsep.join(filter(None, (str(folder), os.environ.get("LD_LIBRARY_PATH"))))
        chosen = dict.fromkeys(("VK_DRIVER_FILES", "VK_ICD_FILENAMES"), str(manifest))  # the second of older loaders
        return {**chosen, "LD_LIBRARY_PATH": libraries}

    def close(self) -> None:
        """End the runner processes."""
        super().close()
        self.__dict__.pop("_environment", None)
        self._open.close()

    def _how_to_install(self) -> str:
        return (
            "install Chromium (Debian: apt-get install chromium-common), or name the driver of another place as vulkan_driver of"
            f" {self.name} in devices.yaml"
        )
