"""The outcomes of a request's steps, and the steps that run because of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lamdb.hrana.protocol.requests import ParsedPipeline, Step
from lamdb.hrana.statements.errors import error_object

type Json = dict[str, Any]


@dataclass(slots=True)
class StepOutcome:
    """The outcome of a step: a result, or an error object. A step that was skipped has neither."""

    result: Json | None = None
    error: Json | None = None

    @property
    def is_ok(self) -> bool:
        return self.result is not None

    @property
    def answer(self) -> Json:
        """The one or the other."""
        return self.result or self.error or {}


SKIPPED = StepOutcome()


class Outcomes(list[StepOutcome | None]):
    """Those of a plan's steps; None for those that have not been executed."""

    def __init__(self, plan: ParsedPipeline) -> None:
        super().__init__([None] * len(plan.steps))

    def fail(self, at: int, failure: Exception) -> None:
        """Makes a failure the outcome of a step."""
        self[at] = StepOutcome(error=error_object(failure))

    def is_skipped(self, step: Step, at: int, *, in_transaction: bool) -> bool:
        """True if a step is not executed: its condition is false, or a script has failed before it."""
        if step.is_script and step.number:
            before = self[at - 1]
            return before is None or not before.is_ok
        return step.condition is not None and not self._holds(
            step.condition, at - step.number, not in_transaction
        )

    def _holds(self, condition: Json, first: int, autocommit: bool) -> bool:
        """`first` is the step from which the condition counts."""

        def holds(inner: Sequence[Json]) -> list[bool]:
            return [self._holds(each, first, autocommit) for each in inner]

        match condition["type"]:
            case "ok":
                return self._is_ok(first + condition["step"])
            case "error":
                return not self._is_ok(first + condition["step"])
            case "not":
                return not self._holds(condition["cond"], first, autocommit)
            case "and":
                return all(holds(condition["conds"]))
            case "or":
                return any(holds(condition["conds"]))
        return autocommit

    def _is_ok(self, at: int) -> bool:
        outcome = self[at]
        return outcome is not None and outcome.is_ok
