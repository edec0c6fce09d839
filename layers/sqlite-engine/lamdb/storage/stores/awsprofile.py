"""Credentials, region and endpoint from the shared AWS files, for people at their own machine.

On Lambda and on instances obstore finds credentials by itself. Only static keys are read here: a profile that
signs in through SSO or takes on a role needs AWS's own tools, which can print static keys.
"""

import configparser
import os
from dataclasses import dataclass
from pathlib import Path

from lamdb.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Profile:
    """The content of a profile; None where it says nothing."""

    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    region: str | None = None
    endpoint: str | None = None


def read_profile() -> Profile:
    """The profile that `AWS_PROFILE` names, or the default one; raises `SettingsError` if it is of no use.

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
    if name and "aws_access_key_id" not in found:
        raise SettingsError(
            f"AWS_PROFILE: profile {name!r} holds no access key",
            hint=f'Run `eval "$(aws configure export-credentials --profile {name} --format env)"` first.',
        )
    return Profile(
        access_key_id=found.get("aws_access_key_id"),
        secret_access_key=found.get("aws_secret_access_key"),
        session_token=found.get("aws_session_token"),
        region=found.get("region"),
        endpoint=found.get("endpoint_url"),
    )


def _read(variable: str, name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    path = Path(os.environ.get(variable) or Path.home() / ".aws" / name)
    try:
        parser.read(path)
    except (configparser.Error, OSError) as error:
        raise SettingsError(f"cannot read the AWS settings in {path}: {error}") from error
    return parser
