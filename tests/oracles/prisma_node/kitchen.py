"""Every scalar type, required and optional: written, read back, filtered; defaults and mapped names."""

from .protocol import (
    ALL,
    Case,
    Json,
    Requests,
    ascending,
    big_int,
    bytes_base64,
    date_time,
    decimal,
    descending,
    everything,
    execute_raw,
    field_ref,
    json_text,
    null_kind,
    pick,
    query_raw,
    sub,
)

CASES: list[Case] = []
required, optional, defaults, generated, part, cell = (
    Requests(model, CASES) for model in ("Required", "Optional", "Defaults", "Generated", "Part", "Cell")
)
ID = pick("id")

# Field: values in ascending order as SQLite and Prisma see them.
VALUES: dict[str, list[Json]] = {
    "string": ["", 'It\'s "quoted" \\ 100%_', "Zebra", "apple", "naïve 🌍 — ünïcode"],
    "int": [-(2**31), -1, 0, 42, 2**31 - 1],
    "bigInt": [big_int(n) for n in (-(2**63), -1, 2**31, 2**53 + 1, 2**63 - 1)],
    "float": [-1.5e300, -0.1, 0.30000000000000004, 3, 1e21],
    "decimal": [decimal(text) for text in ("-12345.678", "-0.5", "0.10", "1.50", "99999999.99")],
    "boolean": [False, True, False, True, True],
    "dateTime": [
        date_time(text)
        for text in (
            "0001-01-01T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2000-02-29T12:00:00+05:30",
            "2024-03-10T08:15:30.5Z",
            "9999-12-31T23:59:59.999Z",
        )
    ],
    "json": [
        json_text(text)
        for text in (
            '{"a": {"b": [1, 2, {"c": null}]}, "name": "first", "n": 1}',
            '{"a": {"b": [3]}, "name": "second", "n": 2.5}',
            '[1, "two", null, true]',
            '"a string"',
            '{"name": "FIRST", "tags": ["x", "y"], "ü": "é\\n\\t\\u0001"}',
        )
    ],
    "bytes": [bytes_base64(text) for text in ("", "AA==", "AAEC/w==", "aGVsbG8=", "////")],
    "colour": ["RED", "BLUE", "GREEN", "RED", "GREEN"],
}


def _row(index: int) -> dict[str, Json]:
    return {field: values[index] for field, values in VALUES.items()}


def _write_and_read() -> None:
    for index in range(5):
        required.create(f"row {index}", id=index + 1, **_row(index))
    optional.create_many("same rows", [{"id": index + 1, **_row(index)} for index in range(5)])
    optional.create("nothing given", id=6)
    optional.create(
        "nulls given", id=7, **{field: None for field in VALUES if field != "json"}, json=null_kind("DbNull")
    )
    optional.create("a JSON null", id=8, json=null_kind("JsonNull"))
    scalars = {
        "a number": "12.50",
        "an exponent": "1e3",
        "a large number": "1e21",
        "true": "true",
    }
    scalars |= {
        "an empty object": "{}",
        "an empty list": "[]",
        "a numeric string": '"12"',
        "deep": "[" * 30 + "]" * 30,
    }
    for number, (name, text) in enumerate(scalars.items(), start=20):
        optional.create(f"JSON that is {name}", pick("id", "json"), id=number, json=json_text(text))
    required.find_many("all", orderBy=ascending("id"))
    optional.find_many("all", orderBy=ascending("id"))
    for field in VALUES:
        optional.find_many(f"ordered by {field}", ID, orderBy=[{field: "asc"}, {"id": "asc"}])
        optional.find_many(
            f"ordered by {field}, nulls last",
            ID,
            orderBy=[{field: {"sort": "desc", "nulls": "last"}}, {"id": "asc"}],
        )
    required.create("missing fields", id=50, string="x")
    required.create("null for a required field", id=50, **{**_row(0), "int": None})
    required.create(
        "too large for BigInt", id=50, **{**_row(0), "bigInt": {"$type": "BigInt", "value": "9" * 25}}
    )
    required.create("fraction for Int", id=60, **{**_row(0), "int": 1.5})
    required.create("text for Int", id=61, **{**_row(0), "int": "1"})
    required.create("not a date", id=62, **{**_row(0), "dateTime": "yesterday"})
    required.create("not a decimal", id=63, **{**_row(0), "decimal": "twelve"})
    required.create("unknown enum value", id=65, **{**_row(0), "colour": "the blue one"})
    required.create(
        "JSON as plain values", pick("json"), id=51, **{**_row(0), "json": {"plain": [1, {"x": "y"}]}}
    )
    required.create("numbers in other guises", id=52, **{**_row(0), "bigInt": 5, "float": 7, "decimal": 1.25})
    for number, beyond in enumerate((10**20, 2**63, -2 * 10**19), start=56):
        name = f"{beyond} for Float"
        required.create(name, pick("float"), id=number, **{**_row(0), "float": beyond})
    required.find_many("integers beyond 64 bits", ID, where={"float": {"in": [10**20, 2**63]}})
    required.create("decimal given as text", pick("decimal"), id=53, **{**_row(0), "decimal": "7.70"})
    required.create(
        "date given as text", pick("dateTime"), id=54, **{**_row(0), "dateTime": "2024-01-01T00:00:00Z"}
    )
    required.create("base64 without tag", pick("bytes"), id=55, **{**_row(0), "bytes": "AQID"})
    required.delete_many("the extra rows", where={"id": {"gte": 50}})


def _filters() -> None:
    comparable = ("string", "int", "bigInt", "float", "decimal", "dateTime")
    for field, values in VALUES.items():
        if field == "json":
            continue
        middle = values[2]
        operators: dict[str, Json] = {
            "equals": middle,
            "not": middle,
            "not of equals": {"not": {"equals": middle}},
        }
        if field != "boolean":
            operators |= {
                "in": [values[1], values[3]],
                "notIn": [values[1], values[3]],
                "in of one": {"in": [middle]},
            }
        if field in comparable:
            operators |= {"lt": middle, "lte": middle, "gt": middle, "gte": middle}
            operators["between"] = {"gt": values[0], "lt": values[4]}
            operators["not of gt"] = {"not": {"gt": middle}}
        for name, operand in operators.items():
            condition = operand if " " in name or name == "between" else {name: operand}
            optional.find_many(f"{field} {name}", ID, where={field: condition}, orderBy=ascending("id"))
        optional.find_many(f"{field} shorthand", ID, where={field: middle}, orderBy=ascending("id"))
        optional.find_many(f"{field} null", ID, where={field: None}, orderBy=ascending("id"))
        optional.find_many(f"{field} not null", ID, where={field: {"not": None}}, orderBy=ascending("id"))
        if field != "bytes":
            optional.find_many(
                f"{field} equals itself",
                ID,
                where={field: {"equals": field_ref(field, "Optional")}},
                orderBy=ascending("id"),
            )
    for operator in ("contains", "startsWith", "endsWith"):
        for text in ("a", "Z", "%", "_", "🌍", "", "ü", "\\"):
            optional.find_many(
                f"string {operator} {text!r}", ID, where={"string": {operator: text}}, orderBy=ascending("id")
            )
    optional.find_many(
        "string not contains", ID, where={"string": {"not": {"contains": "a"}}}, orderBy=ascending("id")
    )
    optional.find_many("in with null", ID, where={"int": {"in": [0, None]}})
    optional.find_many("float in of integers", ID, where={"float": {"in": [3, 4]}})
    optional.find_many("bigInt in of small numbers", ID, where={"bigInt": {"in": [-1, 5]}})
    optional.find_many("fields of two types", ID, where={"int": {"gt": field_ref("float", "Optional")}})


def _json_filters() -> None:
    text = json_text
    conditions: dict[str, Json] = {
        "equals": {"equals": text('"a string"')},
        "equals an object": {"equals": text('{"a":{"b":[3]},"name":"second","n":2.5}')},
        "not": {"not": text('"a string"')},
        "equals JsonNull": {"equals": null_kind("JsonNull")},
        "equals DbNull": {"equals": null_kind("DbNull")},
        "equals AnyNull": {"equals": null_kind("AnyNull")},
        "not DbNull": {"not": null_kind("DbNull")},
        "not JsonNull": {"not": null_kind("JsonNull")},
        "path equals": {"path": "$.name", "equals": text('"first"')},
        "path not": {"path": "$.name", "not": text('"first"')},
        "path of a list": {"path": "$.a.b[0]", "equals": text("3")},
        "path equals a list": {"path": "$.a.b", "equals": text("[3]")},
        "path equals null": {"path": "$.a.b[2].c", "equals": null_kind("JsonNull")},
        "path equals DbNull": {"path": "$.nope", "equals": null_kind("DbNull")},
        "path equals AnyNull": {"path": "$.nope", "equals": null_kind("AnyNull")},
        "path lt": {"path": "$.n", "lt": text("2")},
        "path lte": {"path": "$.n", "lte": text("2.5")},
        "path gt": {"path": "$.n", "gt": text("1")},
        "path gte": {"path": "$.n", "gte": text("1")},
        "path gt of text": {"path": "$.name", "gt": text('"first"')},
        "string_contains": {"path": "$.name", "string_contains": "irs"},
        "string_starts_with": {"path": "$.name", "string_starts_with": "fi"},
        "string_ends_with": {"path": "$.name", "string_ends_with": "nd"},
        "string_contains, insensitive": {"path": "$.name", "string_contains": "IRS", "mode": "insensitive"},
        "string_contains without path": {"string_contains": "string"},
        "array_contains": {"path": "$.tags", "array_contains": text('["x"]')},
        "array_contains at the root": {"array_contains": text('["two"]')},
        "array_starts_with": {"path": "$.tags", "array_starts_with": text('"x"')},
        "array_ends_with": {"path": "$.tags", "array_ends_with": text('"y"')},
        "array_starts_with at the root": {"array_starts_with": text("1")},
        "a path as a list": {"path": ["name"], "equals": text('"first"')},
        "a bad path": {"path": "name", "equals": text('"first"')},
    }
    for name, condition in conditions.items():
        optional.find_many(f"json {name}", ID, where={"json": condition}, orderBy=ascending("id"))
    optional.find_many(
        "json NOT of a path",
        ID,
        where={"NOT": {"json": {"path": "$.n", "gt": text("1")}}},
        orderBy=ascending("id"),
    )
    required.find_many("json path", ID, where={"json": {"path": "$.a.b[1]", "equals": text("2")}})
    required.find_many("json equals JsonNull", ID, where={"json": {"equals": null_kind("JsonNull")}})


def _update() -> None:
    optional.update("everything", {"id": 6}, {**_row(3), "string": "six"})
    optional.update(
        "everything to null",
        {"id": 6},
        {field: None for field in VALUES if field != "json"} | {"json": null_kind("DbNull")},
    )
    optional.update(
        "with set",
        {"id": 6},
        {field: {"set": values[1]} for field, values in VALUES.items() if field not in {"json", "string"}},
    )
    for field, operand in {"int": 3, "bigInt": big_int(3), "float": 0.7, "decimal": decimal("0.7")}.items():
        for operator in ("increment", "decrement", "multiply", "divide"):
            optional.update(f"{field} {operator}", {"id": 6}, {field: {operator: operand}}, pick(field))
    optional.update(
        "divide by nothing", {"id": 6}, {"int": {"divide": 0}, "float": {"divide": 0}}, pick("int", "float")
    )
    optional.update("after a division", {"id": 6}, {"int": 5, "float": 1.5}, pick("int", "float"))
    optional.update(
        "arithmetic on null",
        {"id": 7},
        {"int": {"increment": 1}, "float": {"multiply": 2}},
        pick("int", "float"),
    )
    optional.update(
        "two operations on one field", {"id": 6}, {"int": {"set": 1, "increment": 2}}, pick("int")
    )
    optional.update("JSON to JsonNull", {"id": 6}, {"json": null_kind("JsonNull")}, pick("json"))
    optional.update("JSON to a list", {"id": 6}, {"json": json_text("[1,2.0,1e2]")}, pick("json"))
    optional.update("the key", {"id": 7}, {"id": 70}, pick("id", "int"))
    optional.update_many(
        "mapped names", {"colour": "BLUE", "boolean": True}, where={"colour": None, "id": {"lt": 25}}
    )
    optional.update_many_and_return(
        "mapped names", {"colour": "GREEN"}, pick("id", "colour"), where={"colour": "BLUE", "id": {"gte": 20}}
    )
    optional.upsert(
        "there", {"string": "Zebra"}, {"id": 90, "string": "Zebra"}, {"int": 90}, pick("id", "string", "int")
    )
    optional.upsert(
        "not there",
        {"id": 91},
        {"id": 91, "string": "ninety-one", "bytes": bytes_base64("AQ==")},
        {"int": 1},
        pick("id", "bytes"),
    )
    optional.upsert(
        "native",
        {"id": 91},
        {"id": 91, "bigInt": big_int(2**60)},
        {"bigInt": big_int(2**60 + 1)},
        pick("bigInt"),
    )
    optional.create("violates a mapped unique", id=92, string="Zebra")
    optional.create("violates a mapped id", id=91)
    optional.find_unique("by mapped unique", pick("id"), where={"string": "Zebra"})


def _aggregate() -> None:
    numbers = pick("int", "bigInt", "float", "decimal")
    comparable = pick("string", "int", "bigInt", "float", "decimal", "dateTime", "colour")
    small = {"id": {"lte": 4}}
    optional.aggregate(
        "all kinds",
        {"_sum": sub(numbers), "_avg": sub(numbers), "_count": sub({**ALL, **comparable})},
        where={"id": {"in": [2, 3, 4]}},
    )
    optional.aggregate("extremes", {"_min": sub(comparable), "_max": sub(comparable)}, where=small)
    optional.aggregate(
        "extremes of bytes", {"_min": sub(pick("bytes")), "_max": sub(pick("bytes"))}, where=small
    )
    optional.aggregate(
        "sum beyond 2^53",
        {"_sum": sub(pick("bigInt"))},
        where={"bigInt": {"gt": big_int(2**52), "lt": big_int(2**62)}},
    )
    optional.aggregate("sum beyond 64 bits", {"_sum": sub(pick("bigInt"))})
    optional.aggregate(
        "of nothing", {"_sum": sub(numbers), "_min": sub(comparable), "_count": sub(ALL)}, where={"id": -5}
    )
    for field in ("string", "int", "bigInt", "float", "decimal", "boolean", "dateTime", "bytes", "colour"):
        optional.group_by(
            f"by {field}",
            pick(field, _count=sub(ALL), _max=sub(pick("id"))),
            by=[field],
            orderBy=[{field: "asc"}],
            where=small,
        )
    optional.group_by("by json", pick("json"), by=["json"], orderBy=[{"json": "asc"}], where=small)
    optional.group_by(
        "having typed operands",
        pick("colour"),
        by=["colour"],
        having={
            "decimal": {"_max": {"gt": decimal("0.05")}},
            "dateTime": {"_min": {"gt": date_time("1900-01-01T00:00:00Z")}},
        },
        orderBy=ascending("colour"),
    )
    optional.group_by(
        "having enum in",
        pick("colour", _count=sub(ALL)),
        by=["colour"],
        having={"colour": {"in": ["RED", "BLUE"]}},
        orderBy=ascending("colour"),
    )
    optional.find_many("distinct enum", pick("id", "colour"), distinct=["colour"], orderBy=ascending("id"))
    optional.find_many("distinct decimals", pick("decimal"), distinct=["decimal"], orderBy=ascending("id"))
    optional.find_many(
        "cursor on a mapped unique", ID, cursor={"string": "Zebra"}, take=2, orderBy=ascending("string")
    )


def _defaults() -> None:
    defaults.create("all of them")
    defaults.create("some given", string="x", bigInt=big_int(-1), colour="RED", note="given")
    defaults.create_many("mixed", [{}, {"int": 1}, {"note": "n", "boolean": False}])
    defaults.create_many_and_return("all", [{}, {"bytes": bytes_base64("")}])
    defaults.find_many("all", orderBy=ascending("id"))
    defaults.find_many("no columns at all", {"id": True}, orderBy=descending("id"), take=1)
    generated.create("all of them", label="one")
    generated.create("updatedAt given", label="two", updatedAt=date_time("2024-01-01T00:00:00Z"))
    generated.create("id given", label="three", cuid="three", nanoid10="short")
    generated.create(
        "with children",
        everything(parts=sub(orderBy=ascending("name"))),
        label="four",
        parts={"create": [{"name": "a"}, {"name": "b"}]},
    )
    generated.create_many("two", [{"label": "five"}, {"label": "six"}])
    generated.create_many_and_return("two", [{"label": "seven"}, {"label": "eight"}])
    generated.update("touches updatedAt", {"label": "one"}, {"nanoid": "set"})
    generated.upsert("creates", {"label": "nine"}, {"label": "nine"}, {"label": "ten"})
    generated.upsert("updates", {"label": "nine"}, {"label": "nine"}, {"label": "ten"})
    generated.update_many("touches updatedAt", {"nanoid10": "many"}, where={"label": {"in": ["five", "six"]}})
    generated.update(
        "nested connectOrCreate",
        {"label": "three"},
        {"parts": {"connectOrCreate": [{"where": {"cuid": "p1"}, "create": {"cuid": "p1", "name": "c"}}]}},
        everything(parts=sub()),
    )
    generated.find_many("all", everything(parts=sub(orderBy=ascending("name"))), orderBy=ascending("label"))
    part.find_many(
        "by parent",
        pick("name", owner=sub(pick("label"))),
        where={"owner": {"is": {"label": "four"}}},
        orderBy=ascending("name"),
    )
    generated.delete("cascades to mapped children", {"label": "four"}, pick("label"))
    part.aggregate("left over", {"_count": sub(ALL)})


def _compound() -> None:
    cell.create_many(
        "seed",
        [
            {"x": x, "y": y, "layer": x % 2, "label": f"{x}/{y}", "content": None if y == 2 else "c"}
            for x in range(4)
            for y in range(3)
        ],
    )
    position = {"position": {"x": 1, "y": 2}}
    label = {"labelOfLayer": {"layer": 1, "label": "3/0"}}
    cell.find_unique("by named id", where=position)
    cell.find_unique("by named unique", where=label)
    cell.find_unique("missing", where={"position": {"x": 9, "y": 9}})
    cell.find_unique("half a key", where={"position": {"x": 1}})
    cell.find_unique("by the unnamed form", where={"x_y": {"x": 1, "y": 2}})
    cell.find_many("all", orderBy=ascending("x", "y"))
    cell.find_many("cursor", pick("label"), cursor=position, orderBy=ascending("x", "y"), take=3)
    cell.find_many(
        "cursor on the other key",
        pick("label"),
        cursor=label,
        orderBy=[{"layer": "asc"}, {"label": "desc"}],
        take=3,
        skip=1,
    )
    cell.find_many("distinct", pick("x"), distinct=["x"], orderBy=ascending("x", "y"))
    cell.create("id violation", x=1, y=2, label="new")
    cell.create("unique violation", x=9, y=9, label="3/0", layer=1)
    cell.update("by id", position, {"content": "changed"}, pick("content"))
    cell.update("the id itself", position, {"x": 10}, pick("x", "y"))
    cell.upsert(
        "not there", {"position": {"x": 7, "y": 7}}, {"x": 7, "y": 7, "label": "7/7"}, {"label": "no"}
    )
    cell.upsert("there", {"position": {"x": 7, "y": 7}}, {"x": 7, "y": 7, "label": "7/7"}, {"label": "yes"})
    cell.upsert(
        "by the other key",
        label,
        {"x": 8, "y": 8, "layer": 1, "label": "3/0"},
        {"content": "up"},
        pick("x", "content"),
    )
    optional.update(
        "connect by compound key",
        {"id": 1},
        {
            "cells": {
                "connect": [{"position": {"x": 0, "y": 0}}, {"labelOfLayer": {"layer": 0, "label": "0/1"}}]
            }
        },
        pick(cells=sub(pick("label"), orderBy=ascending("label"))),
    )
    optional.update(
        "disconnect by compound key",
        {"id": 1},
        {"cells": {"disconnect": [{"position": {"x": 0, "y": 0}}]}},
        pick(cells=sub(pick("label"))),
    )
    optional.update(
        "update by compound key",
        {"id": 1},
        {
            "cells": {
                "update": [
                    {"where": {"labelOfLayer": {"layer": 0, "label": "0/1"}}, "data": {"content": "nested"}}
                ]
            }
        },
        pick(cells=sub(pick("content"))),
    )
    optional.find_many(
        "with counts",
        pick("id", _count={"arguments": {}, "selection": {"cells": True}}),
        where={"cells": {"some": {}}},
    )
    cell.group_by(
        "by mapped columns", pick("x", _count=sub(ALL), _sum=sub(pick("y"))), by=["x"], orderBy=ascending("x")
    )
    cell.delete("by compound key", {"position": {"x": 0, "y": 2}}, pick("label"))
    cell.delete_many("by OR of positions", where={"OR": [{"x": 2, "y": 0}, {"x": 2, "y": 1}]})
    CASES.append(query_raw("every type", "SELECT * FROM optional_values WHERE the_id <= 4 ORDER BY the_id"))
    CASES.append(
        query_raw(
            "undeclared types",
            "SELECT 1 AS i, 2.5 AS f, 'x' AS s, x'0102' AS b, NULL AS n, 9007199254740993 AS big",
        )
    )
    CASES.append(
        query_raw("typed parameters", "SELECT ? AS a, ? AS b, ? AS c, ? AS d", '[1, "x", null, 2.5]')
    )
    CASES.append(
        execute_raw(
            "insert", "INSERT INTO grid_cells (pos_x, pos_y, label) VALUES (?, ?, ?)", '[40, 41, "raw"]'
        )
    )
    CASES.append(
        execute_raw(
            "an unknown enum value", "UPDATE optional_values SET a_colour = ? WHERE the_id = 4", '["purple"]'
        )
    )
    optional.find_unique("with an unknown enum value", where={"id": 4})


for section in (_write_and_read, _filters, _json_filters, _update, _aggregate, _defaults, _compound):
    section()
