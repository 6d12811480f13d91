"""Videos as a player shows them. imageio-ffmpeg's own reader forks, which jax's threads forbid."""

import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from imageio_ffmpeg._parsing import parse_ffmpeg_header


def decoded(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """What ffmpeg says of a video, and its frames, (T, height, width, 3)."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    meta = parse_ffmpeg_header(done.stderr.decode(errors="replace"))
    width, height = meta["source_size"]
    return meta, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)
