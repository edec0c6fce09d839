"""The types and the root field of the change feed in the GraphQL API, as entries of its compact metadata.

    changes(since: String, models: [ChangeModel!], take: Int): Changes!

See `metadata` for the notation.
"""

from collections.abc import Sequence
from typing import Any, Final

from lamdb.changes.definition import RecordedModel

type Entry = tuple[str, str, Any]

DEFINITIONS: Final = "@changes"
"""The name of the entry that holds the definitions."""
CHANGES: Final = "changes"
"""The root field, and its action."""

_OPERATIONS: Final = {
    "CREATE": "The record was created, or has come into what the caller may read.",
    "UPDATE": "Fields of the record were changed.",
    "DELETE": "The record was deleted, or has left what the caller may read.",
    "RESET": "Records of the model have changed in ways that are not recorded: read them anew.",
}


def with_changes(entries: Sequence[Entry], models: Sequence[RecordedModel]) -> list[Entry]:
    """Returns the entries of a schema with those of its change feed."""
    if not models:
        return list(entries)
    found = {name: content for name, _, content in entries}
    roots = {**found["@query"], CHANGES: (None, CHANGES)}
    description, model, fields = found["Query"]
    fields = {
        **fields,
        CHANGES: (
            "{Changes!",
            {"since": "String", "models": "#ChangeModel*", "take": "Int"},
            "The changes of records after a cursor or TXID, in the order of commits. Without `since` only "
            "the cursor of the present.",
        ),
    }
    replaced = {"@query": roots, "Query": (description, model, fields)}
    return [(name, kind, replaced.get(name, content)) for name, kind, content in entries] + _types(models)


def _types(models: Sequence[RecordedModel]) -> list[Entry]:
    names = {each.model: None for each in models}
    return [
        (DEFINITIONS, "changes", [each.to_json() for each in models]),
        ("ChangeModel", "enum", ("The models whose changes are recorded.", names)),
        ("ChangeOperation", "enum", (None, _OPERATIONS)),
        (
            "Changes",
            "object",
            (
                None,
                None,
                {
                    "changes": ("{Change*!", None, "The changes, oldest first."),
                    "next": ("String!", None, "The cursor after them, for `since` of the next request."),
                    "more": ("Boolean!", None, "Whether further changes may be there already."),
                },
            ),
        ),
        (
            "Change",
            "object",
            (
                "The change of one record in one commit.",
                None,
                {
                    "cursor": ("String!", None, "The place of the change, for `since`."),
                    "txid": ("BigInt!", None, "The TXID of the commit."),
                    "model": ("#ChangeModel!", None, None),
                    "operation": ("#ChangeOperation!", None, None),
                    "key": ("Json", None, "The fields that identify the record; null for RESET."),
                    "before": (
                        "Json",
                        None,
                        "Fields before: all of a deleted record, else the changed ones.",
                    ),
                    "after": ("Json", None, "Fields after: all of a new record, else the changed ones."),
                },
            ),
        ),
    ]
