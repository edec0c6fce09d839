"""The functions and the store of a stack of template.yaml, from its outputs."""

from typing import Final

from lamdb.cli.targets.aws import botocore_problems, session
from lamdb.cli.targets.functions import FunctionTarget
from lamdb.errors import SettingsError

ALIAS: Final = "live"
"""The alias of each function that has what was deployed."""

_READER: Final = "ReaderFunctionName"
_WRITER: Final = "WriterFunctionName"
_STORE: Final = "Store"
_URL: Final = "Url"


def target(stack: str) -> FunctionTarget:
    """Raises `SettingsError`, `RemoteError`."""
    found = outputs(stack, _READER, _WRITER)
    reader, writer = (f"{found[key]}:{ALIAS}" for key in (_READER, _WRITER))
    return FunctionTarget(f"the stack {stack}", reader, writer)


def store_of(stack: str) -> str:
    """The URL of the store. Raises `SettingsError`, `RemoteError`."""
    return outputs(stack, _STORE)[_STORE]


def url_of(stack: str) -> str:
    """Returns the address of the API. Raises `SettingsError`, `RemoteError`."""
    return outputs(stack, _URL)[_URL]


def outputs(stack: str, *wanted: str) -> dict[str, str]:
    """Outputs of a stack, which must have those that are wanted. Raises `SettingsError`, `RemoteError`."""
    with botocore_problems():
        client = session().client("cloudformation")
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
    found = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
    missing = [key for key in wanted if key not in found]
    if missing:
        raise SettingsError(
            f"the stack {stack} has no output {missing[0]}: it was not made by lamDB's template",
            hint="Name the stack of the database.",
        )
    return found
