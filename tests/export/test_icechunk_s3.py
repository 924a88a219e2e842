"""The history on a service that speaks S3, here one that runs on this machine."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest
import xarray as xr
from click.testing import CliRunner

import minian_vc as mvc
from minian_vc.cli.main import cli
from minian_vc.errors import AlreadyExistsError, BusyError, StorageError
from minian_vc.export import icechunk as exporter

icechunk = pytest.importorskip("icechunk")
pytest.importorskip("zarr", minversion="3.1")
boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")

SECRET = "not-to-be-seen-anywhere"  # noqa: S105 (of no service)
PLACE = "s3://lab-data/mouse1/history"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """A service on 127.0.0.1."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    _, port = running.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture
def endpoint(service: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[str]:
    """The service's URL, with an empty bucket and credentials in the environment."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANNA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bucket = boto3.resource("s3", endpoint_url=service, region_name="us-east-1").Bucket("lab-data")
    bucket.create()
    yield service
    bucket.objects.all().delete()
    bucket.delete()


def opened(endpoint: str) -> icechunk.Repository:
    """Open what was exported, with Icechunk alone."""
    storage = icechunk.s3_storage(
        bucket="lab-data",
        prefix="mouse1/history",
        endpoint_url=endpoint,
        allow_http=True,
        force_path_style=True,
        from_env=True,
        region="us-east-1",
    )
    return icechunk.Repository.open(storage)


def test_it_reads_back_equal_and_grows(dataset: mvc.Dataset, endpoint: str):
    """As in a folder: arrays, tags, messages, and only what is new when run again."""
    first = dataset.commit("one", tag="first")
    assert dataset.export(format="icechunk", out=PLACE, endpoint_url=endpoint).added == (first.id,)
    (dataset.path / "C.zarr" / "C" / "0.0").unlink()
    with pytest.warns(UserWarning, match="lacks"):
        second = dataset.commit("two", tag="second")
    done = dataset.export(format="icechunk", out=PLACE, endpoint_url=endpoint)
    assert (done.added, done.present) == ((second.id,), 1)
    repository = opened(endpoint)
    assert [each.message for each in repository.ancestry(branch="main")][:2] == ["two", "one"]
    for tag in ("first", "second"):
        store = repository.readonly_session(tag=tag).store
        for name, array in dataset.open(tag, return_dict=True).items():
            found = xr.open_zarr(store, group=name)[name]
            xr.testing.assert_identical(found.load(), array.compute())


def test_the_second_of_two_commits_is_refused_by_the_service(
    dataset: mvc.Dataset, endpoint: str, monkeypatch: pytest.MonkeyPatch
):
    """There is no lock on S3; Icechunk itself lets one through."""
    dataset.commit("one")
    real, inner = exporter._write_array, []

    def meanwhile(*arguments):
        if not inner:
            inner.append(1)
            dataset.export(format="icechunk", out=PLACE, endpoint_url=endpoint)
        return real(*arguments)

    monkeypatch.setattr(exporter, "_write_array", meanwhile)
    with pytest.raises(BusyError, match="Somebody else commits"):
        dataset.export(format="icechunk", out=PLACE, endpoint_url=endpoint)
    assert [each.message for each in opened(endpoint).ancestry(branch="main")][:-1] == ["one"]


def test_what_is_there_is_left_alone(dataset: mvc.Dataset, endpoint: str):
    """A prefix with other objects is no place for a repository."""
    dataset.commit("one")
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").put_object(
        Bucket="lab-data", Key="mouse1/history/notes.txt", Body=b"mine"
    )
    with pytest.raises(AlreadyExistsError, match="no Icechunk repository"):
        dataset.export(format="icechunk", out=PLACE, endpoint_url=endpoint)


def test_secrets_are_not_printed_and_not_stored(dataset: mvc.Dataset, endpoint: str, capfd):
    """Not by the command, not in an error with its whole traceback, not in the bucket."""
    dataset.commit("one")
    command = ["export", "--format", "icechunk", "-d", str(dataset.path), "--endpoint-url", endpoint]
    done = CliRunner().invoke(cli, [*command, PLACE])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Wrote {PLACE}: 1 checkpoint of ")
    with pytest.raises(StorageError, match="NoSuchBucket") as caught:
        dataset.export(format="icechunk", out="s3://no-such-bucket/x", endpoint_url=endpoint)
    said = "".join(traceback.format_exception(caught.value))
    printed = "".join(capfd.readouterr())
    bucket = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1").Bucket("lab-data")
    stored = b"".join(each.get()["Body"].read() for each in bucket.objects.all())
    assert stored
    for text in (done.output, said, printed, stored.decode("latin-1")):
        assert SECRET not in text
        assert "AKIAANNA" not in text
