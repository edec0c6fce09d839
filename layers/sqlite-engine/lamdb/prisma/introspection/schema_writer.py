"""Turns the schema engine's text for a `shadow` into the schema that people read."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from lamdb.prisma.datamodel.default_numbers import refitted
from lamdb.prisma.datamodel.naming import Names, free_name, lower_first, plural, relation_name, usable
from lamdb.prisma.datamodel.schema_text import ROWID_NOTE, Block, Field, escape, render, type_note
from lamdb.prisma.introspection.warnings import Finding
from lamdb.prisma.migrate.proxy_schema import readable_default
from lamdb.prisma.sqlite.catalog import BOOKKEEPING, Catalog, Column, ForeignKey, Index, Table
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES, Fit, engine_type

_NO_IDENTIFIER = "/// The underlying table does not contain a valid unique identifier"
_HEAD = """\
datasource db {
  provider = "sqlite"
}
"""
_GENERATOR = """\
generator client {{
  provider        = "prisma-client-js"
  previewFeatures = [{features}]
}}
"""


@dataclass
class Finishing:
    """One schema's way from the engine's text to ours. `apply` changes the blocks, `text` writes them out."""

    catalog: Catalog
    names: Names
    fits: Mapping[str, Mapping[str, Fit]]
    notes: Mapping[str, Mapping[str, str]]
    identifiers: Mapping[str, str]
    """The columns of views that tell their rows apart."""
    broken: Sequence[tuple[str, ForeignKey]]
    """Foreign keys of tables whose rows refer to what is not there."""
    unreadable: Sequence[tuple[str, ForeignKey]]
    """Foreign keys with columns that no field can read."""
    shown: Set[str]
    """Tables, in lower case, that the API serves already."""
    rename_relations: bool
    keep_head: bool
    """Whether the blocks come with generators and a datasource that are to stay."""
    models: int = 0
    views: int = 0
    _tables: dict[str, Table] = field(default_factory=dict)
    """By model."""

    def apply(self, blocks: list[Block]) -> Iterator[Finding]:
        tables = self.catalog.by_name
        if self.keep_head:
            found = ((block.name, tables.get(block.table.lower())) for block in blocks)
            self._tables = {name: table for name, table in found if table is not None}
        else:
            models = {model: table for table, model in self.names.models.items()}
            self._tables = {model: tables[table.lower()] for model, table in models.items()}
        described = [block for block in blocks if block.name in self._tables]
        for block in described:
            yield from self._block(block, self._tables[block.name])
        ignored = {block.name for block in described if block.is_ignored}
        for block in described:
            self._hide_relations(block, ignored)
        self._hide_broken(described)
        if self.rename_relations:
            self._name_relations(described)
        elif not self.keep_head:
            for block in described:
                for each in block.fields:
                    if each.type in self._tables:
                        each.name = usable(each.name, is_relation=True)
        self.models = sum(block.kind == "model" and not block.is_ignored for block in described)
        self.views = sum(block.kind == "view" and not block.is_ignored for block in described)

    def text(self, blocks: Sequence[Block], found: Iterable[Finding]) -> str:
        """The whole schema, with what is left out of it at its head and above its models."""
        placed = set()
        for block in blocks:
            table = self._tables.get(block.name)
            if table is not None and not self.keep_head:
                placed.add(table.name)
                block.comments[:0] = [
                    f"// {_line(each)}" for each in found if each.table == table.name and each.column is None
                ]
        if self.keep_head:
            return render(blocks)
        outside = [f"//   {each.table}: {_line(each)}\n" for each in found if each.table not in placed]
        head = "// In the database, but not in this schema:\n" + "".join(outside) + "\n" if outside else ""
        features = [f'"{name}"' for name in self._features()]
        generator = _GENERATOR.format(features=", ".join(features)) + "\n" if features else ""
        described = [block for block in blocks if block.kind not in ("generator", "datasource")]
        return f"{head}{generator}{_HEAD}\n{render(described)}"

    def _features(self) -> Iterator[str]:
        if any(index.where is not None for table in self.catalog.tables for index in table.indexes):
            yield "partialIndexes"
        if self.catalog.views:
            yield "views"

    # One model.

    def _block(self, block: Block, table: Table) -> Iterator[Finding]:
        own_names = self.names.fields[table.name]
        columns = {name: table.by_name[column.lower()] for column, name in own_names.items()}
        if self.keep_head:
            columns = {
                each.name: table.by_name[each.column.lower()]
                for each in block.fields
                if each.column.lower() in table.by_name
            }
        for each in block.fields:
            column = columns.get(each.name)
            if column is not None and each.type not in self._tables:
                self._field(table, column, each)
        if not self.keep_head and block.name != table.name:
            block.rest.append(f'@@map("{escape(table.name)}")')
        if table.is_view and not self.keep_head:
            yield from self._view(block, table)
            return
        fields = {column.name.lower(): name for name, column in columns.items()}
        if not self.keep_head:
            block.rest += [
                _partial_index(index, fields)
                for index in table.indexes
                if index.where is not None and not index.has_expressions
            ]
        block.comments = [comment for comment in block.comments if not comment.startswith(_NO_IDENTIFIER)]
        if block.is_ignored:
            message = "nothing identifies a row: in the schema, but not in the API"
            yield Finding("no-identifier", table.name, None, message)
        elif table.name.lower() in BOOKKEEPING - self.shown:
            block.rest.append("@@ignore")
            message = "the notes of another tool: in the schema, but not in the API"
            yield Finding("bookkeeping", table.name, None, message)

    def _field(self, table: Table, column: Column, each: Field) -> None:
        fit = self.fits[table.name][column.name]
        if not self.keep_head and each.name != column.name:
            each.attributes += f' @map("{escape(column.name)}")'
        if fit.type == "BigInt" and (not self.keep_head or column.name == table.rowid_alias):
            each.type = "BigInt"  # The engine takes every rowid for an Int.
        each.type, each.attributes = refitted(each.type, each.attributes)
        if _needs_default(column, fit) and "@default" not in each.attributes:
            each.attributes += " @default(dbgenerated())"
        if column.name == table.rowid_column and not each.is_rowid:
            each.comments.append(ROWID_NOTE)
        is_scalar = each.type in COLUMN_TYPES and not table.is_view
        if fit.type is None:
            _ignore(each)
        if is_scalar and engine_type(column.declared) != each.type and each.declared is None:
            each.comments.append(type_note(column.declared))
        note = self.notes[table.name].get(column.name)
        if note and not self.keep_head:
            each.comments.append(f"/// {note}")

    def _view(self, block: Block, table: Table) -> Iterator[Finding]:
        block.kind = "view"
        block.comments = [comment for comment in block.comments if not comment.startswith(_NO_IDENTIFIER)]
        block.rest = [line for line in block.rest if not line.startswith("@@ignore")]
        key = self.identifiers.get(table.name)
        for each in block.fields:
            if key is not None and each.name == self.names.fields[table.name][key]:
                each.arity = ""
                each.attributes = f"@unique {each.attributes}"
        about = (
            "a view: read-only" if key else "a view: read-only, and nothing is known to identify a row of it"
        )
        yield Finding("view", table.name, None, about)

    # Relations.

    def _hide_relations(self, block: Block, ignored: set[str]) -> None:
        """Relations with models that the API does not have."""
        for each in block.fields:
            if each.type in ignored and block.name not in ignored:
                _ignore(each)

    def _hide_broken(self, blocks: Sequence[Block]) -> None:
        """Relations that could not be read: their columns cannot, or a row must have one and has not."""
        tables = self.catalog.by_name
        for name, key in self.broken:
            if all(tables[name.lower()].by_name[each.lower()].not_null for each in key.columns):
                self._hide_key(blocks, name, key)
        for name, key in self.unreadable:
            self._hide_key(blocks, name, key)

    def _hide_key(self, blocks: Sequence[Block], name: str, key: ForeignKey) -> None:
        """Both sides of the relations that are made of a table's foreign key."""
        by_name = {block.name: block for block in blocks}
        wanted = {column.lower() for column in key.columns}
        for block in blocks:
            if self._tables[block.name].name != name:
                continue
            for each in block.fields:
                if {self._column_of(block, linked) for linked in each.linked} == wanted:
                    _ignore(each)
                    for other in by_name[each.type].fields:
                        if other.type == block.name and other.relation == each.relation and not other.linked:
                            _ignore(other)

    def _column_of(self, block: Block, name: str) -> str:
        return next(each.column.lower() for each in block.fields if each.name == name)

    def _name_relations(self, blocks: Sequence[Block]) -> None:
        """`artist_id` makes `artist` there, and `albums` on the other side."""
        forward: dict[tuple[str, str, str | None], str] = {}
        lists: Counter[frozenset[str]] = Counter(
            frozenset((block.name, each.type)) for block in blocks for each in block.fields if each.linked
        )
        taken = {
            block.name: {each.name.lower() for each in block.fields if each.type not in self._tables}
            for block in blocks
        }
        for block in blocks:
            for each in block.fields:
                if each.linked:
                    alone = lists[frozenset((block.name, each.type))] == 1
                    each.name = self._forward_name(block, each, taken[block.name], alone=alone)
                    forward[block.name, each.type, each.relation] = each.name
        for block in blocks:
            for each in block.fields:
                if each.type in self._tables and not each.linked:
                    alone = lists[frozenset((block.name, each.type))] == 1 and each.type != block.name
                    by = forward.get((each.type, block.name, each.relation))
                    name = lower_first(each.type)
                    name = plural(name) if each.arity == "[]" else name
                    if by is None and each.relation and (block.name, each.type, each.relation) not in forward:
                        name = self._many_to_many_name(block, each, name, is_alone=not alone)
                    elif not alone and by is not None:
                        name += f"By{by[:1].upper()}{by[1:]}"
                    each.name = free_name(usable(name, is_relation=True), taken[block.name])

    def _many_to_many_name(self, block: Block, each: Field, name: str, *, is_alone: bool) -> str:
        """The name of a list whose other side is a list too, and which has a relation of its own name."""
        relation = "".join(
            part[:1].upper() + part[1:] for part in re.findall(r"[A-Za-z0-9]+", each.relation or "")
        )
        if each.type == block.name:
            # Prisma takes the field whose name sorts first for the side A: the engine ends it with _A.
            return f"{lower_first(relation) or name}{each.name[-1]}"
        return name if is_alone else f"{name}By{relation}"

    def _forward_name(self, block: Block, each: Field, taken: set[str], *, alone: bool) -> str:
        linked = each.linked
        original = {name: column for column, name in self.names.fields[self._tables[block.name].name].items()}
        name = relation_name((original[name] for name in linked), each.type)
        if name is None or name.lower() in taken:
            if alone and each.type != block.name:
                name = lower_first(each.type)
            elif linked[0].lower().endswith(each.type.lower()):
                name = f"{linked[0]}Ref"
            else:
                name = f"{linked[0]}{each.type}"
        return free_name(usable(name, is_relation=True), taken)


def _ignore(each: Field) -> None:
    if "@ignore" not in each.attributes:
        each.attributes += " @ignore"


def _needs_default(column: Column, fit: Fit) -> bool:
    """True if the database has a default that the engine was not shown."""
    if column.generated:
        return True
    if column.default is None or column.default.strip().lower() == "null":
        return False
    return readable_default(column.default, fit.type) is None


def _partial_index(index: Index, fields: Mapping[str, str]) -> str:
    columns = ", ".join(
        fields[name.lower()] + ("(sort: Desc)" if descending else "")
        for name, descending in index.columns
        if name is not None
    )
    kind = "unique" if index.unique else "index"
    return f'@@{kind}([{columns}], map: "{escape(index.name)}", where: raw("{escape(index.where or "")}"))'


def _line(found: Finding) -> str:
    return " ".join(found.message.split())
