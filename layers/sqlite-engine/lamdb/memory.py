"""The memory budget: how `LAMDB_MEMORY` is divided among the caches of a process.

| part | share | bound by |
|---|---|---|
| pages of the database | 3/8 | `storage.cache.pagecache`, in bytes |
| SQLite: its page caches and statements, of all connections | 3/16 | `storage.sqlite_memory`, in bytes |
| query plans | 5/32 | `prisma.query.engine`, by the size of the requests they were made of |
| compiled GraphQL documents | 15/128 | `graphql.execution.prepared`, by the length of their texts |
| texts of persisted queries | 1/128 | `graphql.persisted_queries`, in bytes |
| vocabularies of searches | 1/8 | `search.vocabulary`, by the number of their words |
| results of searches | 1/32 | `search.results`, by the number of their hits and the length of their texts |

Python objects cannot be weighed while they are used. What plans and compiled documents take per byte of
text was measured over requests of five kinds; the constants below are rounded up.
"""

from dataclasses import dataclass
from typing import Final, Self

from lamdb.setting import MIB

DEFAULT: Final = 64 * MIB
SMALLEST: Final = 8 * MIB
DEFAULT_VOCABULARY_BYTES: Final = 64 * MIB
"""Memory for vocabularies where no budget is given."""
DEFAULT_SEARCH_RESULT_BYTES: Final = 2 * MIB
"""The same for results of searches."""

BYTES_PER_DOCUMENT_CHARACTER: Final = 180
"""Memory of a compiled document, without its plans, per character of its text: 151 to 179 were measured."""
BYTES_PER_REQUEST_BYTE: Final = 150
"""Memory of a plan per byte of the request that it was made of, as JSON without values: 74 to 214 were
measured, 122 in the middle."""

_PERSISTED: Final = 16
"""The part of the share of documents that is for the texts of persisted queries, as a divisor."""

_SHARE_OF_SERVER: Final = 8
_LARGEST_OF_SERVER: Final = 1024 * MIB
_FUNCTION_RESERVE: Final = 400 * MIB
"""Memory of a function besides caches: the interpreter, the engines, and the requests under way."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Bytes per part of the budget."""

    pages: int
    sqlite: int
    plans: int
    documents: int
    vocabularies: int
    search_results: int

    @classmethod
    def of(cls, budget: int, *, pages: int = 0) -> Self:
        """Divides `budget`. `pages`, if given, replaces the share of the page cache; the others keep
        theirs."""
        part = budget // 32
        return cls(pages or 12 * part, 6 * part, 5 * part, 4 * part, 4 * part, part)

    @property
    def document_characters(self) -> int:
        """The characters of the texts of all compiled documents."""
        return (self.documents - self.persisted_query_bytes) // BYTES_PER_DOCUMENT_CHARACTER

    @property
    def persisted_query_bytes(self) -> int:
        """The bytes of the texts of persisted queries."""
        return self.documents // _PERSISTED

    @property
    def plan_request_bytes(self) -> int:
        """The bytes of the requests of all plans."""
        return self.plans // BYTES_PER_REQUEST_BYTE


def budget_of_server(usable: int) -> int:
    """The budget, in bytes, of a server that may use so many bytes, where `LAMDB_MEMORY` is not set."""
    return min(max(DEFAULT, usable // _SHARE_OF_SERVER), _LARGEST_OF_SERVER)


def budget_of_function(megabytes: int) -> int:
    """The budget, in bytes, of a Lambda function with so much memory, where `LAMDB_MEMORY` is not set."""
    return max(DEFAULT, megabytes * MIB - _FUNCTION_RESERVE)
