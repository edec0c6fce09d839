"""Credentials, region and endpoint from the shared AWS files, for people at their own machine.

On Lambda and on instances obstore finds credentials by itself. Static keys are read here. Profiles that sign
in (SSO, `aws login`), take on a role or call a program need boto3, which is part of `lamdb[aws]`.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lamdb.errors import SettingsError, StoreRefused

if TYPE_CHECKING:
    from configparser import ConfigParser

if TYPE_CHECKING:
    from obstore.store import S3Credential

_WAYS: Final = frozenset(
    {
        "sso_session",
        "sso_start_url",
        "login_session",
        "role_arn",
        "credential_process",
        "web_identity_token_file",
    }
)
"""Settings of a profile that lead to credentials, apart from keys."""
_GOOD_FOR: Final = timedelta(minutes=9)


@dataclass(frozen=True, slots=True)
class Profile:
    """The content of a profile; None where it has no entry."""

    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    region: str | None = None
    endpoint: str | None = None
    signs_in: bool = False
    """Whether boto3 has to find the credentials: the profile has no keys, and names another way to them."""


def read_profile() -> Profile:
    """The profile that `AWS_PROFILE` names, or the default one; raises `SettingsError` if it cannot be used.

    The files are where `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` say, or in `~/.aws`.
    """
    name = os.environ.get("AWS_PROFILE")
    credentials = _read("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    config = _read("AWS_CONFIG_FILE", "config")
    found: dict[str, str] = {}
    for file, section in (
        (config, f"profile {name}" if name else "default"),
        (credentials, name or "default"),
    ):
        if file.has_section(section):
            found.update(file.items(section))
    if name and not found:
        raise SettingsError(f"AWS_PROFILE: there is no profile {name!r}")
    signs_in = "aws_access_key_id" not in found and not _WAYS.isdisjoint(found)
    if name and "aws_access_key_id" not in found and not signs_in:
        raise SettingsError(
            f"AWS_PROFILE: profile {name!r} holds no access key, and no other way to credentials",
            hint="Run `aws configure`, `aws configure sso` or `aws login` for it.",
        )
    return Profile(
        access_key_id=found.get("aws_access_key_id"),
        secret_access_key=found.get("aws_secret_access_key"),
        session_token=found.get("aws_session_token"),
        region=found.get("region"),
        endpoint=found.get("endpoint_url"),
        signs_in=signs_in,
    )


class SignedInCredentials:
    """Credentials of a profile that signs in, as obstore asks for them. boto3 renews them in time."""

    def __init__(self) -> None:
        """Raises `SettingsError` if boto3 is not installed, or the profile gives no credentials."""
        name = os.environ.get("AWS_PROFILE", "default")
        try:
            import boto3  # type: ignore[import-untyped]
            from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError:
            raise SettingsError(
                f"AWS_PROFILE: profile {name!r} signs in, for which boto3 is needed",
                hint="Install it with `pip install 'lamdb[aws]'`, or run "
                f'`eval "$(aws configure export-credentials --profile {name} --format env)"`.',
            ) from None
        self._failures: tuple[type[Exception], ...] = (BotoCoreError, ValueError)
        self._hint = f"Sign in again: `aws sso login --profile {name}` or `aws login --profile {name}`."
        try:
            # boto3's credentials are good for ten more minutes when it gives them.
            self._provider = Boto3CredentialProvider(boto3.Session(), ttl=_GOOD_FOR)
        except self._failures as error:
            raise SettingsError(f"AWS_PROFILE: {name!r}: {error}", hint=self._hint) from error

    def __call__(self) -> "S3Credential":
        """Raises `StoreRefused` if the session has ended."""
        try:
            return self._provider()
        except self._failures as error:
            raise StoreRefused(f"no credentials for the store: {error}", hint=self._hint) from error


def _read(variable: str, name: str) -> "ConfigParser":
    import configparser  # functions have no such files

    parser = configparser.ConfigParser(interpolation=None)
    path = Path(os.environ.get(variable) or Path.home() / ".aws" / name)
    try:
        parser.read(path)
    except (configparser.Error, OSError) as error:
        raise SettingsError(f"cannot read the AWS settings in {path}: {error}") from error
    return parser
