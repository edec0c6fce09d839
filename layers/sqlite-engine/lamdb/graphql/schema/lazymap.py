"""A read-only mapping whose values are made from raw entries when they are first wanted."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class LazyMap[V](Mapping[str, V]):
    """`make(name, raw)` is called at most once per name (twice at worst when two threads want it first)."""

    __slots__ = ("_made", "_make", "_raw")

    def __init__(self, raw: Mapping[str, Any], make: Callable[[str, Any], V]) -> None:
        self._raw = raw
        self._make = make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(name, self._raw[name])
        return made

    @property
    def raw(self) -> Mapping[str, Any]:
        """The entries that values are made from."""
        return self._raw

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._raw else default

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"LazyMap({list(self._raw)})"
