"""`make screenshot`: a real run of the embedded CNN with one variant that loses too much: its terminal and its report.

They are docs/run.svg, docs/report.png and docs/report-cell.png; the latter two need Debian's chromium.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY))
COLUMNS = 100
COMMAND = ["pytest", "benchmarks/"]
MODELS = """\
version: 1
datasets:
  digits: {kind: digits, classes: 10}
models:
  cnn:
    source: {factory: "edgeworthy.variants.zoo.cnn:build", weights: "edgeworthy:weights/cnn.pt"}
    dataset: digits
    variants:
      fp32:
      dynamic_int8:
      int8:
      pruned_95: {recipe: pruned, options: {sparsity: 0.95}}
      ort_int8_minmax:
      torch_int8:
budgets:
  - {max_drop_points: 1.0, max_p50_ms: 1}
"""


def run(folder: Path) -> str:
    """What the terminal shows, with its colours, of a second run: the first one converts."""
    tools = Path(sys.executable).parent
    environment = {"EDGE_STORE": str(REPOSITORY / ".edgeworthy"), **os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    environment |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    subprocess.run(["edgeworthy", "init"], cwd=folder, env=environment, check=True)
    (folder / "benchmarks" / "models.yaml").write_text(MODELS)
    subprocess.run(COMMAND, cwd=folder, env=environment, check=False)
    leader, follower = pty.openpty()
    with subprocess.Popen(COMMAND, cwd=folder, env=environment, stdout=follower, stderr=follower, stdin=follower):
        os.close(follower)
        return b"".join(iter(lambda: read(leader), b"")).decode()


def read(leader: int) -> bytes:
    """The next bytes of a pseudo-terminal, none at its end."""
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux's way to say that the other side is closed
        return b""


def picture(shown: str) -> str:
    """The prompt and the report of a run, from edgeworthy's own heading on, as SVG; folders of this machine and fonts of other
    hosts are left out."""
    lines = [line.rpartition("\r")[2] for line in shown.replace("\r\n", "\n").splitlines()]
    first = next(i for i, line in enumerate(lines) if " edgeworthy " in line and "===" in line)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text(f"$ {' '.join(COMMAND)}"))
    for line in lines[first:]:
        if "reports: " not in line:
            console.print(Text.from_ansi(line))
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="edgeworthy"), flags=re.DOTALL)


def photograph(report: Path, name: str, anchor: str, height: int, scheme: str) -> None:
    """A part of the report, from its top or from ``anchor`` on, as docs/``name``."""
    from tests.browser import chromium, opened

    size = {"width": 1200, "height": height}
    with chromium() as browser, opened(browser, report, anchor, viewport=size, color_scheme=scheme) as found:
        found.page.wait_for_timeout(500)
        found.page.screenshot(path=REPOSITORY / "docs" / name)


def main() -> None:
    """Run, draw, write."""
    with tempfile.TemporaryDirectory() as folder:
        (REPOSITORY / "docs" / "run.svg").write_text(picture(run(Path(folder))))
        report = (Path(folder) / "results" / "latest" / "report.html").resolve()
        photograph(report, "report.png", "", 1000, "light")
        photograph(report, "report-cell.png", "#cell=cnn/pruned_95/host:cpu", 1000, "dark")


if __name__ == "__main__":
    main()
