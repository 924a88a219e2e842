"""What the tests of NWB share: a dataset, and a filled-in YAML, made of the template as people do it, line by line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from conftest import put_stage

import minian_vc as mvc
from minian_vc.export.nwb import template

FINAL = "mouse1/session1/minian"
VALUES = {
    "session_start_time": "2024-05-17T14:30:00+02:00",
    "session_description": "Free behaviour in an open field.",
    "experiment_description": "Place cells over days.",
    "experimenter": '["Doe, Jane"]',
    "institution": "University of Somewhere",
    "keywords": "[calcium imaging, miniscope]",
    "subject.subject_id": "mouse1",
    "subject.description": "Adult female, implanted in March.",
    "subject.species": "Mus musculus",
    "subject.sex": "F",
    "subject.age": "P90D",
    "device.name": "Miniscope V4",
    "device.description": "UCLA Miniscope V4 with a GRIN lens.",
    "optical_channel.description": "Green, 525/50 nm.",
    "optical_channel.emission_lambda": "525.0",
    "imaging_plane.description": "200 um below the lens.",
    "imaging_plane.excitation_lambda": "475",
    "imaging_plane.indicator": "GCaMP6f",
    "imaging_plane.location": "CA1",
}
OPTIONAL = {
    "lab": "Doe lab",
    "session_id": "day-1",
    "virus": "AAV1.Syn.GCaMP6f",
    "surgery": "Lens implanted above CA1.",
    "subject.genotype": "wild type",
    "subject.strain": "C57BL/6J",
}


def yaml_text(values: dict[str, str] = VALUES) -> str:
    """Return the template with these values; the others stay empty."""
    lines, section, left = [], "", dict(values)
    for line in template().splitlines():
        if match := re.fullmatch(r"( *)(\w+):", line):
            indent, name = match.groups()
            section = section if indent else ""
            value = left.pop(f"{section}.{name}" if section else name, None)
            if value is None and not indent and any(key.startswith(f"{name}.") for key in left):
                section = name
            line = f"{line} {value}" if value is not None else line
        lines.append(line)
    assert not left, left
    return "\n".join(lines) + "\n"


def yaml_file(folder: Path, values: dict[str, str] = VALUES, name: str = "nwb.yaml") -> Path:
    """Write it."""
    path = folder / name
    path.write_text(yaml_text(values), encoding="utf-8")
    return path


def final(stages: Path, root: Path) -> mvc.Dataset:
    """Return what the run left at its end, with the summary image, committed and tagged."""
    put_stage(stages, "stage-06-final", root, FINAL)
    dataset = mvc.open(root / FINAL)
    dataset.commit("all done", tag="final")
    return dataset


def as_image(table, row: int, shape: tuple[int, int]) -> np.ndarray:
    """Return a row's mask as an image, whichever kind it is."""
    if "image_mask" in table.colnames:
        return table["image_mask"][row]
    image = np.zeros(shape)
    for x, y, weight in table["pixel_mask"][row]:
        assert weight != 0
        image[x, y] = weight
    return image


def stored(footprint: np.ndarray, masks: str) -> np.ndarray:
    """Return a footprint as a file holds it: NWB's pixel masks have weights of four bytes."""
    return footprint.astype("f4") if masks == "pixel" else footprint
