"""Prints what SAM itself finds in a template. Run by the Python that SAM is installed for.

    python sam_routes.py TEMPLATE < [{"parameter": "value"}, …]

The output is a list with one object for each object of parameters: `routes` as `[path, method, function]`,
and the `variables` of each function's environment.
"""

import json
import sys

from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider


def found(template: str, parameters: dict[str, str]) -> dict[str, object]:
    stacks, _ = SamLocalStackProvider.get_stacks(template, parameter_overrides=parameters)
    routes = [
        [route.path, method, route.function_name]
        for route in ApiProvider(stacks).api.routes
        for method in route.methods
    ]
    functions = SamFunctionProvider(stacks).get_all()
    return {
        "routes": routes,
        "variables": {each.name: (each.environment or {}).get("Variables", {}) for each in functions},
    }


print(json.dumps([found(sys.argv[1], each) for each in json.load(sys.stdin)]))
