"""The tables behind Prisma's implicit many-to-many relations: `_PostToTag`, with the columns A and B.

Prisma makes one of `tags Tag[]` and `posts Post[]`. Its name is that of the relation, with an underscore. A
refers to the model whose name sorts first, B to the other; the pair is unique, by an index or as the primary
key, and B has an index of its own.
"""

from collections.abc import Mapping

from lamdb.prisma.sqlite.catalog import Catalog, ForeignKey, Table


def is_join_table(catalog: Catalog, table: Table) -> bool:
    """True if a table is what Prisma makes of such a relation."""
    if not table.name.startswith("_") or len(table.name) == 1 or table.is_view:
        return False
    if [column.name for column in table.columns] != ["A", "B"]:
        return False
    if not all(column.not_null and column.default is None for column in table.columns):
        return False
    sides = {key.columns: key for key in table.foreign_keys}
    if sides.keys() != {("A",), ("B",)} or len(table.foreign_keys) != 2:
        return False
    plain = [index for index in table.indexes if index.where is None and not index.has_expressions]
    pairs = [index for index in plain if index.unique and index.names == ("A", "B")]
    return (
        all(_leads_to_id(catalog, key) for key in sides.values())
        and [index.name for index in plain if index.names == ("B",)] == [f"{table.name}_B_index"]
        and len(pairs) == 1
        and (pairs[0].made_by != "c" or pairs[0].name == join_index_name(table))
        and len(table.indexes) == 2
    )


def join_index_name(table: Table) -> str:
    """The name of the index that makes the pairs of a join table unique."""
    return f"{table.name}_AB_unique"


def is_ordered(table: Table, models: Mapping[str, str]) -> bool:
    """True if A and B are in the order of the models' names, which `models` has by table in lower case."""
    parents = {key.columns: models[key.table.lower()] for key in table.foreign_keys}
    return parents["A",] <= parents["B",]


def _leads_to_id(catalog: Catalog, key: ForeignKey) -> bool:
    """True if a foreign key refers to the whole id of a table, and goes along with it."""
    parent = catalog.by_name.get(key.table.lower())
    if parent is None or not catalog.is_sound(key) or len(parent.key) != 1:
        return False
    return (
        parent.rowid_column is None
        and parent.key[0].name.lower() == key.references[0].lower()
        and (key.on_delete, key.on_update) == ("CASCADE", "CASCADE")
    )
