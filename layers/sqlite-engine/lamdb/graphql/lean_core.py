"""Loads of graphql-core no more than is used: the packages that import it call `install` first.

Its packages import all of their modules: code that parses a document loads the executor, and asyncio with it,
which take as long as parser, types and validation together. `install` puts packages in their places that are
initialised when a name is asked for that no loaded module has been found to hold. A package is the same
afterwards as if it had been imported as always.
"""

import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, Final, cast

_HOMES: Final[Mapping[str, Mapping[str, str]]] = {
    "graphql": {},
    "graphql.execution": {},
    "graphql.pyutils": {
        "AwaitableOrValue": "awaitable_or_value",
        "Description": "description",
        "FrozenDict": "frozen_dict",
        "FrozenError": "frozen_error",
        "FrozenList": "frozen_list",
        "Path": "path",
        "Undefined": "undefined",
        "UndefinedType": "undefined",
        "cached_property": "cached_property",
        "camel_to_snake": "convert_case",
        "did_you_mean": "did_you_mean",
        "group_by": "group_by",
        "identity_func": "identity_func",
        "inspect": "inspect",
        "is_awaitable": "is_awaitable",
        "is_collection": "is_iterable",
        "is_description": "description",
        "is_iterable": "is_iterable",
        "merge_kwargs": "merge_kwargs",
        "natural_comparison_key": "natural_compare",
        "print_path_list": "print_path_list",
        "snake_to_camel": "convert_case",
        "suggestion_list": "suggestion_list",
    },
    "graphql.utilities": {
        "TypeInfo": "type_info",
        "TypeInfoVisitor": "type_info",
        "ast_from_value": "ast_from_value",
        "do_types_overlap": "type_comparators",
        "is_type_sub_type_of": "type_comparators",
        "type_from_ast": "type_from_ast",
        "value_from_ast": "value_from_ast",
    },
}
"""Names of a package that are used here or by its neighbours, with the modules that hold them. Any other name
initialises the package."""


class LazyPackage(ModuleType):
    """A package whose `__init__` has not run."""

    __spec__: ModuleSpec

    def __getattr__(self, name: str) -> Any:
        home = _HOMES[self.__name__].get(name)
        if home is not None:
            return getattr(import_module(f"{self.__name__}.{home}"), name)
        initialising = self.__dict__["_initialising"]
        if getattr(initialising, "is_running", False):
            raise AttributeError(f"partially initialised module {self.__name__!r} has no attribute {name!r}")
        initialising.is_running = True
        try:
            # Two threads may come here at once: doing it twice harms nothing, and a lock might block imports.
            self.__dict__.update(self.__dict__["_submodules"])
            cast(Any, self.__spec__.loader).exec_module(self)
        finally:
            initialising.is_running = False
        self.__class__ = ModuleType  # type: ignore[assignment]
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # A submodule may have the name of a function that `__init__` puts in its place.
        is_submodule = isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}"
        if is_submodule and not getattr(self.__dict__["_initialising"], "is_running", False):
            self.__dict__["_submodules"][name] = value
        else:
            super().__setattr__(name, value)


def install() -> None:
    """Put the packages in their places, unless graphql-core is loaded already."""
    if "graphql" in sys.modules:
        return
    for name in _HOMES:
        spec = find_spec(name)
        if spec is None:
            return  # An import of it gets the error.
        package = module_from_spec(spec)
        package.__dict__.update(_submodules={}, _initialising=threading.local())
        package.__class__ = LazyPackage
        sys.modules[name] = package
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, package)
