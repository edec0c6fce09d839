"""Fresh databases for the tests of an application. docs/testing.md describes the pytest fixture.

from lamdb.testing.template import StoreTemplate

with StoreTemplate.of("database") as template, template.database() as lamdb:
    lamdb.query('mutation { createOneTag(data: {name: "x"}) { id } }')
"""
