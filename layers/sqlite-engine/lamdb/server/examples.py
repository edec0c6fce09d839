"""Something to try: a query made from the schema, and the `curl` line that sends it."""

import shlex
from collections.abc import Mapping
from typing import Any

import orjson

_FIELDS = 3


def example_query(dmmf: Mapping[str, Any], *, indent: bool = True) -> str:
    """The first records of the schema's first model, with its first few scalar fields."""
    model = dmmf["datamodel"]["models"][0]
    mapping = next(each for each in dmmf["mappings"]["modelOperations"] if each["model"] == model["name"])
    names = [field["name"] for field in model["fields"] if field["kind"] != "object"][:_FIELDS]
    if indent:
        inner = "".join(f"    {name}\n" for name in names)
        return f"{{\n  {mapping['findMany']}(take: 3) {{\n{inner}  }}\n}}\n"
    return f"{{ {mapping['findMany']}(take: 3) {{ {' '.join(names)} }} }}"


def curl(url: str, query: str) -> str:
    """A command line for any POSIX shell that sends `query` to `url`."""
    body = orjson.dumps({"query": query}).decode()
    words = ["curl", "-s", url, "-H", "content-type: application/json", "-d", body]
    return " ".join(map(shlex.quote, words))
