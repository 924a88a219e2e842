"""What MiniAn's loading would do with a dataset, told from metadata and coordinates alone. Pure.

The program that is predicted is one: MiniAn 2.0.2 with xarray 2026.4.0 and zarr 2.18.7, its own environment,
wherever check itself runs. Each module follows one step of it: ``opening`` an array folder, ``aligning``,
``merging``, and ``concatenating`` the sessions of ``open_minian_mf``. ``outcome`` says what came of it.
"""

from minian_vc.prediction.model import Bundle, Fails, Unsure, Variable
from minian_vc.prediction.outcome import LoadedArray, Outcome, predict_dict, predict_merge, predict_sessions

__all__ = [
    "Bundle",
    "Fails",
    "LoadedArray",
    "Outcome",
    "Unsure",
    "Variable",
    "predict_dict",
    "predict_merge",
    "predict_sessions",
]
