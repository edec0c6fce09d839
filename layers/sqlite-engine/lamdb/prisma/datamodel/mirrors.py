"""Models that are fed by events, and their sources: annotations in a schema's documentation comments.

    /// @lamdb.mirror dynamodb:Orders
    model Order {
      id    String  @id
      /// @lamdb.from customer.id
      buyer String
      total Decimal
    }

A model's annotations:

- `@lamdb.mirror <source>`: events of the source create and change its records. Several lines, several
  sources of one kind.
- `@lamdb.remove <source>`: events of the source delete records (EventBridge and SQS; DynamoDB and S3 mark
  deletions themselves).
- `@lamdb.key <fields>`: the unique field, or fields, by which a record is found. Else it is the model's id.
- `@lamdb.version <path>`: what tells the newer of two events (EventBridge and SQS). Else when they were sent.

A field's annotations: `@lamdb.from <path>`, where its value stands, if not under the field's own name; and
`@lamdb.local`, that no event sets it. What the database counts or dates itself (`autoincrement()`,
`@updatedAt`) is local too, unless it is said where it stands. A path is relative to the item, and to the
whole event after `$.`.

Sources: `dynamodb:Table`, `s3:bucket` or `s3:bucket/prefix`, `eventbridge:source/detail-type`, `sqs:queue`.
`sqs:*` is whichever queue a message came by.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from lamdb.errors import SchemaError

PREFIX: Final = "@lamdb."
"""The text that a schema without mirrors does not contain."""

S3_FIELDS: Final = ("bucket", "key", "size", "etag", "version", "sequencer", "time", "event")
"""The members of the item of an object's event."""

_MODEL_ANNOTATIONS: Final = frozenset({"mirror", "remove", "key", "version"})
_FIELD_ANNOTATIONS: Final = frozenset({"from", "local"})
_OTHERS: Final = frozenset({"type", "rowid", "search", "changes"})
"""Annotations that say something else: see `schema_text`, and `declaration` in `lamdb.search` and
`lamdb.changes`."""
_ANNOTATION: Final = re.compile(r"^[ \t]*@lamdb\.(?P<name>\w*)[ \t]*(?P<argument>.*?)[ \t]*$", re.MULTILINE)
_STEP: Final = r'(?:"(?:[^"\\]|\\["\\])+"|[^."\s]+)'
_PATH: Final = re.compile(rf"^(?:\$\.)?{_STEP}(?:\.{_STEP})*$")
"""Names with dots between. A name that has dots, quotes or spaces is written in quotes:
`customer."first.name"`."""
_STEPS: Final = re.compile(_STEP)
_ESCAPED: Final = re.compile(r"\\(.)")
_TABLE: Final = re.compile(r"^[A-Za-z0-9_.-]{3,255}$")
_BUCKET: Final = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_QUEUE: Final = re.compile(r"^(?:[A-Za-z0-9_-]{1,80}(?:\.fifo)?|\*)$")


class SourceKind(StrEnum):
    DYNAMODB = "dynamodb"
    S3 = "s3"
    EVENTBRIDGE = "eventbridge"
    SQS = "sqs"


_OWN_REMOVALS: Final = frozenset({SourceKind.DYNAMODB, SourceKind.S3})
"""Sources whose events say themselves that something was removed, and in which order they happened."""


@dataclass(frozen=True, slots=True)
class MirrorSource:
    """`name` is the table, bucket or queue, or an event's `source/detail-type`."""

    kind: SourceKind
    name: str
    prefix: str = ""
    """The length limit of the keys of objects in an S3 bucket."""
    removes: bool = False


@dataclass(frozen=True, slots=True)
class MirroredColumn:
    """A scalar field that events set. `type` is Prisma's scalar, or `Enum`."""

    name: str
    type: str
    path: tuple[str, ...]
    required: bool
    has_default: bool
    from_event: bool = False
    """Whether `path` begins at the whole event, not at the item."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A model that events feed. `unique` is what Prisma calls its key, which has the fields `key`."""

    model: str
    sources: tuple[MirrorSource, ...]
    columns: tuple[MirroredColumn, ...]
    key: tuple[str, ...]
    unique: str
    version: tuple[str, ...] | None = None
    version_from_event: bool = False


@dataclass(frozen=True, slots=True)
class _Annotation:
    name: str
    argument: str
    model: str
    field: str | None
    text: str


def mirrors_of(files: Iterable[tuple[str, str]], datamodel: Mapping[str, Any]) -> tuple[Mirror, ...]:
    """The mirrors of a schema with these files (name, content), from its DMMF's `datamodel`.

    Raises `SchemaError`, with file and line, for annotations that cannot be followed.
    """
    places = _Places(tuple(files))
    reader = _Reader(places)
    return tuple(mirror for model in datamodel["models"] if (mirror := reader.mirror(model)))


class _Reader:
    """Reads the annotations of one model after another."""

    def __init__(self, places: "_Places") -> None:
        self._places = places

    def mirror(self, model: Mapping[str, Any]) -> Mirror | None:
        name = model["name"]
        own = list(_annotations(model.get("documentation"), name, None))
        for annotation in own:
            self._require_known(annotation, _MODEL_ANNOTATIONS, "a model")
        sources = [self._source(each) for each in own if each.name in {"mirror", "remove"}]
        fields = {field["name"]: field for field in model["fields"]}
        given = self._field_annotations(name, fields)
        if not sources:
            for annotation in [*own, *(each for found in given.values() for each in found.values())]:
                self._fail(annotation, f"Model {name} is not a mirror; give it `@lamdb.mirror`.")
            return None
        first = next(each for each in own if each.name in {"mirror", "remove"})
        self._require_one_kind(sources, first)
        key, unique = self._key(model, self._single(own, "key"), first)
        columns = tuple(self._columns(fields, given, key))
        self._require_columns(key, columns, first)
        kind = sources[0].kind
        if kind is SourceKind.S3:
            self._require_object(columns, key, first)
        version = self._single(own, "version")
        if version is not None and kind in _OWN_REMOVALS:
            self._fail(version, f"Events of {kind} have their own order.")
        path, from_event = self._path(version) if version else (None, False)
        return Mirror(name, tuple(sources), columns, key, unique, path, from_event)

    def _field_annotations(
        self, model: str, fields: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, _Annotation]]:
        given: dict[str, dict[str, _Annotation]] = {}
        for name, field in fields.items():
            for annotation in _annotations(field.get("documentation"), model, name):
                self._require_known(annotation, _FIELD_ANNOTATIONS, "a field")
                if field["kind"] == "object":
                    self._fail(annotation, f"{model}.{name} is a relation; annotate its scalar field.")
                given.setdefault(name, {})[annotation.name] = annotation
        return given

    def _columns(
        self,
        fields: Mapping[str, Mapping[str, Any]],
        given: Mapping[str, Mapping[str, _Annotation]],
        key: Sequence[str],
    ) -> Iterator[MirroredColumn]:
        for name, field in fields.items():
            said = given.get(name, {})
            if "local" in said:
                if "from" in said:
                    self._fail(said["local"], f"{name} cannot be local and come from an event.")
                if field["isRequired"] and not field["hasDefaultValue"] and not field["isUpdatedAt"]:
                    self._fail(said["local"], f"{name} is required, and no event sets it: give it a default.")
                continue
            if field["kind"] == "object":
                continue
            if "from" not in said and name not in key and (field["isUpdatedAt"] or _is_counted(field)):
                continue
            path, from_event = self._path(said["from"]) if "from" in said else ((name,), False)
            kind = "Enum" if field["kind"] == "enum" else field["type"]
            has_default = field["hasDefaultValue"] or field["isUpdatedAt"]
            yield MirroredColumn(name, kind, path, field["isRequired"], has_default, from_event)

    def _source(self, annotation: _Annotation) -> MirrorSource:
        removes = annotation.name == "remove"
        kind, _, rest = annotation.argument.partition(":")
        try:
            source = _parse_source(SourceKind(kind), rest, removes)
        except ValueError:
            source = None
        if source is None:
            self._fail(
                annotation,
                f"{annotation.argument!r} is not a source: write dynamodb:Table, s3:bucket/prefix, "
                "eventbridge:source/detail-type or sqs:queue.",
            )
        if removes and source.kind in _OWN_REMOVALS:
            self._fail(annotation, f"Events of {source.kind} tell what was removed.")
        return source

    def _require_one_kind(self, sources: Sequence[MirrorSource], first: _Annotation) -> None:
        if len({source.kind for source in sources}) > 1:
            self._fail(
                first,
                "The sources of one model must be of one kind: events of several kinds have no common order.",
            )

    def _key(
        self, model: Mapping[str, Any], given: _Annotation | None, first: _Annotation
    ) -> tuple[tuple[str, ...], str]:
        """The key's fields, and how Prisma's API calls them together."""
        uniques = _uniques(model)
        if given is not None:
            fields = tuple(given.argument.replace(",", " ").split())
            for unique, names in uniques.items():
                if set(names) == set(fields):
                    return names, unique
            self._fail(given, f"{given.argument!r} is neither the id nor unique in {model['name']}.")
        generated = {field["name"] for field in model["fields"] if _is_generated(field)}
        unique, names = next(iter(uniques.items()))
        if generated & set(names):
            self._fail(
                first,
                f"The id of {model['name']} is generated: name the unique field that events have, "
                "by `@lamdb.key`.",
            )
        return names, unique

    def _require_columns(
        self, key: Sequence[str], columns: Sequence[MirroredColumn], first: _Annotation
    ) -> None:
        missing = set(key) - {column.name for column in columns}
        if missing:
            self._fail(first, f"No event sets {', '.join(sorted(missing))}, which the key has.")

    def _require_object(
        self, columns: Sequence[MirroredColumn], key: Sequence[str], first: _Annotation
    ) -> None:
        for column in columns:
            if column.path[0] in S3_FIELDS or column.from_event:
                continue
            if column.required and not column.has_default:
                self._fail(
                    first,
                    f"Events of objects have no {'.'.join(column.path)!r} for {column.name}; they have "
                    f"{', '.join(S3_FIELDS)}.",
                )
        found = {column.path for column in columns if column.name in key}
        if ("key",) not in found or not found <= {("key",), ("bucket",)}:
            self._fail(
                first, "An object is found by its key, or by bucket and key: name them by `@lamdb.key`."
            )

    def _single(self, annotations: Sequence[_Annotation], name: str) -> _Annotation | None:
        found = [annotation for annotation in annotations if annotation.name == name]
        if len(found) > 1:
            self._fail(found[1], f"`{PREFIX}{name}` is given twice.")
        return found[0] if found else None

    def _path(self, annotation: _Annotation) -> tuple[tuple[str, ...], bool]:
        if not _PATH.match(annotation.argument):
            self._fail(annotation, f"{annotation.argument!r} is not a path such as customer.id or $.time.")
        text = annotation.argument.removeprefix("$.")
        return tuple(map(_unquoted, _STEPS.findall(text))), text != annotation.argument

    def _require_known(self, annotation: _Annotation, known: frozenset[str], what: str) -> None:
        if annotation.name not in known:
            names = ", ".join(f"{PREFIX}{name}" for name in sorted(known))
            self._fail(annotation, f"`{PREFIX}{annotation.name}` is not known on {what}; known: {names}.")

    def _fail(self, annotation: _Annotation, message: str) -> NoReturn:
        place = self._places.of(annotation)
        raise SchemaError(f"error: {message}\n{place}", hint="docs/events.md describes the annotations.")


class _Places:
    """Where annotations stand: Prisma's description of a schema has their texts only."""

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        self._files = files

    def of(self, annotation: _Annotation) -> str:
        """The place in the form of Prisma's messages."""
        name, lines, anchor = self._anchor(annotation)
        numbers = [number for number, line in enumerate(lines) if annotation.text in line and "///" in line]
        # A comment stands before what it describes, or behind it on the same line.
        before = [number for number in numbers if number <= anchor]
        number = before[-1] if before else anchor
        return f"  -->  {name}:{number + 1}\n   | \n{number + 1:2} | {lines[number]}\n   | \n"

    def _anchor(self, annotation: _Annotation) -> tuple[str, list[str], int]:
        """The file, its lines, and the index of the line of the model or field."""
        model = re.compile(rf"^\s*model\s+{re.escape(annotation.model)}\b")
        for name, content in self._files:
            lines = content.split("\n")
            begin = next((number for number, line in enumerate(lines) if model.match(line)), None)
            if begin is None:
                continue
            if annotation.field is None:
                return name, lines, begin
            field = re.compile(rf"^\s*{re.escape(annotation.field)}\s")
            inside = (number for number in range(begin + 1, len(lines)) if field.match(lines[number]))
            return name, lines, next(inside, begin)
        raise LookupError(annotation.model)


def _unquoted(step: str) -> str:
    return _ESCAPED.sub(r"\1", step[1:-1]) if step.startswith('"') else step


def _annotations(documentation: str | None, model: str, field: str | None) -> Iterator[_Annotation]:
    for found in _ANNOTATION.finditer(documentation or ""):
        if found["name"] in _OTHERS:
            continue
        yield _Annotation(found["name"], found["argument"], model, field, found[0].strip())


def _parse_source(kind: SourceKind, rest: str, removes: bool) -> MirrorSource | None:
    match kind:
        case SourceKind.DYNAMODB:
            return MirrorSource(kind, rest, removes=removes) if _TABLE.match(rest) else None
        case SourceKind.SQS:
            return MirrorSource(kind, rest, removes=removes) if _QUEUE.match(rest) else None
        case SourceKind.S3:
            bucket, _, prefix = rest.partition("/")
            return MirrorSource(kind, bucket, prefix, removes) if _BUCKET.match(bucket) else None
        case SourceKind.EVENTBRIDGE:
            sender, _, detail_type = rest.partition("/")
            # Sources of partners have slashes of their own: aws.partner/example.com/name.
            if sender == "aws.partner":
                sender, _, detail_type = rest.rpartition("/")
            return MirrorSource(kind, rest, removes=removes) if sender and detail_type else None


def _uniques(model: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The fields of each way to find one record, by Prisma's name for it, the id first."""
    found: dict[str, tuple[str, ...]] = {}
    fields = model["fields"]
    found |= {field["name"]: (field["name"],) for field in fields if field["isId"]}
    if model["primaryKey"]:
        names = tuple(model["primaryKey"]["fields"])
        found[model["primaryKey"]["name"] or "_".join(names)] = names
    found |= {field["name"]: (field["name"],) for field in fields if field["isUnique"]}
    for index in model["uniqueIndexes"]:
        names = tuple(index["fields"])
        found[index["name"] or "_".join(names)] = names
    return found


def _is_counted(field: Mapping[str, Any]) -> bool:
    default = field.get("default")
    return isinstance(default, Mapping) and default["name"] == "autoincrement"


def _is_generated(field: Mapping[str, Any]) -> bool:
    return isinstance(field.get("default"), Mapping)
