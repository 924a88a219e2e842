"""What an NWB file says and MiniAn does not know: one entry per field of the YAML.

The names within a section are those of the objects of pynwb that they go to.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIELDS", "SECTIONS", "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the YAML.

    Attributes
    ----------
    name : str
        ``lab``, or with its section ``subject.species``.
    what : str
        What it is, for people.
    kind : {"text", "texts", "time", "date", "number"}
        What its value must be.
    required : bool
        It must not be empty.
    instead : str, optional
        The field that may be filled instead.
    pattern : str, optional
        What a text must match.
    least : float
        What a number must be at least.
    """

    name: str
    what: str
    kind: str = "text"
    required: bool = True
    instead: str | None = None
    pattern: str | None = None
    least: float = 0.0


SECTIONS = {
    "": "The recording",
    "subject": "The animal",
    "device": "The microscope",
    "optical_channel": "The light that was recorded",
    "imaging_plane": "Where and how it was imaged",
}
NO_SLASH = r"[^/\\]+"
ISO_DURATION = r"P(?=\d|T)(\d+(\.\d+)?Y)?(\d+(\.\d+)?M)?(\d+(\.\d+)?W)?(\d+(\.\d+)?D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?"

FIELDS = (
    Field("session_start_time", "When the recording began, with its time zone: 2024-05-17T14:30:00+02:00", "time"),
    Field("session_description", "What was done in this recording, in a sentence or two."),
    Field("experiment_description", "What the experiment is about."),
    Field("experimenter", 'Who recorded, each as "Last, First", in a list: ["Doe, Jane"]', "texts", pattern=r".+, .+"),
    Field("institution", "Where."),
    Field("lab", "The lab.", required=False),
    Field("keywords", "Words that others may look for, in a list: [calcium imaging, miniscope]", "texts"),
    Field("session_id", "The session's name. Left empty: MiniAn's session.", required=False, pattern=NO_SLASH),
    Field("virus", "The virus that brought the indicator, and where from.", required=False),
    Field("surgery", "Surgeries, such as the lens's implantation.", required=False),
    Field(
        "rate",
        "Frames of the recording per second (Hz), if there is no --rate or --timestamps. Before any downsampling.",
        "number",
        required=False,
    ),
    Field("subject.subject_id", "The animal's name, as your lab calls it. No slashes.", pattern=NO_SLASH),
    Field("subject.description", "What is worth knowing of the animal."),
    Field(
        "subject.species",
        "In Latin: Mus musculus. Or its NCBI taxonomy link.",
        pattern=r"[A-Z][a-z]* [a-z]+|http://purl\.obolibrary\.org/obo/NCBITaxon_\d+",
    ),
    Field("subject.sex", "M, F, O (other) or U (unknown).", pattern="[MFOU]"),
    Field(
        "subject.age",
        "At the recording, as an ISO 8601 duration: P90D, P12W. Or fill in date_of_birth.",
        instead="subject.date_of_birth",
        pattern=rf"{ISO_DURATION}(/({ISO_DURATION})?)?",
    ),
    Field("subject.date_of_birth", "2024-02-17. Or fill in age.", "date", required=False),
    Field("subject.genotype", "The genotype.", required=False),
    Field("subject.strain", "The strain.", required=False),
    Field("device.name", "The microscope's name: Miniscope V4. No slashes or colons.", pattern=r"[^/\\:]+"),
    Field("device.description", "Its make, lens and whatever else matters."),
    Field("optical_channel.description", "The filter and the sensor."),
    Field("optical_channel.emission_lambda", "The emission's wavelength in nm: 525.0", "number", least=10),
    Field("imaging_plane.description", "The plane: its depth, how it was reached."),
    Field("imaging_plane.excitation_lambda", "The excitation's wavelength in nm: 475.0", "number", least=10),
    Field("imaging_plane.indicator", "The calcium indicator: GCaMP6f"),
    Field(
        "imaging_plane.location",
        "The brain area. For a mouse a name or abbreviation of the Allen Mouse Brain Atlas: CA1",
    ),
)
