"""What ``edgeworthy gate`` writes for GitHub and GitLab, read as they read it, and the composite action that calls it."""

from __future__ import annotations

import dataclasses
import html
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import jsonschema
import pytest
import yaml
from edgeworthy.records import Estimate
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.text import one_line
from edgeworthy.verdicts.limits import judge
from junitparser import JUnitXml
from markdown_it import MarkdownIt

from tests.integration import test_gate as stored
from tests.integration.conftest import REPOSITORY, Project
from tests.integration.test_gate import INT8, Said, gate, seed

#: From pytest's own tests: what Jenkins' reader takes.
JUNIT = REPOSITORY / "tests" / "data" / "junit-10.xsd"
#: GitLab publishes no schema of the report; this is the table in its documentation.
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
CODE_QUALITY: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "location", "severity"],
        "properties": {
            "description": _TEXT,
            "check_name": _TEXT,
            "fingerprint": _TEXT,
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^[^./]"},  # relative to the repository's root, without ./
                    "lines": {
                        "type": "object", "required": ["begin"], "properties": {"begin": {"type": "integer", "minimum": 1}}
                    },
                },
            },
        },
    },
}  # fmt: skip
ACTION = REPOSITORY / "docs" / "ci" / "action" / "action.yml"
HOSTILE = (
    "<img src=x onerror=alert(1)> & `code` | a | 100%25 %0A::error::pwned\n::error::pwned\n##[error]pwned "
    '@everyone #1 $x$ ~~s~~ [a](https://example.org) \x1b[31m \u202etxt "quoted" it\'s ]]> <!-- ``x'
)
measured, project, accepted, edgeworthy = stored.measured, stored.project, stored.accepted, stored.edgeworthy


@dataclass(frozen=True)
class Command:
    """A workflow command as GitHub's runner reads it."""

    name: str
    properties: dict[str, str]
    message: str


def commands(output: str) -> list[Command]:
    """The workflow commands of a step's output, by the rules of the runner: none between stop-commands and its token."""
    found, stopped = [], None
    for line in output.splitlines():
        match = re.fullmatch(r"::([\w-]+)(?: (.*?))?::(.*)", line.strip())
        if stopped is not None:
            stopped = None if line.strip() == f"::{stopped}::" else stopped
        elif match and match[1] == "stop-commands":
            stopped = match[3]
        elif match:
            pairs = (pair.split("=", 1) for pair in (match[2] or "").split(",") if pair)
            found.append(Command(match[1], {key: unescaped(value) for key, value in pairs}, unescaped(match[3])))
    assert stopped is None
    return found


def unescaped(text: str) -> str:
    """As the runner does; the percent sign last."""
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


class Page(HTMLParser):
    """A rendered page: its text, its tags, and where its links lead."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.text, self.tags, self.links = "", set[str](), list[str | None]()
        self.feed(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def github(accepted: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The accepted project in a step of GitHub Actions."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/project")
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    monkeypatch.setenv("GITHUB_SHA", "abc123")
    Path("summary.md").write_text("earlier\n")
    Path(".git").mkdir()
    return accepted


def break_budget(**limits: float) -> None:
    """Judge the accepted run's int8 file by budgets of models.yaml that it exceeds, as a run does."""
    log = VerdictLog(Path("results/latest"), "seeded")
    log.add(
        judge(INT8, "footprint", {"size_kb": Estimate(2.9), "gzip_kb": Estimate(2.5)}, limits, {"size_kb": "shrink it"})
    )


def line_of(text: str) -> int:
    """The line of models.yaml that has this text, which stands there once."""
    [line] = [
        number for number, line in enumerate(Path("benchmarks/models.yaml").read_text().splitlines(), 1) if text in line
    ]
    return line


def test_broken_budget_of_a_run_is_annotated_on_its_line(github: Project, edgeworthy: Callable[..., Said]) -> None:
    """Measured for real: the line that sets the limit, the value, the limit; baseline and change where the baseline has them."""
    github.models["budgets"] += [
        {"variant": "ort_int8*", "max_size_kb": 0.5},
        {"variant": "ort_fp32", "max_size_kb": 900},
    ]
    assert github.run("--edge-target", "host:cpu").returncode == 1
    done = gate(edgeworthy, "--github", "--to", "out", "--report-url", "https://me.example/run")
    assert done.status == 1
    [error] = [found for found in commands(done.out) if found.name == "error"]
    assert error.properties == {
        "file": "benchmarks/models.yaml", "line": str(line_of("max_size_kb: 0.5")), "title": f"edgeworthy: size_kb of {INT8}",
    }  # fmt: skip
    assert re.fullmatch(rf"{INT8}: file size 2\.\d KB, at most 0\.5 KB allowed Hint: .+", error.message)
    comment, summary = Path("out/comment.md").read_text(), Path("summary.md").read_text()
    marker, page = comment.split("\n", 1)
    assert marker == "<!-- edgeworthy gate benchmarks/models.yaml -->"
    assert summary == f"earlier\n{page}\n"
    assert page.startswith("## edgeworthy: failed")
    row = re.search(
        r"\| fail \| linear/ort\\_int8\\_minmax/host:cpu \| size\\_kb \| (2\.\d) KB \| \1 KB \| \+0\.0 KB \| "
        r"\[at most 0\.5 KB\]\((.*?)\) \| exact \|",
        page,
    )
    assert row, page
    assert row[2] == f"https://github.example/me/project/blob/abc123/benchmarks/models.yaml#L{error.properties['line']}"
    assert "[this run in CI](https://github.example/me/project/actions/runs/77)" in page
    assert "[the run's report](https://me.example/run)" in page


def test_each_limit_and_tolerance_is_on_its_own_line(github: Project, edgeworthy: Callable[..., Said]) -> None:
    """A regression on its tolerance's line where there is one; a limit of an option on the variant's; waived is a notice."""
    github.models["budgets"] = [{"max_gzip_kb": 2.0}, {"max_size_kb": 2.0}]
    github.models["regression"] = {"size_percent": 1.5}
    github.write()
    break_budget(max_size_kb=1.0, max_gzip_kb=2.0)  # the first by --edge-budget max_size_kb=1
    seed(size_bytes=5_000_000)
    dynamic = stored.CellId("linear", "ort_dynamic", "host:cpu")
    seed(dynamic, size_bytes=6_000_000)
    waiver = {**stored.WAIVER, "variant": "ort_dynamic"}
    Path("benchmarks/waivers.yaml").write_text(json.dumps({"version": 1, "waivers": [waiver]}))
    done = gate(edgeworthy, "--github")
    found = {(one.name, one.properties["title"]): int(one.properties["line"]) for one in commands(done.out)}
    assert found == {
        ("error", f"edgeworthy: size_kb of {INT8}"): line_of("ort_int8_minmax:"),
        ("error", f"edgeworthy: gzip_kb of {INT8}"): line_of("max_gzip_kb: 2.0"),
        ("error", f"edgeworthy: size of {INT8}"): line_of("size_percent: 1.5"),
        ("notice", f"edgeworthy: size of {dynamic}"): line_of("size_percent: 1.5"),
    }
    page = Path("gate/comment.md").read_text()
    assert re.search(r"\| regressed \| .* \| 2\.\d KB \| 5000\.0 KB \| \+4997\.\d KB \| \[at most 1\.5 % worse\]", page)
    assert re.search(r"\| waived \| linear/ort\\_dynamic/host:cpu \| size \|", page)


def test_gitlab_reads_both_reports(accepted: Project, edgeworthy: Callable[..., Said]) -> None:
    """Both are what their schemas say; an entry is the same failure in the next run, whatever its numbers."""
    accepted.models["budgets"] = [{"max_size_kb": 1.0}]
    accepted.write()
    break_budget(max_size_kb=1.0)
    prints = []
    for size in (5_000_000, 7_000_000):
        seed(size_bytes=size)
        assert gate(edgeworthy, "--gitlab", "--to", "out").status == 1
        entries = json.loads(Path("out/code-quality.json").read_text())
        prints.append([entry["fingerprint"] for entry in entries])
        check_code_quality(entries)
    assert prints[0] == prints[1]
    assert [(entry["check_name"], entry["location"]["lines"]["begin"]) for entry in entries] == [
        ("edgeworthy size_kb", line_of("max_size_kb")), ("edgeworthy size", line_of("ort_int8_minmax:")),
    ]  # fmt: skip
    check_junit(Path("out/junit.xml"))


def check_code_quality(entries: list[dict[str, Any]]) -> None:
    """What GitLab's documentation says of the format, and that no entry hides another."""
    jsonschema.validate(entries, CODE_QUALITY)
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    for key in CODE_QUALITY["items"]["required"]:
        lacking = [{name: value for name, value in entry.items() if name != key} for entry in entries]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(lacking, CODE_QUALITY)


def check_junit(file: Path) -> None:
    """The schema of Jenkins, which GitLab's reader accepts more than; where xmlschema is missing, the test below says so."""
    if importlib.util.find_spec("xmlschema"):
        importlib.import_module("xmlschema").validate(str(file), str(JUNIT))


def test_invalid_junit_is_found(tmp_path: Path) -> None:
    """The check is no formality: an attribute that a case does not have is refused."""
    xmlschema = pytest.importorskip("xmlschema", reason="JUnit is not checked: install the extra dev, for xmlschema")
    suite = '<testsuite name="a" tests="1" failures="0" errors="0"><testcase name="b"{}/></testsuite>'
    (tmp_path / "right.xml").write_text(suite.format(""))
    (tmp_path / "wrong.xml").write_text(suite.format(' skipped="0"'))
    check_junit(tmp_path / "right.xml")
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        check_junit(tmp_path / "wrong.xml")


def test_hostile_text_stays_text_everywhere(github: Project, edgeworthy: Callable[..., Said]) -> None:
    """A converter's message with markup, newlines and workflow commands, as it is read in each of the five places."""
    log = VerdictLog(Path("results/latest"), "seeded")
    footprint = next(verdict for verdict in log.read() if verdict.cell == INT8 and verdict.axis == "footprint")
    log.add(dataclasses.replace(footprint, status="error", message=HOSTILE, hint=HOSTILE))
    done = gate(edgeworthy, "--github", "--gitlab", "--to", "out")
    assert done.status == 2
    shown, [error] = one_line(HOSTILE), commands(done.out)
    assert error.message == f"{INT8}: {shown} Hint: {shown}"
    assert "pwned" not in done.out.split("::stop-commands::")[0]
    for page in (Path("out/comment.md"), Path("summary.md")):
        text = page.read_text()
        rendered = Page(text)
        assert rendered.text.count(shown) == 2, rendered.text
        assert not rendered.tags & {"img", "script", "s", "h1"}
        assert all(link and link.startswith("https://github.example/me/project/") for link in rendered.links)
        outside_code = re.sub(r"```.*?```", "", text)
        assert "@everyone" not in outside_code
        assert "#1" not in outside_code
    [entry] = json.loads(Path("out/code-quality.json").read_text())
    assert entry["description"] == f"{INT8}: {shown} Hint: {shown}"
    cases = [case for suite in JUnitXml.fromfile("out/junit.xml") for case in suite if case.result]
    assert [result.message for case in cases for result in case.result if "img" in result.message] == [
        f"{shown} Hint: {shown}"
    ]
    assert html.unescape(Path("out/junit.xml").read_text()).count(shown) == 2
    check_junit(Path("out/junit.xml"))


@pytest.mark.parametrize("broken", ["run", "models"])
def test_what_cannot_be_judged_replaces_what_was_said_before(
    github: Project, edgeworthy: Callable[..., Said], broken: str
) -> None:
    """A comment that says passed must not stand beside a run that cannot be read."""
    assert gate(edgeworthy, "--github").status == 0
    marker, page = Path("gate/comment.md").read_text().split("\n", 1)
    assert page.startswith("## edgeworthy: passed")
    if broken == "models":
        Path("benchmarks/models.yaml").write_text("version: [")
    else:
        Path("results/latest/run.json").unlink()
    done = gate(edgeworthy, "--github")
    assert done.status == 2
    [error] = commands(done.out)
    assert (error.name, error.properties["file"], error.properties["line"]) == ("error", "benchmarks/models.yaml", "1")
    assert "Hint: " in error.message
    again, page = Path("gate/comment.md").read_text().split("\n", 1)
    assert again == marker
    assert page.startswith("## edgeworthy: incomplete")
    assert "- **fail** " in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--github"], "GITHUB_STEP_SUMMARY is not set"),
        (["--report-url", "javascript:alert(1)"], "not an address that a browser opens"),
        (["--report-url", "https://x) [y](z"], "not an address that a browser opens"),
    ],
)
def test_option_that_cannot_be_followed_is_refused(
    accepted: Project, edgeworthy: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    """Status 2 with a hint, before anything is judged."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    found = gate(edgeworthy, *options)
    assert (found.status, said in found.out, "Hint: " in found.out) == (2, True, True), found.out


# -- the note on a merge request ------------------------------------------------------------------------------------

SCRIPT = REPOSITORY / "docs" / "ci" / "gitlab-note.sh"
NOTES = "/api/v4/projects/3/merge_requests/5/notes"


class GitLab(ThreadingHTTPServer):
    """As much of GitLab as the notes of one merge request need; a page holds two of them."""

    def __init__(self, notes: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.notes, self.refuses, self.written = notes, False, 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v4"


class _Answer(BaseHTTPRequestHandler):
    server: GitLab

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        page = int(dict(parse_qsl(query)).get("page", 1))
        self._send({"id": 7} if path == "/api/v4/user" else self.server.notes[2 * page - 2 : 2 * page])

    def do_POST(self) -> None:
        assert self.path == NOTES
        self.server.notes.append({"id": 100 + len(self.server.notes), "author": {"id": 7}, "body": self._body()})
        self._send({})

    def do_PUT(self) -> None:
        [own] = [note for note in self.server.notes if self.path == f"{NOTES}/{note['id']}"]
        own["body"] = self._body()
        self._send({})

    def _body(self) -> str:
        self.server.written += 1
        given = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True)
        return given["body"][0]

    def _send(self, answer: Any) -> None:
        allowed = self.headers["PRIVATE-TOKEN"] == "secret" and not self.server.refuses
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(json.dumps(answer if allowed else {"message": "403 Forbidden"}).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what it needs."""


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    """With a note of somebody else that begins with the same line, and enough notes for two pages."""
    others = [
        {"id": number, "author": {"id": 1}, "body": "<!-- edgeworthy gate benchmarks/models.yaml -->"}
        for number in range(3)
    ]
    with GitLab(others) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="the note is not tried: install curl and jq"
)
def test_merge_request_has_one_note_that_is_updated(
    accepted: Project, edgeworthy: Callable[..., Said], gitlab: GitLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same body as GitHub's comment with GitLab's addresses; other notes are not touched; what is refused fails."""
    monkeypatch.setenv("CI_PROJECT_URL", "https://gitlab.example/me/project")
    monkeypatch.setenv("CI_COMMIT_SHA", "abc123")
    monkeypatch.setenv("CI_JOB_URL", "https://gitlab.example/me/project/-/jobs/9")
    variables = {"CI_API_V4_URL": gitlab.address, "CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "5"}

    def note(token: str) -> int:
        environment = {**os.environ, **variables, "EDGEWORTHY_TOKEN": token, "no_proxy": "*"}
        command = ["sh", str(SCRIPT), "gate/comment.md"]
        return subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60).returncode

    assert gate(edgeworthy, "--gitlab").status == 0
    assert note("secret") == 0
    seed(size_bytes=5_000_000)
    assert gate(edgeworthy, "--gitlab").status == 1
    assert note("secret") == 0
    *others, own = gitlab.notes
    assert (len(others), gitlab.written) == (3, 2)
    assert own["body"] == Path("gate/comment.md").read_text()
    assert own["body"].startswith("<!-- edgeworthy gate benchmarks/models.yaml -->\n## edgeworthy: failed")
    assert "[this run in CI](https://gitlab.example/me/project/-/jobs/9)" in own["body"]
    line = line_of("ort_int8_minmax:")
    assert f"(https://gitlab.example/me/project/-/blob/abc123/benchmarks/models.yaml#L{line})" in own["body"]
    assert note("") == 0  # of a fork
    assert note("wrong") != 0
    gitlab.refuses = True
    assert note("secret") != 0
    assert gitlab.written == 2


# -- the action ----------------------------------------------------------------------------------------------------

#: The ``gh`` of GitHub's runners, for one repository: comments are a file of JSON. It filters by the real jq.
GH = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
store = os.environ["COMMENTS"]
comments = json.load(open(store))
with open(store + ".log", "a") as log:
    print(" ".join(words), file=log)
if os.environ.get("GH_REFUSES"):
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
assert words[0] == "api" and os.environ["GH_TOKEN"] == "secret"
if "--jq" in words:
    assert "repos/me/project/issues/5/comments" in words and "--paginate" in words
    expression = words[words.index("--jq") + 1]
    sys.exit(subprocess.run(["jq", "-r", expression], input=json.dumps(comments), text=True).returncode)
body = open(words[words.index("-F") + 1].removeprefix("body=@")).read()
path = next(word for word in words if word.startswith("repos/"))
if "PATCH" in words:
    [found] = [one for one in comments if path == f"repos/me/project/issues/comments/{{one['id']}}"]
    found["body"] = body
else:
    assert "POST" in words and path == "repos/me/project/issues/5/comments"
    comments.append({{"id": 100 + len(comments), "user": {{"login": "github-actions[bot]"}}, "body": body}})
json.dump(comments, open(store, "w"))
"""


def run_action(project: Project, tools: Path, **environment: str) -> list[int]:
    """Run the action's scripts as a runner does, in a shell that stops at errors; their exit statuses."""
    action = yaml.safe_load(ACTION.read_text())
    inputs = {name: given.get("default", "") for name, given in action["inputs"].items()} | {"token": "secret"}
    inputs["command"] = str(Path(sys.executable).with_name("edgeworthy"))
    values = {f"inputs.{name}": value for name, value in inputs.items()}
    values |= {
        "github.event.pull_request.number": "5",
        "steps.gate.outputs.folder": str(tools / "temp" / "edgeworthy-gate"),
    }
    ended = []
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"], "a script holds no input"
        given = {name: values[text.strip("${} ")] for name, text in step["env"].items()}
        own = {**project.environment(), **given, **environment, "COMMENTS": str(tools / "comments.json")}
        own |= {"RUNNER_TEMP": str(tools / "temp"), "GITHUB_OUTPUT": str(tools / "output")}
        own |= {"GITHUB_REPOSITORY": "me/project", "GITHUB_STEP_SUMMARY": str(tools / "summary.md")}
        own["PATH"] = f"{tools}:{own['PATH']}"
        shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            shell, cwd=project.root, env=own, capture_output=True, text=True, timeout=120, check=False
        )
        ended.append(done.returncode)
    return ended


@pytest.mark.skipif(not shutil.which("jq"), reason="the action's filter is not tried: install jq")
def test_action_is_valid_and_updates_its_own_comment(accepted: Project, tmp_path: Path) -> None:
    """Against GitHub's schema; two runs leave one comment, and that of another user with the same first line is not touched."""
    checked = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]
    assert subprocess.run([*checked, str(ACTION)], check=False, capture_output=True, timeout=60).returncode == 0
    tools, store = tmp_path, tmp_path / "comments.json"
    (tools / "temp").mkdir()
    (tools / "gh").write_text(GH.format(python=sys.executable))
    (tools / "gh").chmod(0o755)
    marker = "<!-- edgeworthy gate benchmarks/models.yaml -->"
    others = [
        {"id": 1, "user": {"login": "mallory"}, "body": f"{marker}\nmine"},
        {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "<!-- edgeworthy gate other/models.yaml -->"},
    ]
    store.write_text(json.dumps(others))
    assert run_action(accepted, tools) == [0, 0]
    seed(size_bytes=5_000_000)
    assert run_action(accepted, tools) == [1, 0]
    *kept, own = json.loads(store.read_text())
    assert kept == others
    assert own["body"].startswith(f"{marker}\n## edgeworthy: failed")
    assert "folder=" in (tools / "output").read_text()
    assert run_action(accepted, tools, GH_REFUSES="1")[1] == 1
    check_junit(tools / "temp" / "edgeworthy-gate" / "junit.xml")


def test_workflows_use_what_is_there() -> None:
    """Each action of this repository that a workflow calls exists, with the inputs that it is given."""
    called = 0
    for file in (REPOSITORY / "docs" / "ci").glob("github-*.yml"):
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("./"):
                    called += 1
                    action = yaml.safe_load((REPOSITORY / step["uses"] / "action.yml").read_text())
                    assert step.get("with", {}).keys() <= action["inputs"].keys()
    assert called == 2
