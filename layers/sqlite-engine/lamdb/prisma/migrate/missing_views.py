"""Views of a schema that a database does not have.

Prisma makes tables of models, but no views: a `view` block says how to read one that a migration made. An API
with a view that is not there would fail with P2021 wherever it is asked for, `include` among them.
"""

import re
from collections.abc import Sequence

import apsw

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.datamodel.schema_text import parse_blocks

_BLOCK = re.compile(r"^\s*(?:model|view)\s+(?P<name>\w+)\s*\{")
_FIELD = re.compile(r"^\s*\w+\s+(?P<type>\w+)(?:\[\]|\?)?(?=\s|$)")
_COMMENT = re.compile(r"\s*//.*$")


def missing_views(connection: apsw.Connection, schema: PrismaSchema) -> tuple[str, ...]:
    """The names of the schema's views that are neither views nor tables of the database."""
    text = "\n".join(content for _, content in schema.files)
    views = [block for block in parse_blocks(text) if block.kind == "view" and not block.is_ignored]
    if not views:
        return ()
    rows = connection.execute("SELECT lower(name) FROM sqlite_schema WHERE type IN ('view', 'table')")
    present = {str(name) for (name,) in rows}
    return tuple(sorted(view.name for view in views if view.table.lower() not in present))


def without_views(text: str, names: Sequence[str]) -> str:
    """The schema with these views, and the relations to them, ignored."""
    lines = []
    current = None
    for line in text.split("\n"):
        begins = _BLOCK.match(line)
        if begins:
            current = begins["name"]
        elif line.strip() == "}":
            if current in names:
                lines.append("  @@ignore")
            current = None
        elif current is not None and current not in names:
            found = _FIELD.match(line)
            bare = _COMMENT.sub("", line) if '"' not in line else line
            if found and found["type"] in names and "@ignore" not in line:
                line = f"{bare} @ignore"
        lines.append(line)
    return "\n".join(lines)
