"""Prisma values in a plan: literals, placeholders and generator calls, compiled to functions of the run."""

from collections.abc import Callable, Mapping
from typing import Any

from lamdb.errors import EngineError
from lamdb.prisma.query.generators import GENERATORS
from lamdb.prisma.query.plan.runtime import Run

type Evaluate = Callable[[Run], Any]
# Binding name → slot of the run. A name that is not bound by the plan belongs to the request's values.
type Scope = Mapping[str, int]


def is_expression(value: Any) -> bool:
    return isinstance(value, dict) and value.get("prisma__type") in ("param", "generatorCall", "computed")


def is_constant(value: Any) -> bool:
    """True if the value is the same in every run."""
    if isinstance(value, list):
        return all(map(is_constant, value))
    return not is_expression(value)


def constant(value: Any) -> Evaluate:
    return lambda run: value


def slot(index: int) -> Evaluate:
    return lambda run: run.slots[index]


def placeholder(name: str) -> Evaluate:
    def evaluate(run: Run) -> Any:
        try:
            return run.values[name]
        except KeyError:
            raise EngineError(f"Missing value for query variable {name}") from None

    return evaluate


def compile_value(value: Any, scope: Scope) -> Evaluate:
    """A Prisma value as a function of the run; expressions are looked for inside arrays only."""
    if isinstance(value, list):
        if is_constant(value):
            return constant(value)
        items = [compile_value(item, scope) for item in value]
        return lambda run: [item(run) for item in items]
    if not is_expression(value):
        return constant(value)
    if value["prisma__type"] == "param":
        name = value["prisma__value"]["name"]
        return slot(scope[name]) if name in scope else placeholder(name)
    if value["prisma__type"] == "computed":
        # lamDB's own: a function of the run and of another value.
        compute, inner = value["prisma__value"]["by"], compile_value(value["prisma__value"]["of"], scope)
        return lambda run: compute(run, inner(run))
    return _compile_generator(value["prisma__value"], scope)


def _compile_generator(call: Mapping[str, Any], scope: Scope) -> Evaluate:
    if call["name"] == "now":
        return Run.now
    try:
        generate = GENERATORS[call["name"]]
    except KeyError:
        raise EngineError(f"Encountered an unknown generator '{call['name']}'") from None
    arguments = [compile_value(argument, scope) for argument in call["args"]]
    return lambda run: generate(*[argument(run) for argument in arguments])
