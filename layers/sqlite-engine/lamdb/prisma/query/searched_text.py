"""The texts that a request searches for, which plans compute from the request's values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from lamdb.prisma.query.plan.runtime import Run
from lamdb.search.definition import Language, SearchDefinition
from lamdb.search.substrings import ShortWords, pattern, without_short_words
from lamdb.search.syntax import Query, Tokenizer, parse
from lamdb.search.tables import quote

_NOTHING: Final = '""'
"""An expression that matches nothing."""


@dataclass(frozen=True, slots=True)
class Text:
    """Some fields of a model, searched for the text of a placeholder (`parameter`, as in a shape)."""

    definition: SearchDefinition
    columns: tuple[str, ...]
    parameter: Mapping[str, Any]

    def expressions(self, run: Run, text: Any) -> tuple[str, str]:
        """The expressions to match and to exclude, in FTS5's language; `""` where there is nothing."""
        query = self._query(run, text)[0]
        excluded = " OR ".join(term.match() for term in query.excluded)
        found = query.match()
        inside = f"{{{' '.join(map(quote, self.columns))}}} : "
        return (
            f"{inside}({found})" if found else _NOTHING,
            f"{inside}({excluded})" if excluded else _NOTHING,
        )

    def _query(self, run: Run, text: Any) -> tuple[Query, ShortWords]:
        query = parse(str(text), Tokenizer(run.connection))
        return without_short_words(query) if self.has_short_words else (query, ShortWords())

    @property
    def has_short_words(self) -> bool:
        """True if the index may not know words because they are short."""
        return self.definition.language is Language.CJK

    def matching(self, run: Run, text: Any) -> str:
        """The whole expression; `""` if short words must be looked for, too."""
        return _NOTHING if self._query(run, text)[1] else self.long_words(run, text)

    def long_words(self, run: Run, text: Any) -> str:
        """The expression without short words."""
        found, excluded = self.expressions(run, text)
        return found if _NOTHING in (found, excluded) else f"({found}) NOT ({excluded})"

    def searches_short_words(self, run: Run, text: Any) -> int:
        """1 if there are short words."""
        return int(bool(self._query(run, text)[1]))

    def has_only_short_words(self, run: Run, text: Any) -> int:
        """1 if there is no other word to be found."""
        return int(self.expressions(run, text)[0] == _NOTHING)

    def wanted(self, run: Run, text: Any) -> str:
        """The patterns of short words to be found, as a JSON array."""
        return orjson.dumps(list(map(pattern, self._query(run, text)[1].wanted))).decode()

    def unwanted(self, run: Run, text: Any) -> str:
        """The patterns of excluded short words, as a JSON array."""
        return orjson.dumps(list(map(pattern, self._query(run, text)[1].unwanted))).decode()

    def only_excludes(self, run: Run, text: Any) -> int:
        """True if the text contains only excluded words."""
        found, excluded = self.expressions(run, text)
        short = self._query(run, text)[1]
        return int(not short and found == _NOTHING and excluded != _NOTHING)

    def excluding(self, run: Run, text: Any) -> str:
        """The expression of the excluded words."""
        return self.expressions(run, text)[1]

    def argument(self, by: Any) -> dict[str, Any]:
        """An argument of a plan: what a method makes of the placeholder's text."""
        placeholder = {"prisma__type": "param", "prisma__value": self.parameter["value"]}
        return {"prisma__type": "computed", "prisma__value": {"of": placeholder, "by": by}}


def argument_type(scalar: str) -> dict[str, Any]:
    """Returns the type of a plan's scalar argument."""
    return {"arity": "scalar", "scalarType": scalar, "dbType": None}
