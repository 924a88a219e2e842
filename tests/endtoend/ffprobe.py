"""Stands in for ffprobe, which no package on PyPI ships: tells of a video what MiniAn asks for, as ffprobe's JSON."""

from __future__ import annotations

import json
import sys

import imageio_ffmpeg

video = sys.argv[-1]
frames, _ = imageio_ffmpeg.count_frames_and_secs(video)
reader = imageio_ffmpeg.read_frames(video)
width, height = next(reader)["source_size"]
reader.close()
stream = {"codec_type": "video", "width": width, "height": height, "nb_frames": str(frames)}
sys.stdout.write(json.dumps({"streams": [stream], "format": {"filename": video}}))
