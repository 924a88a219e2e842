"""Make a small miniscope recording as a folder with one video. Run as a program: ``recording.py FOLDER``.

minisim warns and prints; in a process of its own it does so unheard.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from minisim.spec import Bleaching, BrainMotion, Leakage, NeuronPopulation, Neuropil, Vignette
from minisim.testing import make_recording

PIXELS, FRAMES, CELLS, SEED = 64, 190, 14, 11
FPS = 20
SOMA_UM = 5.0  # pixels are 1 um wide
MIN_DISTANCE_UM = 7.0  # less than a soma's width: MiniAn's merges raise where no two units overlap
MARGIN_UM = 12.0
DEPTH_UM = 50.0


def cell_positions() -> list[tuple[float, float, float]]:
    """Place cells at random, some of them overlapping."""
    rng = np.random.default_rng(SEED)
    half = PIXELS / 2 - MARGIN_UM
    placed: list[tuple[float, float, float]] = []
    while len(placed) < CELLS:
        y, x = rng.uniform(-half, half, 2)
        if all((y - b) ** 2 + (x - c) ** 2 >= MIN_DISTANCE_UM**2 for _, b, c in placed):
            placed.append((DEPTH_UM, float(y), float(x)))
    return placed


def simulate() -> np.ndarray:
    """Return a movie of moving tissue with cells in it: frame x height x width, uint8."""
    recording = make_recording(
        population=NeuronPopulation(positions_um=cell_positions(), soma_radius_um=SOMA_UM, morphology="soma"),
        n_px=PIXELS,
        pixel_size_um=1.0,
        fps=FPS,
        duration_s=FRAMES / FPS,
        seed=SEED,
        extra_steps=[
            BrainMotion(model="walk", walk_step_um=0.4, max_shift_um=4.0),
            Neuropil(amplitude=1.0, n_components=3),
            Vignette(falloff=0.7),
            Leakage(level=0.3),
            Bleaching(),
        ],
    )
    return np.clip(recording.observed_movie.values, 0, 255).astype(np.uint8)


def write_video(movie: np.ndarray, path: Path) -> None:
    """Write a movie as a miniscope's software does, but without loss."""
    frames, height, width = movie.shape
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *raw, "-c:v", "ffv1", str(path)]
    subprocess.run(command, input=movie.tobytes(), check=True)
    counted, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    if counted != frames:
        raise SystemExit(f"{path} has {counted} frames instead of {frames}")


if __name__ == "__main__":
    write_video(simulate(), Path(sys.argv[1]) / "msCam1.avi")
