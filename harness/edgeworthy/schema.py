"""What all schemas of YAML files are made of, and pydantic's complaints in words that name file, line and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from edgeworthy.metrics import COMPARED, QUALITIES, Limit
from edgeworthy.suggestions import did_you_mean
from edgeworthy.yaml_file import KeyPath, YamlFile

FORMAT_VERSION = 1

#: Letters, digits, dot, dash and underscore: safe in a file name, a shell word, a test id and a target's ``device:backend``.
#: What a name of models.yaml or devices.yaml is made of.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
TargetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
Positive = Annotated[float, Field(gt=0)]


def number_within(limit: Limit | None) -> Any:
    """The type of a metric's values: those that its limit may have."""
    types = {"any": float, "not negative": Annotated[float, Field(ge=0)], "positive": Positive, "percent": Percent}
    return types[limit.within] if limit else float


def one_of(names: Iterable[str]) -> Any:
    """A string that is one of these names: a check that names the nearest one, and the enum of the JSON schema."""
    known = list(names)

    def check(name: str) -> str:
        if name not in known:
            raise PydanticCustomError(
                "unknown_name", "unknown value '{name}'; {hint}", {"name": name, "hint": did_you_mean(name, known)}
            )
        return name

    return AfterValidator(check), WithJsonSchema({"enum": known, "type": "string"})


#: Names of rows of the table of metrics.
QualityName = Annotated[str, *one_of(QUALITIES)]
ComparedName = Annotated[str, *one_of(name for name in COMPARED if name != "cell")]


class Strict(BaseModel):
    """A frozen schema that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in known:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key '{key}'; {hint}",
                        {"key": str(key), "hint": did_you_mean(str(key), known)},
                    )
        return data


Schema = TypeVar("Schema", bound=Strict)


def validate(schema: type[Schema], document: YamlFile) -> Schema:
    """Validate, turning pydantic's first complaint into one sentence with file, line and key. Raises ConfigError."""
    if not isinstance(document.data, dict):
        raise document.error((), f"expected a mapping with the keys {', '.join(schema.model_fields)}")
    version = document.data.get("version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise document.error(
            ("version",),
            f"version {version} is newer than this edgeworthy reads ({FORMAT_VERSION})",
            "update edgeworthy",
        )
    try:
        return schema.model_validate(document.data)
    except ValidationError as error:
        problem = error.errors()[0]
        keys = _keys_of(problem["loc"], document.data)
        context = problem.get("ctx", {})
        if problem["type"] == "unknown_key":
            keys = (*keys, context["key"])
        elif problem["type"].startswith("union_tag"):
            keys = (*keys, context["discriminator"].strip("'"))
        raise document.error(keys, plain_words(dict(problem))) from error


def _keys_of(loc: tuple[int | str, ...], data: Any) -> KeyPath:
    """The keys of the file that pydantic's ``loc`` means, without what it says beside them: unions' tags, ``[key]``."""
    keys: list[int | str] = []
    for index, part in enumerate(loc):
        here = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if here:
            data = data[part]
        elif part == "[key]" or index < len(loc) - 1 or (isinstance(data, dict) and part in data.values()):
            continue
        keys.append(part)
    return tuple(keys)


def plain_words(problem: dict[str, Any]) -> str:
    """One of pydantic's complaints in the words of somebody who edits the file."""
    given = problem.get("input")
    if problem["type"] == "string_pattern_mismatch":
        return f"{given!r} is not a name: letters, digits, '.', '_' and '-' only, beginning with a letter or digit"
    if problem["type"] == "literal_error":
        expected = [part.strip(" '") for part in str(problem["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        return f"unknown value {given!r}; {did_you_mean(str(given), expected)}"
    if problem["type"] == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]
        return f"unknown value {problem['ctx']['tag']!r}; {did_you_mean(problem['ctx']['tag'], tags)}"
    if problem["type"] in ("missing", "union_tag_not_found"):
        return "this key is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(given, dict | list) or problem["type"].startswith("unknown_") else f" (given: {given!r})"
    return message[0].lower() + message[1:] + shown
