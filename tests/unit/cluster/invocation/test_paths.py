"""The path that a request asks for, found by the route of API Gateway."""

import pytest

from lamdb.cluster.invocation.paths import place


@pytest.mark.parametrize("page", ["/graphiql", "/studio"])
@pytest.mark.parametrize(
    "rest",
    [
        "graphql",
        "/graphql",
        "x/graphql",
        "../graphql",
        "x/../../graphql",
        "admin/graphql",
        "reader",
        "search",
        "",
    ],
)
def test_routes_of_pages_which_are_public_lead_nowhere_else(page: str, rest: str) -> None:
    found = place(f"/v1{page}/{rest}", f"{page}/{{proxy+}}", {"stage": "v1"}, {"proxy": rest})
    assert found.path.startswith(f"{page}/")
