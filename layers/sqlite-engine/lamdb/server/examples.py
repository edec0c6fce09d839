"""The example that `serve` prints: a query made from the schema, and its `curl` line."""

import shlex
from collections.abc import Mapping
from typing import Any

import orjson

_FIELDS = 3


def example_query(datamodel: Mapping[str, Any], *, indent: bool = True) -> str:
    """The first records of the first model of a DMMF's datamodel, with its first few scalar fields."""
    model = datamodel["models"][0]
    root = f"findMany{model['name']}"
    names = [field["name"] for field in model["fields"] if field["kind"] != "object"][:_FIELDS]
    if indent:
        inner = "".join(f"    {name}\n" for name in names)
        return f"{{\n  {root}(take: 3) {{\n{inner}  }}\n}}\n"
    return f"{{ {root}(take: 3) {{ {' '.join(names)} }} }}"


def curl(url: str, query: str) -> str:
    """A command line for any POSIX shell that sends `query` to `url`."""
    body = orjson.dumps({"query": query}).decode()
    words = ["curl", "-s", url, "-H", "content-type: application/json", "-d", body]
    return " ".join(map(shlex.quote, words))
