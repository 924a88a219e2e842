"""The YAML of what MiniAn does not know: empty, filled in, and refused."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from nwb_making import OPTIONAL, VALUES, yaml_file

from minian_vc.cli.main import cli
from minian_vc.errors import AlreadyExistsError, EnvironmentUnfitError, InvalidInputError, NotFoundError
from minian_vc.export.nwb import template, write
from minian_vc.export.nwb.fields import FIELDS
from minian_vc.export.nwb.metadata import read_metadata

yaml = pytest.importorskip("yaml")


def test_the_template_explains_each_field_and_holds_no_value():
    document, lines = yaml.safe_load(template()), template().splitlines()
    empty = {key: set(value.values()) if isinstance(value, dict) else {value} for key, value in document.items()}
    assert set().union(*empty.values()) == {None}
    for field in FIELDS:
        section, _, name = field.name.rpartition(".")
        assert name in (document[section] if section else document)
        said = f"# {'required' if field.required else 'optional'}. {field.what}"
        assert any(
            f"{name}:" == line.strip() for line in lines[lines.index(f"{'  ' if section else ''}{said}") + 1 :][:1]
        )


def test_all_empty_required_fields_are_named_at_once(tmp_path: Path):
    """In one message, so that it is filled in once; the date of birth does for the age."""
    with pytest.raises(InvalidInputError) as error:
        read_metadata(yaml_file(tmp_path, {"subject.date_of_birth": "2024-02-17", "lab": "Doe lab"}))
    named = error.value.message.split("empty: ")[1].rstrip(".").split(", ")
    assert named == [field.name for field in FIELDS if field.required and field.name != "subject.age"]
    assert "Nothing was written" in error.value.hint


def test_an_untouched_template_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match=r"session_start_time.*subject\.age.*imaging_plane\.location"):
        read_metadata(yaml_file(tmp_path, {}))


@pytest.mark.parametrize("empty", ['""', '"  "', "[]", "[null]"])
def test_blanks_are_empty(empty: str, tmp_path: Path):
    with pytest.raises(InvalidInputError, match="required, and empty: keywords"):
        read_metadata(yaml_file(tmp_path, VALUES | {"keywords": empty}))


def test_a_filled_file_gives_typed_values(tmp_path: Path):
    values = read_metadata(yaml_file(tmp_path, VALUES | OPTIONAL | {"rate": "20"}))
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert values["session_start_time"] == datetime.datetime(2024, 5, 17, 14, 30, tzinfo=zone)
    assert values["experimenter"] == ["Doe, Jane"]
    assert (values["rate"], type(values["rate"])) == (20.0, float)
    assert values["imaging_plane.excitation_lambda"] == 475.0
    assert set(values) == {*VALUES, *OPTIONAL, "rate"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_start_time", "2024-05-17T14:30:00"),
        ("session_start_time", "yesterday"),
        ("experimenter", "[Jane Doe]"),
        ("session_id", "day/1"),
        ("rate", "fast"),
        ("rate", "-20"),
        ("rate", ".nan"),
        ("rate", "true"),
        ("subject.subject_id", "12"),
        ("subject.subject_id", "a/b"),
        ("subject.species", "mouse"),
        ("subject.sex", "female"),
        ("subject.age", "90 days"),
        ("subject.age", "P"),
        ("subject.age", "P1DT"),
        ("subject.date_of_birth", "in March"),
        ("optical_channel.emission_lambda", "5.25e-7"),
        ("imaging_plane.indicator", "[GCaMP6f]"),
    ],
)
def test_a_value_that_cannot_be_is_refused(field: str, value: str, tmp_path: Path):
    """The message names the field and says what it is to be."""
    with pytest.raises(InvalidInputError, match=rf"nwb\.yaml: {field} cannot be") as error:
        read_metadata(yaml_file(tmp_path, VALUES | {field: value}))
    assert next(each for each in FIELDS if each.name == field).what in error.value.hint


@pytest.mark.parametrize("age", ["P90D", "P12W", "P1Y2M", "P90D/P120D", "P90D/", "P1DT12H"])
def test_ages_are_durations_or_ranges_of_them(age: str, tmp_path: Path):
    assert read_metadata(yaml_file(tmp_path, VALUES | {"subject.age": age}))["subject.age"] == age


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lab: x\nlabb: y\n", "no field labb"),
        ("subject:\n  specie: Mus musculus\n", r"no field subject\.specie"),
        ("subject: mouse1\n", "no field subject"),
        ("just words\n", "holds no fields"),
        ("", "holds no fields"),
        ("a: [1\n", "is no YAML"),
        ("session_start_time: 2024-02-31T10:00:00+02:00\n", "is no YAML"),
    ],
)
def test_what_is_no_such_yaml_is_refused(text: str, said: str, tmp_path: Path):
    path = tmp_path / "nwb.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=said):
        read_metadata(path)


def test_no_yaml_and_a_missing_one(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="needs a YAML") as error:
        read_metadata(None)
    assert "--template" in error.value.hint
    with pytest.raises(NotFoundError, match=r"no file .*none\.yaml"):
        read_metadata(tmp_path / "none.yaml")


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(EnvironmentUnfitError, match="needs pyyaml") as error:
        read_metadata(yaml_file(tmp_path))
    assert 'pip install "minian_vc[nwb]"' in error.value.hint
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EnvironmentUnfitError, match="needs pynwb"):
        write(None, tmp_path / "a.nwb")


# -- the command ------------------------------------------------------------------------------


def run(*arguments: str):
    return CliRunner().invoke(cli, ["export", *arguments])


def test_the_template_needs_no_dataset_and_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that was filled in is not overwritten by accident."""
    monkeypatch.chdir(tmp_path)
    assert run("--format", "nwb", "--template", "nwb.yaml").exit_code == 0
    assert (tmp_path / "nwb.yaml").read_text(encoding="utf-8") == template()
    (tmp_path / "nwb.yaml").write_text("filled in", encoding="utf-8")
    assert isinstance(run("--format", "nwb", "--template", "nwb.yaml").exception, AlreadyExistsError)
    assert (tmp_path / "nwb.yaml").read_text(encoding="utf-8") == "filled in"
    assert run("--format", "nwb", "--template", "nwb.yaml", "--force").exit_code == 0
    assert (tmp_path / "nwb.yaml").read_text(encoding="utf-8") == template()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["@a", "b.nwb", "--format", "nwb", "--template", "nwb.yaml"], "takes no SPEC and no OUT"),
        (["--format", "nwb"], "Missing argument 'OUT'"),
    ],
)
def test_a_template_or_an_export(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert (done.exit_code, said in done.output) == (2, True)
    assert not list(tmp_path.iterdir())


def test_a_format_without_a_template_says_so(tmp_path: Path):
    done = run("--format", "netcdf", "--template", str(tmp_path / "x.yaml"))
    assert isinstance(done.exception, InvalidInputError)
    assert "has no template" in str(done.exception)
