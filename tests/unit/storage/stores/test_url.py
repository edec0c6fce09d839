"""Store URLs, and where their settings come from."""

import os
import sys
from pathlib import Path

import pytest

from lamdb.errors import SettingsError, StoreRefused
from lamdb.storage import open_store
from lamdb.storage.stores.awsprofile import SignedInCredentials
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.url import s3_config


@pytest.fixture(autouse=True)
def no_aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_directory() -> None:
    store = open_store("file:///some%20where/data")
    assert isinstance(store, LocalStore)
    assert store.root == Path("/some where/data")
    assert store.url == "file:///some%20where/data"


def test_memory_is_new_each_time() -> None:
    one, other = open_store("memory:"), open_store("memory:")
    one.put_new("k", b"x", timestamp_ms=0)
    assert other.get("k") is None


@pytest.mark.parametrize(
    ("url", "shown"), [("s3://bucket", "s3://bucket"), ("s3://bucket/a/b/", "s3://bucket/a/b")]
)
def test_a_bucket(url: str, shown: str) -> None:
    assert open_store(url).url == shown


@pytest.mark.parametrize(
    "url",
    ["", "data", "/data", "file:data", "file://host/data", "s3://", "s3:///prefix", "gs://bucket", "http://x/",
     "s3://bucket/a?region=x", "file:///a#b", "s3://bu cket/a", "s3://b:9000/a", "s3://-b/a", "s3://bü/a"],
)  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="store URL"):
        open_store(url)


@pytest.mark.parametrize(
    "url", ["s3://key:hunter2@bucket/a", "s3://hunter2@bucket", "file://u:hunter2@host/a"]
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="must not contain credentials") as caught:
        open_store(url)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("bucket", ["Old_Bucket.2", "my-bucket.example", "0", "a" * 63])
def test_names_of_buckets(bucket: str) -> None:
    assert open_store(f"s3://{bucket}/p").url == f"s3://{bucket}/p"


def test_the_endpoint_for_s3_comes_before_the_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://general")
    assert s3_config()["endpoint"] == "http://general"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://special")
    assert s3_config()["endpoint"] == "http://special"


def test_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "region" not in s3_config()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert s3_config()["region"] == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert s3_config()["region"] == "eu-west-1"


@pytest.fixture
def profiles(tmp_path: Path) -> None:
    folder = tmp_path / "home/.aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = S%1\n"
        "[work]\naws_access_key_id = W\naws_secret_access_key = X\naws_session_token = T\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = eu-west-3\n[profile work]\nregion = ap-east-1\nendpoint_url = http://there\n"
        "[profile empty]\nregion = eu-west-1\n"
        "[profile program]\ncredential_process = echo "
        '\'{"Version":1,"AccessKeyId":"P","SecretAccessKey":"Q"}\'\n'
        "[profile signed_out]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = http://127.0.0.1:9/start\n"
    )


@pytest.mark.usefixtures("profiles")
def test_the_default_profile() -> None:
    assert s3_config() == {"access_key_id": "A", "secret_access_key": "S%1", "region": "eu-west-3"}


@pytest.mark.usefixtures("profiles")
def test_a_named_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert s3_config() == {
        "access_key_id": "W",
        "secret_access_key": "X",
        "session_token": "T",
        "region": "ap-east-1",
        "endpoint": "http://there",
    }


@pytest.mark.usefixtures("profiles")
def test_variables_come_before_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "F")
    assert s3_config() == {}
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert s3_config() == {"region": "ap-east-1", "endpoint": "http://there"}


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("name", "message"), [("none", "no profile"), ("empty", "no access key, and no other way")]
)
def test_a_profile_that_is_of_no_use(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", name)
    with pytest.raises(SettingsError, match=message):
        open_store("s3://bucket/x")


@pytest.mark.usefixtures("profiles")
def test_a_broken_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "home/.aws/config").write_text("[default\nregion")
    with pytest.raises(SettingsError, match="cannot read the AWS settings"):
        open_store("s3://bucket/x")


@pytest.mark.usefixtures("profiles")
def test_a_profile_whose_credentials_a_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "program")
    open_store("s3://bucket/x").close()
    found = SignedInCredentials()()
    assert (found["access_key_id"], found["secret_access_key"]) == ("P", "Q")
    # Keys of the environment come first.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "F")
    monkeypatch.setitem(sys.modules, "boto3", None)
    open_store("s3://bucket/x").close()


@pytest.mark.usefixtures("profiles")
def test_a_profile_whose_session_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "signed_out")
    credentials = SignedInCredentials()
    with pytest.raises(StoreRefused, match="no credentials") as refused:
        credentials()
    assert "aws sso login --profile signed_out" in (refused.value.hint or "")


@pytest.mark.usefixtures("profiles")
def test_a_profile_that_signs_in_needs_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "program")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match="boto3 is needed") as failed:
        open_store("s3://bucket/x")
    assert "lamdb[aws]" in (failed.value.hint or "")
