"""The features of tables that a Prisma schema declares; `merging` keeps them."""

from collections.abc import Callable

from lamdb.prisma.datamodel.schema_text import Claims, parse_blocks, spaced
from lamdb.prisma.migrate.merging import Wishes
from lamdb.prisma.sqlite.definition import Key


class WishesOf:
    """The wishes of one schema, by table."""

    def __init__(self, text: str, claims: Claims) -> None:
        self._claims = claims
        self._attributes = {
            (block.table.lower(), each.column.lower()): each.attributes
            for block in parse_blocks(text)
            for each in block.fields
        }

    def of(self, table: str, sound: Callable[[Key], bool]) -> Wishes:
        """`table` in lower case. Prisma has all foreign keys in its scripts that it can see."""

        def keeps_default(column: str) -> bool | None:
            attributes = self._attributes.get((table, column))
            return None if attributes is None else "dbgenerated(" in attributes

        def keeps_type(column: str, declared: str) -> bool | None:
            note = self._claims.types.get((table, column))
            return True if note is not None and note[0].lower() == spaced(declared).lower() else None

        return Wishes(keeps_default, keeps_type, lambda key: not sound(key), table in self._claims.rowids)
