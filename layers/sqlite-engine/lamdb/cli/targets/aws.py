"""boto3, which is optional, with its errors as lamDB's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lamdb.errors import RemoteError, RemoteUnavailable, SettingsError


def session() -> Any:
    """A session of boto3. Raises `SettingsError` if boto3 is not installed or its settings are invalid."""
    try:
        import boto3  # type: ignore[import-untyped]
    except ImportError:
        raise SettingsError(
            "boto3, which calls AWS, is not installed", hint="Install it: pip install 'lamdb[aws]'"
        ) from None
    with botocore_problems():
        return boto3.Session()


@contextmanager
def botocore_problems() -> Iterator[None]:
    """Raises errors of boto3 as `SettingsError`, `RemoteUnavailable` or `RemoteError`."""
    from botocore import exceptions  # type: ignore[import-untyped]

    try:
        yield
    except (
        exceptions.NoRegionError,
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.ProfileNotFound,
        exceptions.ParamValidationError,
    ) as error:
        raise SettingsError(
            str(error).rstrip("."), hint="Set AWS_REGION and AWS_PROFILE, or sign in."
        ) from None
    except exceptions.ClientError as error:
        said = error.response.get("Error", {})
        raise RemoteError(
            f"AWS refused: {said.get('Message') or error}",
            code=str(said.get("Code") or RemoteError.code),
            hint="Check the name, the region and your permissions.",
        ) from None
    except exceptions.BotoCoreError as error:
        raise RemoteUnavailable(f"AWS could not be reached: {error}") from None
