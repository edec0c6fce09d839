"""Converts a Prisma schema for PostgreSQL, MySQL or SQL Server into one for SQLite.

    made = convert({"schema.prisma": text})
    made.files["schema.prisma"]      # the same schema, line by line, without what SQLite does not have
    made.changes                     # what was changed, with places

Only text is changed: comments, order and layout stay. The result is not validated here.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.attributes import Attribute, attributes, changed, labelled, split, written
from lamdb.prisma.datamodel.config_blocks import ADDRESSES, accepted, config_blocks
from lamdb.prisma.datamodel.foreign_defaults import converted as converted_default
from lamdb.prisma.datamodel.schema_text import escape, parse_blocks, unescape, without_comment

_SCALARS: Final = frozenset(
    ("String", "Boolean", "Int", "BigInt", "Float", "Decimal", "DateTime", "Json", "Bytes")
)
_HEAD: Final = re.compile(r"^\s*(?P<kind>model|view|enum|type)\s+(?P<name>\w+)\s*\{")
_FIELD: Final = re.compile(
    r"^(?P<head>\s*\w+\s+)(?P<type>Unsupported\(\"(?:[^\"\\]|\\.)*\"\)|\w+)(?P<arity>\[\]|\?)?(?=\s|$)"
)
_INDEXED: Final = re.compile(r"^(?P<path>[\w.]+)\s*(?:\((?P<arguments>.*)\))?$", re.DOTALL)
_SPECIAL_INDEXES: Final = frozenset(("Gin", "Gist", "SpGist"))
_PROVIDER: Final = '"sqlite"'
_DROPPED_OF_SOURCE: Final = {
    "relationMode": "relationMode is left out: SQLite enforces foreign keys",
    "referentialIntegrity": "referentialIntegrity is left out: SQLite enforces foreign keys",
    "extensions": "extensions are left out: SQLite has none",
    "schemas": "schemas are left out: a SQLite database has one",
}
_NATIVE_NOTES: Final = {
    "Citext": ": comparisons now distinguish case",
    "Date": ": values now have a time of day, 00:00 in UTC",
    "Time": ": values now have a date",
    "Timetz": ": values now have a date",
    "Money": ": values are not rounded to the currency",
    "Decimal": ": values are not rounded",
    "Numeric": ": values are not rounded",
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """One change; `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Converted:
    """A schema for SQLite, by file, and what was changed, in the order of files and lines."""

    files: Mapping[str, str]
    changes: tuple[Conversion, ...]


def convert(files: Mapping[str, str]) -> Converted:
    """Convert a schema by its files. Raises `SchemaError` if its database is not a relational one."""
    return _Conversion(files).run()


@dataclass(slots=True)
class _Place:
    """Where the conversion is: the file, the line (from 1) and the block around it."""

    file: str
    line: int
    block: str = ""
    is_model: bool = False


class _Conversion:
    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = dict(files)
        self._changes: list[Conversion] = []
        self._place = _Place("", 0)
        blocks = [block for content in files.values() for block in parse_blocks(content)]
        self._enums = {block.name for block in blocks if block.kind == "enum"}
        self._tables = Counter(block.table.lower() for block in blocks if block.kind in ("model", "view"))
        self._optional = {
            (block.name, each.name): each.arity == "?" for block in blocks for each in block.fields
        }
        self._indexes: set[tuple[str, str]] = set()
        self._names: set[str] = {block.table.lower() for block in blocks if block.kind == "model"}

    def run(self) -> Converted:
        files = {name: self._file(name, content) for name, content in self._files.items()}
        order = {name: position for position, name in enumerate(files)}
        self._changes.sort(key=lambda each: (order[each.file], each.line))
        return Converted(files, tuple(self._changes))

    def _note(self, message: str) -> None:
        self._changes.append(Conversion(self._place.file, self._place.line, message))

    # Configuration.

    def _file(self, name: str, content: str) -> str:
        self._place = _Place(name, 0)
        self._note_source(content)
        content = self._configured(accepted(content))
        lines = content.split("\n")
        made: list[str] = []
        for number, line in enumerate(lines, 1):
            self._place.line = number
            bare = without_comment(line)
            if not self._place.block:
                if head := _HEAD.match(bare):
                    self._place.block = head["name"]
                    self._place.is_model = head["kind"] in ("model", "view")
                made.append(line)
            elif bare.strip() == "}":
                self._place.block = ""
                made.append(line)
            else:
                converted = self._line(bare)
                if converted is not None:
                    made.append(line if converted == bare else converted.rstrip() + _comment(line, bare))
        return "\n".join(made)

    def _note_source(self, content: str) -> None:
        """Notes what `accepted` and `_configured` change, with the lines of the file as it was given."""
        for block in config_blocks(content):
            for each in block.properties if block.kind == "datasource" else ():
                self._place.line = content.count("\n", 0, each.start) + 1
                if each.name in ADDRESSES:
                    self._note(f"{each.name}: left out, the database is named by --store")
                elif each.name in _DROPPED_OF_SOURCE:
                    self._note(_DROPPED_OF_SOURCE[each.name])
                elif each.name == "provider" and each.value.strip('"') == "mongodb":
                    raise SchemaError(
                        'The datasource provider is "mongodb", whose models are not tables.',
                        hint="Rewrite the models for tables, each with an id field.",
                    )
                elif each.name == "provider" and each.value != _PROVIDER:
                    self._note(f"provider: {each.value} is now {_PROVIDER}")

    def _configured(self, content: str) -> str:
        for block in reversed(config_blocks(content)):
            for each in reversed(block.properties) if block.kind == "datasource" else ():
                if each.name == "provider" and each.value != _PROVIDER:
                    content = f"{content[: each.start]}provider = {_PROVIDER}{content[each.end :]}"
                elif each.name in _DROPPED_OF_SOURCE:
                    lines = "\n" * content.count("\n", each.start, each.end)
                    content = content[: each.start].rstrip(" \t") + lines + content[each.end :].lstrip(" \t")
        return content

    # Models.

    def _line(self, code: str) -> str | None:
        """A line of a block in its new form; None leaves it out."""
        text = code.strip()
        if not text or text.startswith("//"):
            return code
        if text.startswith("@@"):
            return self._block_attribute(code)
        if not self._place.is_model:
            return code
        found = _FIELD.match(code)
        return code if found is None else self._field(code, found)

    def _block_attribute(self, code: str) -> str | None:
        found = next(attributes(code), None)
        if found is None:
            return code
        match found.name:
            case "@@schema":
                self._note(f"{self._place.block}: @@schema is left out")
                return None
            case "@@map" if self._place.is_model:
                return self._renamed(code, found)
            case "@@fulltext":
                self._note(
                    f"{self._place.block}: @@fulltext is left out; `/// @lamdb.search` above the fields "
                    "makes a full-text index (docs/search.md)"
                )
                return None
            case "@@index" | "@@unique" | "@@id":
                made = self._index(found)
                return None if made is None else code[: found.start] + made + code[found.end :]
        return code

    def _renamed(self, code: str, found: Attribute) -> str:
        """The line of @@map, with another name if tables of two schemas have the same."""
        table = labelled((found.arguments or ("",))[0])[1].strip('"')
        if self._tables[table.lower()] < 2:
            return code
        made = f"{self._place.block}_{table}"
        self._note(f'{self._place.block}: the table is now "{made}", because there are several "{table}"')
        return f'{code[: found.start]}@@map("{made}"){code[found.end :]}'

    def _index(self, found: Attribute) -> str | None:
        """The text of @@index, @@unique or @@id; None leaves it out."""
        model, arguments = self._place.block, list(found.arguments or ())
        kind = found.argument("type")
        if kind in _SPECIAL_INDEXES:
            self._note(f"{model}: the {kind} index is left out; full-text search: `/// @lamdb.search`")
            return None
        made, fields = [], ""
        for each in arguments:
            label, value = labelled(each)
            if label in ("type", "clustered", "ops"):
                self._note(f"{model}: {found.name} has no {label} on SQLite")
                continue
            if label == "map" and not self._keeps_name(found.name, value):
                continue
            if label in (None, "fields") and value.startswith("["):
                fields = "[" + ", ".join(self._indexed(part) for part in split(value[1:-1])) + "]"
                made.append(fields if label is None else f"fields: {fields}")
            else:
                made.append(each)
        named = next((value for label, value in map(labelled, made) if label == "map"), "")
        key = (model, found.name + fields + named)
        if key in self._indexes:
            self._note(f"{model}: {found.name}({fields}) is left out, it was there twice")
            return None
        self._indexes.add(key)
        return written(found.name, made)

    def _indexed(self, part: str) -> str:
        """One field of an index, with its order alone."""
        found = _INDEXED.match(part)
        if found is None or found["arguments"] is None:
            return part
        kept = [each for each in split(found["arguments"]) if labelled(each)[0] == "sort"]
        if len(kept) < len(split(found["arguments"])):
            self._note(f"{self._place.block}: the index on {found['path']} has no length or operator class")
        return written(found["path"], kept)

    def _keeps_name(self, attribute: str, name: str) -> bool:
        """True if an index can keep the name of `map`: names are unique in the whole database."""
        if attribute in ("@@id", "@id", "@relation"):
            self._note(f"{self._place.block}: map of {attribute} is left out, SQLite has no such names")
            return False
        key = name.strip('"').lower()
        if key in self._names:
            self._note(f"{self._place.block}: the index {name} gets another name, that one is taken")
            return False
        self._names.add(key)
        return True

    # Fields.

    def _field(self, code: str, found: re.Match[str]) -> str:
        name = found["head"].strip()
        type_, arity = found["type"], found["arity"] or ""
        is_enum = type_ in self._enums
        has_id = any(each.name == "@id" for each in attributes(code))
        if type_.startswith("Unsupported("):
            made = "String" if has_id else "String?"
            self._note(f"{self._label(name)}: {type_} is now {made}")
            code = f"{found['head']}{made}{code[found.end() :]}"
            return self._attributes(code, name, "String", is_enum=False, drop_default=True)
        if arity == "[]" and (is_enum or type_ in _SCALARS):
            self._note(f"{self._label(name)}: {type_}[] is now Json")
            code = f"{found['head']}Json{code[found.end() :]}"
            return self._listed(self._attributes(code, name, "Json", is_enum=False))
        return self._attributes(code, name, type_, is_enum=is_enum)

    def _listed(self, code: str) -> str:
        """The field with a list as its default, an empty one if it had none."""
        if any(each.name == "@default" for each in attributes(code)):
            return code
        end = next((each.start for each in attributes(code)), len(code))
        return f'{code[:end].rstrip()} @default("[]") {code[end:]}'.rstrip()

    def _attributes(
        self, code: str, name: str, type_: str, *, is_enum: bool, drop_default: bool = False
    ) -> str:
        label = self._label(name)
        has_id = any(each.name == "@id" for each in attributes(code))

        def change(each: Attribute) -> str | None:
            # Attributes of native types have the datasource's name: `@db.Text`.
            if "." in each.name:
                native = each.name.partition(".")[2]
                self._note(f"{label}: {each.name} is left out{_NATIVE_NOTES.get(native, '')}")
                return ""
            match each.name:
                case "@id" | "@unique" | "@relation" if each.arguments is not None:
                    return self._constraint(each, label)
                case "@default":
                    if drop_default:
                        self._note(f"{label}: its default is left out")
                        return ""
                    return self._default(each, label, type_, is_enum=is_enum, has_id=has_id)
            return None

        return changed(code, change)

    def _constraint(self, each: Attribute, label: str) -> str | None:
        dropped = [
            key
            for key in ("clustered", "length", "type", "ops", "sort")
            if each.argument(key) is not None and each.name != "@relation"
        ]
        name = each.argument("map")
        if name is not None and not self._keeps_name(each.name, name):
            dropped.append("map")
        text = each.without(*dropped)
        if each.name == "@relation" and self._nulls_required(each):
            self._note(f"{label}: onDelete SetNull is now Restrict, because its fields are required")
            text = re.sub(r"onDelete:\s*SetNull", "onDelete: Restrict", text)
        return text

    def _nulls_required(self, relation: Attribute) -> bool:
        names = re.findall(r"\w+", relation.argument("fields") or "")
        required = [not self._optional.get((self._place.block, name), True) for name in names]
        return relation.argument("onDelete") == "SetNull" and any(required)

    def _default(self, each: Attribute, label: str, type_: str, *, is_enum: bool, has_id: bool) -> str | None:
        if not each.arguments:
            return None
        argument = labelled(each.arguments[0])[1]
        if argument.startswith("["):
            return f'@default("{escape(_json_list(argument))}")'
        if argument.startswith(("autoincrement(", "sequence(")):
            if has_id:
                return "@default(autoincrement())"
            self._note(f"{label}: SQLite counts only in an id; numbers must be given")
            return ""
        if argument.startswith("dbgenerated("):
            return self._generated(argument, label, type_, is_enum=is_enum, has_id=has_id)
        return None if len(each.arguments) == 1 else written(each.name, [argument])

    def _generated(self, argument: str, label: str, type_: str, *, is_enum: bool, has_id: bool) -> str:
        parts = split(argument.removeprefix("dbgenerated(").removesuffix(")"))
        expression = unescape(labelled(parts[0])[1][1:-1]) if parts else ""
        made = converted_default(expression, type_, is_enum=is_enum, is_id=has_id) if expression else None
        if made is None and type_ == "Json" and expression.startswith(("'{", "ARRAY[", "'[")):
            made = '"[]"'
        if made == argument:
            return f"@default({argument})"
        if made is None:
            self._note(f"{label}: the default {expression or argument} is left out; values must be given")
            return ""
        self._note(f"{label}: the default {expression} is now {made}")
        return f"@default({made})"

    def _label(self, name: str) -> str:
        return f"{self._place.block}.{name}"


def _json_list(argument: str) -> str:
    """The JSON text of a list in a schema, such as `[ADMIN, "x", 1]`."""
    values: list[object] = []
    for part in split(argument[1:-1]):
        if part.startswith('"'):
            values.append(unescape(part[1:-1]))
        elif part in ("true", "false"):
            values.append(part == "true")
        elif re.fullmatch(r"-?\d+", part):
            values.append(int(part))
        elif re.fullmatch(r"-?\d+\.\d+", part):
            values.append(float(part))
        else:
            values.append(part)
    return orjson.dumps(values).decode()


def _comment(line: str, bare: str) -> str:
    """The comment at the end of a line, with a space before it."""
    rest = line[len(bare) :].strip()
    return f" {rest}" if rest else ""
