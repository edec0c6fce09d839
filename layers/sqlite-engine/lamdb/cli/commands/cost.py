"""Declares `lamdb cost`: the monthly bill of a workload."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lamdb.cli.app import SERVICE, CommandApp, examples
from lamdb.cli.options import Json
from lamdb.cli.output import CommandOutput
from lamdb.cost.workload import ARCHITECTURES, ENDPOINTS, Workload, number, option
from lamdb.errors import UsageError

Prices = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="JSON with prices to use in place of lamDB's own (docs/cost.md)."),
]
Region = Annotated[str, typer.Option(metavar="NAME", help="AWS region of the prices.")]
FromStack = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Take traffic, durations, sizes and memory of a stack from CloudWatch; options win.",
    ),
]
Days = Annotated[str, typer.Option(metavar="N", help="Days that --from-stack looks back, 1 to 455.")]
Chart = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write a chart of the bills by traffic, as SVG; needs lamdb[charts]."),
]


def register(app: CommandApp) -> None:
    """Makes it a command of `app`."""
    app.command(
        "cost",
        rich_help_panel=SERVICE,
        epilog=examples(
            "lamdb cost --reads 5M --writes 200k --database-gb 3 --endpoint url",
            "lamdb cost --from-stack shop --days 7",
            "lamdb cost --searches 1M --records 1M --chart cost.svg",
        ),
    )(_command())


def _command() -> Callable[..., None]:
    """The command, with an option for each input of a workload."""

    def cost(**options: Any) -> None:
        """Compute the monthly bill on AWS, line by line, beside that of other databases."""
        _cost(options)

    own = {
        "prices": (Prices, None),
        "region": (Region, "us-east-1"),
        "from_stack": (FromStack, None),
        "days": (Days, "30"),
        "chart": (Chart, None),
        "json": (Json, False),
    }
    parameters = [_parameter(name, annotation, default) for name, (annotation, default) in own.items()]
    inputs = [_parameter(each.name, _annotation(each), None) for each in dataclasses.fields(Workload)]
    cost.__signature__ = inspect.Signature([*inputs, *parameters])  # type: ignore[attr-defined]
    cost.__annotations__ = {each.name: each.annotation for each in [*inputs, *parameters]}
    return cost


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _annotation(each: "dataclasses.Field[Any]") -> Any:
    default: Any = each.default
    group, doc = each.metadata["group"], each.metadata["doc"]
    if isinstance(default, bool):
        flag = option(each.name)
        switches = f"{flag}/--no-{flag[2:]}"
        return Annotated[
            bool | None, typer.Option(switches, help=f"{doc} [default: no]", rich_help_panel=group)
        ]
    metavar = {"endpoint": "|".join(ENDPOINTS), "architecture": "|".join(ARCHITECTURES)}.get(each.name, "N")
    shown = default if isinstance(default, str) else f"{default:g}" if default < 1e4 else f"{default:.0f}"
    text = f"{doc} [default: {shown}]"
    return Annotated[str | None, typer.Option(metavar=metavar, help=text, rich_help_panel=group)]


def _cost(options: dict[str, Any]) -> None:
    from lamdb.cost.prices import load
    from lamdb.cost.report import as_json, lines, report

    prices = load(options["region"], options["prices"])
    given = {
        each.name: options[each.name]
        for each in dataclasses.fields(Workload)
        if options[each.name] is not None
    }
    work = Workload(**{name: _value(name, text) for name, text in given.items()})
    if options["from_stack"]:
        from lamdb.cost.measured import merged

        work = merged(work, _measured(options["from_stack"], options["days"]), list(given))
    if options["chart"]:
        from lamdb.cost.chart import write

        write(options["chart"], work, prices)
    found = report(work, prices)
    CommandOutput(is_json=options["json"]).result(as_json(found), lines(found))


def _value(name: str, text: Any) -> Any:
    default = next(each.default for each in dataclasses.fields(Workload) if each.name == name)
    return text if isinstance(default, str | bool) else number(text)


def _measured(stack: str, text: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    from lamdb.cli.targets.aws import botocore_problems, session
    from lamdb.cost.measured import measure

    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 455):
        raise UsageError(f"--days is {text!r}; it can be a whole number from 1 to 455")
    found = session()
    with botocore_problems():
        cloudwatch, functions = found.client("cloudwatch"), found.client("lambda")
        return measure(stack, cloudwatch, functions, until=datetime.now(UTC), days=int(text))
