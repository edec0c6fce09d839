"""A Prisma schema: parsed, validated and described by Prisma's own code, with its messages.

The JSON shapes are those of `@prisma/prisma-schema-wasm`: files are pairs of name and content.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lamdb.changes import PREFIX as CHANGES
from lamdb.changes import RECORDED
from lamdb.errors import SchemaError
from lamdb.prisma.datamodel import mirrors
from lamdb.prisma.datamodel.config_blocks import accepted, config_blocks, in_place, spread
from lamdb.prisma.datamodel.default_numbers import check_defaults
from lamdb.prisma.datamodel.layout import DEFAULT_FILE, SchemaLayout, read_schema
from lamdb.prisma.datamodel.mirrors import Mirror
from lamdb.prisma.datamodel.required_relations import require_relations
from lamdb.prisma.datamodel.reserved import check_names
from lamdb.prisma.datamodel.search_inputs import add_search
from lamdb.prisma.wasm.instance import WasmInstance
from lamdb.prisma.wasm.js_values import JSError
from lamdb.rules import declares_rules
from lamdb.search import PREFIX as SEARCH

if TYPE_CHECKING:
    from lamdb.changes.definition import RecordedModels
    from lamdb.rules.definition import Rules
    from lamdb.search.definition import SearchDefinition

PROVIDER = "sqlite"


_ONE_LINE = re.compile(
    r"^[ \t]*(?P<block>(?:model|view|enum|type)[ \t]+\w+)[ \t]*\{[ \t]*[^\s/]", re.MULTILINE
)
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\w+|[^\w\s]')
_ON_ONE_LINE = "Give each field of a model, and each value of an enum, a line of its own."


class SchemaTools:
    """The module's functions, JSON text in and out. Safe to use from several threads, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._instance: WasmInstance | None = None

    def call(self, name: str, *arguments: str) -> str:
        """Call a function that returns text. Raises JSError with what it threw, EngineError if it trapped."""

        def take(instance: WasmInstance, results: Sequence[int]) -> str:
            pointer, length, *thrown = results
            if thrown and thrown[1]:
                raise instance.take_ref(thrown[0])
            return instance.take_string(pointer, length)

        return self._call(name, arguments, take)

    def validate(self, arguments: str) -> None:
        """Raises JSError with the verdict unless the schema is valid."""

        def take(instance: WasmInstance, results: Sequence[int]) -> None:
            slot, thrown = results
            if thrown:
                raise instance.take_ref(slot)

        self._call("validate", (arguments,), take)

    def _call[T](
        self, name: str, arguments: Sequence[str], take: Callable[[WasmInstance, Sequence[int]], T]
    ) -> T:
        with self._lock:
            instance, self._instance = self._instance or WasmInstance("schema_tools"), None
            results = instance.call_strings(name, *arguments)
            # Only an instance that did not trap is used again.
            self._instance = instance
            return take(instance, results)


@cache
def schema_tools() -> SchemaTools:
    return SchemaTools()


@dataclass(frozen=True, slots=True)
class Lint:
    """One finding in a schema file; `start` and `end` are offsets in characters."""

    file: str
    start: int
    end: int
    text: str
    is_warning: bool


@dataclass(frozen=True)
class PrismaSchema:
    """A valid schema for SQLite. Make one with `PrismaSchema.parse`."""

    files: tuple[tuple[str, str], ...]
    """(name, content) in the order given; names are what error messages show.

    Contents are in the form of `config_blocks.accepted`: addresses of databases are not among them.
    """
    config: Mapping[str, Any] = field(compare=False, repr=False)
    """`{generators, datasources, warnings}` as Prisma's `get_config` answers."""

    @classmethod
    def parse(cls, files: Mapping[str, str] | str) -> "PrismaSchema":
        """Parse one schema, or one of several files by name.

        Raises SchemaError (P1012) with Prisma's message: file, line and excerpt of every fault. What
        lamDB reads in documentation comments (see `mirrors`) is checked as well, and so are names that
        cannot be served (see `reserved`).
        """
        given = {DEFAULT_FILE: files} if isinstance(files, str) else files
        named = tuple((name, accepted(content)) for name, content in given.items())
        validate(given)
        check_defaults(named)
        config = _config(given)
        _require_sqlite(given, config)
        schema = cls(named, config)
        _require_models(schema)
        check_names(named, schema.datamodel)
        # Read now, so that what is wrong with them is said here.
        _ = schema.mirrors, schema.searches, schema.rules, schema.changes
        return schema

    @classmethod
    def trusted(cls, text: str) -> "PrismaSchema":
        """A schema that was parsed before, from its `text`: neither checked nor configured again."""
        return cls(((DEFAULT_FILE, text),), {})

    @classmethod
    def load(cls, path: Path) -> "PrismaSchema":
        """Read the schema of a file, or of a directory as `SchemaLayout` finds it. Raises SchemaError."""
        layout = SchemaLayout.of(path)
        if not layout.sources:
            raise SchemaError(f"There is no Prisma schema at {path}.", hint="Write one, or correct the path.")
        return cls.parse(
            {str(source.relative_to(layout.root)): read_schema(source) for source in layout.sources}
        )

    @cached_property
    def text(self) -> str:
        """The whole schema as one file: what the query compiler reads."""
        if len(self.files) == 1:
            return self.files[0][1]
        return schema_tools().call("merge_schemas", _json({"schema": self.files}))

    @cached_property
    def dmmf(self) -> dict[str, Any]:
        """Prisma's Data Model Meta Format: `{datamodel, schema, mappings}`."""
        document = schema_tools().call("get_dmmf", _json({"prismaSchema": self.files, "noColor": True}))
        found: dict[str, Any] = orjson.loads(document)
        require_relations(found)
        add_search(found, self.searches)
        if self.changes is not None:
            found[RECORDED] = self.changes.models
        return found

    def forget_dmmf(self) -> None:
        """Free the memory of `dmmf`, which is computed again if it is asked for again."""
        self.__dict__.pop("dmmf", None)

    @cached_property
    def datamodel(self) -> dict[str, Any]:
        """The DMMF's `datamodel` alone, `{enums, models, types, indexes}`: much cheaper than the whole."""
        document = schema_tools().call("get_datamodel", _json({"prismaSchema": self.files, "noColor": True}))
        return orjson.loads(document)  # type: ignore[no-any-return]

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models' names, in the schema's order."""
        return tuple(model["name"] for model in self.datamodel["models"])

    @cached_property
    def mirrors(self) -> tuple[Mirror, ...]:
        """The models that events feed. Raises SchemaError for annotations that cannot be followed."""
        if not any(mirrors.PREFIX in content for _, content in self.files):
            return ()
        return mirrors.mirrors_of(self.files, self.datamodel)

    @cached_property
    def searches(self) -> "tuple[SearchDefinition, ...]":
        """The models that are searched. Raises SchemaError for annotations that cannot be followed."""
        if not any(SEARCH in content for _, content in self.files):
            return ()
        # Most schemas declare no search, and what reads declarations takes its time to load.
        from lamdb.search.declaration import definitions_of

        return definitions_of(self.files, self.datamodel)

    @cached_property
    def rules(self) -> "Rules | None":
        """The rules of rows; None if there are none. Raises SchemaError for those that cannot be followed."""
        if not any(declares_rules(content) for _, content in self.files):
            return None
        from lamdb.rules.declaration import rules_of  # most schemas declare none

        return rules_of(self.files, self.datamodel)

    @cached_property
    def changes(self) -> "RecordedModels | None":
        """The models whose changes are recorded; None if there are none.

        Raises SchemaError for annotations that cannot be followed.
        """
        if not any(CHANGES in content for _, content in self.files):
            return None
        from lamdb.changes.declaration import recorded_models  # most schemas declare none

        return recorded_models(self.files, self.datamodel)


def format_schema(text: str, *, indent: int = 2) -> str:
    """The schema laid out as `prisma format` does; text that does not parse comes back as it can be."""
    options = {"tabSize": indent, "insertSpaces": True}
    request = {"textDocument": {"uri": f"file:/{DEFAULT_FILE}"}, "options": options}
    files = orjson.loads(schema_tools().call("format", _json([[DEFAULT_FILE, text]]), _json(request)))
    return str(files[0][1])


def format_file(name: str, text: str) -> str:
    """A file of a schema laid out as `prisma format` does, with nothing lost.

    Raises SchemaError for blocks that Prisma's formatter would take apart.
    """
    # The first pass may leave a comment where the second one puts a blank line above it.
    formatted = format_schema(format_schema(spread(text)))
    if Counter(_TOKEN.findall(text.removeprefix("\ufeff"))) <= Counter(_TOKEN.findall(formatted)):
        return formatted
    said = "".join(_blocks_on_one_line({name: text})) or f"error: {name} cannot be formatted.\n"
    raise SchemaError(said, hint=_ON_ONE_LINE)


def lint_schema(files: Mapping[str, str] | str) -> list[Lint]:
    """Errors and warnings with their places, for editors; an empty list if there are none."""
    given = {DEFAULT_FILE: files} if isinstance(files, str) else files
    named = [(name, accepted(content)) for name, content in given.items()]
    return [
        Lint(found["file_name"], found["start"], found["end"], found["text"], found["is_warning"])
        for found in orjson.loads(schema_tools().call("lint", _json(named)))
    ]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def validate(files: Mapping[str, str]) -> None:
    """Raises SchemaError with Prisma's messages unless the files are a schema for any of its databases."""
    try:
        schema_tools().validate(_json({"prismaSchema": _in_place(files), "noColor": True}))
    except JSError as error:
        # The parser takes the lines behind such a block for parts of it, and complains about them.
        if on_one_line := "".join(_blocks_on_one_line(files)):
            raise SchemaError(on_one_line, code="P1012", hint=_ON_ONE_LINE) from None
        verdict = orjson.loads(error.message)
        raise SchemaError(_shown(verdict["message"]), code=verdict.get("error_code")) from None


def _blocks_on_one_line(files: Mapping[str, str]) -> Iterator[str]:
    """Messages about blocks that Prisma's parser wants over several lines."""
    for name, content in files.items():
        for found in _ONE_LINE.finditer(content):
            said = f"The block `{found['block']}` must be written over several lines."
            yield f"error: {said}\n{_excerpt(name, content, found.start('block'))}"


def _config(files: Mapping[str, str]) -> Mapping[str, Any]:
    request = {"prismaSchema": _in_place(files), "ignoreEnvVarErrors": True, "env": {}}
    answer = orjson.loads(schema_tools().call("get_config", _json(request)))
    if answer["errors"]:
        raise SchemaError(_shown("".join(error["message"] for error in answer["errors"])))
    config: Mapping[str, Any] = answer["config"]
    return config


def _in_place(files: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, in_place(content)) for name, content in files.items()]


def _shown(message: str) -> str:
    """A message about the text of `in_place`, with the lines as they are in the file."""
    return message.replace("\r", "")


def _require_sqlite(files: Mapping[str, str], config: Mapping[str, Any]) -> None:
    datasources = config["datasources"]
    if not datasources:
        raise SchemaError(
            "error: The schema has no datasource.",
            hint='Add a block:\ndatasource db {\n  provider = "sqlite"\n}',
        )
    source = datasources[0]
    if source["activeProvider"] == PROVIDER:
        return
    name = source["sourceFilePath"]
    excerpt = next(
        (_excerpt(name, files[name], each.start) for block in config_blocks(files[name])
         if block.kind == "datasource" for each in block.properties if each.name == "provider"),
        f"  -->  {name}\n",
    )  # fmt: skip
    raise SchemaError(
        f'error: The datasource provider is "{source["provider"]}"; lamDB runs on "{PROVIDER}".\n{excerpt}',
        hint=f'Write `provider = "{PROVIDER}"`, or let lamDB convert the schema: lamdb schema convert PATH',
    )


def _require_models(schema: PrismaSchema) -> None:
    if not schema.models:
        raise SchemaError(
            f"error: The schema defines no model.\n  -->  {schema.files[0][0]}\n",
            hint="Add a model. Blocks must be written over several lines.",
        )


def _excerpt(name: str, content: str, offset: int) -> str:
    """The place in the form of Prisma's messages."""
    number = content.count("\n", 0, offset) + 1
    line = content.split("\n")[number - 1]
    return f"  -->  {name}:{number}\n   | \n{number:2} | {line}\n   | \n"
