"""The recording and all that a YAML says of it, as pynwb's objects."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any

from minian_vc.export.bundle import KEY, Bundle
from minian_vc.export.nwb.metadata import section
from minian_vc.version import __version__

__all__ = ["new_file", "new_plane"]

SCRATCH = {
    KEY: "What this was exported from: a checkpoint of minian_vc, its arrays and provenance, as JSON.",
    "checkpoint": "The checkpoint's id.",
    "session": "MiniAn's session.",
    "animal": "MiniAn's animal.",
    "tag": "The checkpoint's tags.",
}


def new_file(bundle: Bundle, values: Mapping[str, Any], how: Any) -> Any:
    """Return an NWBFile with its subject and the identity of what is exported.

    Parameters
    ----------
    bundle : Bundle
        What is exported.
    values : mapping
        What :func:`~minian_vc.export.nwb.metadata.read_metadata` gives.
    how : object
        What else the file's content depends on: its identifier is of all that.
    """
    from pynwb import NWBFile
    from pynwb.file import Subject

    general, subject = section(values, ""), section(values, "subject")
    general.pop("rate", None)
    if (session := bundle.identity["session"]) is not None:
        general.setdefault("session_id", session)
    if "date_of_birth" in subject:
        subject["date_of_birth"] = _midnight(subject["date_of_birth"], general["session_start_time"])
    file = NWBFile(
        **general,
        identifier=_identifier(bundle, [values, how]),
        subject=Subject(**subject),
        was_generated_by=[["minian_vc", __version__]],
    )
    for name, value in bundle.attributes.items():
        file.add_scratch(value, name=name, description=SCRATCH[name])
    return file


def new_plane(file: Any, values: Mapping[str, Any], rate: float | None) -> Any:
    """Add the device and the imaging plane to a file; return the plane."""
    from pynwb.ophys import OpticalChannel

    channel = OpticalChannel(name="OpticalChannel", **section(values, "optical_channel"))
    return file.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=channel,
        device=file.create_device(**section(values, "device")),
        **section(values, "imaging_plane"),
        **({} if rate is None else {"imaging_rate": rate}),
    )


def _identifier(bundle: Bundle, how: Any) -> str:
    """Return a UUID that is the same whenever the same arrays of the same checkpoint are exported the same way."""
    arrays = {name: array["manifest"] for name, array in bundle.identity["arrays"].items()}
    text = json.dumps([bundle.identity["checkpoint"], arrays, how], sort_keys=True, default=_plain)
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _midnight(day: datetime.date, start: datetime.datetime) -> datetime.datetime:
    """Return a date of birth with a time zone: else pynwb takes the computer's."""
    if not isinstance(day, datetime.datetime):
        day = datetime.datetime.combine(day, datetime.time())
    return day if day.tzinfo is not None else day.replace(tzinfo=start.tzinfo)
