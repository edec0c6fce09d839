"""Documents that an operator API must refuse, each with the rule of the specification that it breaks."""

REFUSED = {
    "ExecutableDefinitions": ["type X { a: Int } { schema }"],
    "UniqueOperationNames": ["query A { schema } query A { schema }"],
    "LoneAnonymousOperation": ["{ schema } query A { schema }"],
    "KnownTypeNames": ["query ($x: Nope) { schema }", "{ ... on Nope { a } }"],
    "FragmentsOnCompositeTypes": ["{ ...F } fragment F on Long { a }"],
    "VariablesAreInputTypes": ["query ($x: Database) { schema }"],
    "ScalarLeafs": ["{ database }", "{ schema { text } }"],
    "FieldsOnCorrectType": ["{ nope }", "mutation { database { txid } }", "{ database { nope } }"],
    "UniqueFragmentNames": [
        "{ ...F } fragment F on Query { schema } fragment F on Query { schema }",
    ],
    "KnownFragmentNames": ["{ ...F }"],
    "NoUnusedFragments": ["{ schema } fragment F on Query { schema }"],
    "PossibleFragmentSpreads": [
        "{ ... on Database { txid } }",
        "{ database { ...F } } fragment F on Level { level }",
    ],
    "NoFragmentCycles": [
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }",
    ],
    "UniqueVariableNames": ["query ($x: Int, $x: Int) { restorePoints(first: $x) { txid } }"],
    "NoUndefinedVariables": [
        "{ restorePoints(first: $x) { txid } }",
        "query A { ...F } fragment F on Query { restorePoints(first: $x) { txid } }",
    ],
    "NoUnusedVariables": ["query ($x: Int) { schema }"],
    "KnownDirectives": ["{ schema @nope }", "query @skip(if: true) { schema }"],
    "UniqueDirectivesPerLocation": ["{ schema @skip(if: false) @skip(if: true) }"],
    "KnownArgumentNames": [
        "{ restorePoints(last: 1) { txid } }",
        "{ schema @skip(if: false, unless: true) }",
    ],
    "UniqueArgumentNames": ["{ restorePoints(first: 1, first: 2) { txid } }"],
    "ValuesOfCorrectType": [
        '{ restorePoints(first: "one") { txid } }',
        "{ restorePoints(first: 99999999999) { txid } }",
        "{ restorePoints(first: 1.5) { txid } }",
        'mutation { resolve(migration: "a", as: NOPE) { name } }',
        'mutation { resolve(migration: "a", as: "APPLIED") { name } }',
        'mutation { migrate(schema: "", migrations: [{ name: "a" }]) { txid } }',
        'mutation { migrate(schema: "", migrations: [{ name: "a", sql: "", nope: 1 }]) { txid } }',
        'mutation { migrate(schema: "", migrations: [null]) { txid } }',
        "mutation { verify(txid: 9223372036854775808) { ok } }",
        "mutation { verify(txid: true) { ok } }",
        'mutation { restore(to: "file:///x", at: "yesterday") { txid } }',
        'query ($x: Int = "one") { restorePoints(first: $x) { txid } }',
    ],
    "ProvidedRequiredArguments": ["mutation { restore { txid } }", "{ schema @skip }"],
    "VariablesInAllowedPosition": [
        "query ($x: String) { restorePoints(first: $x) { txid } }",
        "mutation ($x: String) { restore(to: $x) { txid } }",
    ],
    "OverlappingFieldsCanBeMerged": [
        "{ a: schema a: database { txid } }",
        "{ restorePoints(first: 1) { txid } restorePoints(first: 2) { txid } }",
        "{ database { x: txid } ...F } fragment F on Query { database { x: size } }",
    ],
    "UniqueInputFieldNames": [
        'mutation { migrate(schema: "", migrations: [{ name: "a", name: "b", sql: "" }]) { txid } }',
    ],
    "MaxIntrospectionDepth": [
        "{ __schema { types { " + "fields { type { " * 4 + "name" + " } }" * 4 + " } } }",
    ],
}

MISSED = {"PossibleFragmentSpreads", "OverlappingFieldsCanBeMerged", "MaxIntrospectionDepth"}
"""Rules that tartiflette 1.4.1 does not have."""

DEPTH = 100_000

DEEP = {
    "selection sets": "{ database " * DEPTH + "{ txid }" + "}" * DEPTH,
    "lists": "mutation { migrate(schema: " + "[" * DEPTH + "]" * DEPTH + ", migrations: []) { txid } }",
    "objects": "mutation { migrate(migrations: " + "{name: " * DEPTH + '""' + "}" * DEPTH + ") { txid } }",
    "list types": "query ($x: " + "[" * DEPTH + "Int" + "]" * DEPTH + ") { schema }",
    "inline fragments": "{ " + "... on Query { " * DEPTH + "schema" + " }" * DEPTH + " }",
    "open brackets": "{" * DEPTH,
    "closing brackets": "{ schema " + "}" * DEPTH,
    "parentheses": "{ schema" + "(" * DEPTH + ")" * DEPTH + " }",
    "fragments": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(5000))
    + " fragment F5000 on Query { schema }",
    "default values": "query ($x: Int = " + "[" * DEPTH + "1" + "]" * DEPTH + ") { schema }",
}

MEGABYTE = 1024 * 1024

LARGE = {
    "one name": "{ " + "a" * MEGABYTE + " }",
    "one string": '{ restorePoints(first: "' + "a" * MEGABYTE + '") { txid } }',
    "one block string": '{ restorePoints(first: """' + "a\n" * (MEGABYTE // 2) + '""") { txid } }',
    "one comment": "#" + "a" * MEGABYTE + "\n{ schema }",
    "one number": "{ restorePoints(first: " + "1" * MEGABYTE + ") { txid } }",
    "one field, again and again": "{ " + "schema " * (MEGABYTE // 7) + "}",
    "aliases": "{ " + " ".join(f"a{n}: schema" for n in range(MEGABYTE // 12)) + " }",
    "spaces": " " * MEGABYTE + "{ schema }",
    "commas": "{ schema" + "," * MEGABYTE + " }",
    "an unclosed string": '{ restorePoints(first: "' + "a" * MEGABYTE,
    "operations": " ".join(f"query Q{n} {{ schema }}" for n in range(MEGABYTE // 20)),
}
