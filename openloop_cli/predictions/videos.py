"""Videos and folders of frames -> (T, H, W, 3) uint8, and pairs of them by relative path.

Videos are decoded by ffmpeg, which `imageio-ffmpeg` brings; what a codec lost is in the numbers,
and a note says so.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from openloop_cli.arrays import Array
from openloop_cli.errors import PredictionsError
from openloop_cli.predictions import layout
from openloop_cli.predictions.columns import Column, OneByOne
from openloop_cli.predictions.scored import Layout
from openloop_cli.text import clean, plural

# By the reader of ffmpeg that each is given to: left to choose, it would also take a file for a
# playlist, and open what that names.
_READERS = {".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".avi": "avi", ".mkv": "matroska",
            ".webm": "matroska", ".gif": "gif", ".apng": "apng"}  # fmt: skip
VIDEOS = tuple(_READERS)
FRAMES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
LOSSY = (".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".gif", ".jpg", ".jpeg", ".webp")
# Of one video, unpacked.
MOST_BYTES = 2 << 30
_MOST_PIXELS = 1 << 26
_PATIENCE = 600  # seconds
_SIZE = re.compile(rb"Video: .*, (\d+)x(\d+)[ ,\[\n]")
_FPS = re.compile(rb"Video: .*, ([\d.]+) fps")
_COUNT = re.compile(rb"frame=\s*(\d+)")
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Clip:
    """One video or folder of frames.

    Attributes:
      size: Height and width.
      fps: Frames per second; 0 of a folder.
      files: The frames of a folder in order; the video itself, else.
    """

    path: Path
    frames: int
    size: tuple[int, int]
    fps: float
    files: tuple[Path, ...]

    def read(self) -> Array:
        """(T, H, W, 3).

        Raises:
          PredictionsError: Damaged, or other than it was.
        """
        if self.path.is_dir():
            return np.stack([_frame(x, self.size) for x in self.files])
        return _decoded(self)


def pair(truth: Path, prediction: Path) -> Layout:
    """The layout of two folders of the same videos, or of two videos; context is not included.

    Raises:
      PredictionsError: A video in one of them only, or of another length, size or frame rate.
    """
    place = f"{truth} and {prediction}"
    both = [_clips(x) for x in (truth, prediction)]
    _check_names(truth, prediction, both)
    names = sorted(both[0], key=natural)
    clips = [(both[0][name], both[1][name]) for name in names]
    first = clips[0][0]
    _check_alike(clips, first)
    steps = {clip.frames for _, clip in clips}
    columns: dict[str, Column] = {
        f"{layout.TRUTH}/image": _column([x for x, _ in clips], first.frames),
        f"{layout.PREDICTION}/image": _column([x for _, x in clips], steps.pop()),
    }
    lossy = sorted({x.suffix.lower() for one in clips for clip in one for x in clip.files[:1]
                    if x.suffix.lower() in LOSSY})  # fmt: skip
    notes = []
    if lossy:
        notes.append(
            f"{', '.join(lossy)} lost something when written: its loss is in all numbers, and"
            " weighs most where predictions are best"
        )
    return Layout(place, columns, notes=tuple(notes))


def clip(path: Path) -> Clip:
    """What a video or a folder of frames is, without its pixels.

    Raises:
      PredictionsError: Neither of them.
    """
    if path.is_dir():
        files = tuple(
            sorted((x for x in path.iterdir() if x.suffix.lower() in FRAMES), key=natural)
        )
        if not files:
            raise PredictionsError(f"{path}: no frames; expected {', '.join(FRAMES)}")
        return Clip(path, len(files), _size(files[0]), 0, files)
    return _probed(path)


def natural(path: Path | str) -> list[tuple[int, int, str]]:
    """`frame_10` after `frame_9`."""
    parts = _NUMBER.split(str(path))
    return [(1, int(x), "") if x.isdecimal() else (0, 0, x) for x in parts]


def _column(clips: Sequence[Clip], steps: int) -> Column:
    shape = (len(clips), steps, *clips[0].size, 3)
    return OneByOne(shape, np.dtype(np.uint8), lambda window: clips[window].read())


def _clips(root: Path) -> dict[str, Clip]:
    """Videos and folders of frames below a folder, by their path in it without the extension."""
    if not root.exists():
        raise PredictionsError(f"{root}: no such file or folder")
    if root.is_file():
        return {"": clip(root)}
    found: dict[str, Clip] = {}
    for folder, _, names in os.walk(root):
        here = Path(folder)
        videos = [here / x for x in names if Path(x).suffix.lower() in VIDEOS]
        for video in videos:
            name = video.relative_to(root).with_suffix("").as_posix()
            if name in found:
                raise PredictionsError(f"{video}: {clean(name)} is there twice")
            found[name] = clip(video)
        if not videos and any(Path(x).suffix.lower() in FRAMES for x in names):
            found[here.relative_to(root).as_posix()] = clip(here)
    if not found:
        raise PredictionsError(
            f"{root}: no videos and no folders of frames",
            hint=f"expected {', '.join(VIDEOS)}, or {', '.join(FRAMES)} in a folder each",
        )
    return found


def _check_names(truth: Path, prediction: Path, both: Sequence[Mapping[str, Clip]]) -> None:
    for here, there, own, other in (
        (truth, prediction, both[0], both[1]),
        (prediction, truth, both[1], both[0]),
    ):
        alone = sorted(own.keys() - other.keys())
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise PredictionsError(
                f"{own[alone[0]].path}{more}: in {here} only, nothing of that name in {there}",
                hint="videos go together by their path below the two folders",
            )


def _check_alike(clips: Sequence[tuple[Clip, Clip]], first: Clip) -> None:
    """All truths have one length; all predictions have one; sizes and frame rates are equal."""
    said = clips[0][1]
    for truth, prediction in clips:
        for found, model in ((truth, first), (prediction, said)):
            if found.frames != model.frames:
                raise PredictionsError(
                    f"{found.path}: {plural(found.frames, 'frame')}, {model.path} has"
                    f" {model.frames}",
                    hint="cut all to one length; a window is as long as its video",
                )
        for found in (truth, prediction):
            if found.size != first.size:
                raise PredictionsError(
                    f"{found.path}: {found.size[1]} × {found.size[0]} pixels, {first.path} has"
                    f" {first.size[1]} × {first.size[0]}",
                    hint="scale them alike before they are scored",
                )
        if truth.fps and prediction.fps and abs(truth.fps - prediction.fps) > 0.01 * truth.fps:
            raise PredictionsError(
                f"{prediction.path}: {prediction.fps:g} frames per second, {truth.path} has"
                f" {truth.fps:g}: their steps are not the same moments",
                hint="resample one of them before they are scored",
            )


def _probed(path: Path) -> Clip:
    if path.suffix.lower() not in VIDEOS:
        raise PredictionsError(f"{path}: not a video; expected {', '.join(VIDEOS)}")
    try:
        # By its packets: nothing is decoded.
        told = subprocess.run(
            _ffmpeg(path, "-c", "copy", "-f", "null", "-"),
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        ).stderr
        (width, height), count = map(int, _SIZE.findall(told)[0]), int(_COUNT.findall(told)[-1])
    except (OSError, subprocess.SubprocessError, IndexError):
        raise PredictionsError(f"{path}: ffmpeg cannot read this video") from None
    if width * height > _MOST_PIXELS or count * width * height * 3 > MOST_BYTES:
        raise PredictionsError(
            f"{path}: {plural(count, 'frame')} of {width} × {height} pixels are too many at once"
        )
    if not count:
        raise PredictionsError(f"{path}: no frames")
    fps = _FPS.findall(told)
    return Clip(path, count, (height, width), float(fps[0]) if fps else 0, (path,))


def _decoded(found: Clip) -> Array:
    path, shape = found.path, (found.frames, *found.size, 3)
    options = ["-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    try:
        with subprocess.Popen(
            _ffmpeg(path, *options), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            raw = process.stdout.read(prod(shape) + 1)
            process.stdout.close()
    except OSError:
        raise PredictionsError(f"{path}: ffmpeg cannot read this video") from None
    if len(raw) != prod(shape):
        raise PredictionsError(
            f"{path}: damaged: of its {plural(found.frames, 'frame')}"
            f" {len(raw) // prod(shape[1:])} can be decoded"
        )
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _ffmpeg(path: Path, *options: str) -> list[str]:
    """The command that reads the video of one file, and nothing that the file may name."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-noautorotate"]
    command += ["-protocol_whitelist", "file", "-f", _READERS[path.suffix.lower()]]
    return [*command, "-i", str(path.absolute()), "-map", "0:v:0", *options]


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise PredictionsError(f"{path}: {image.width} × {image.height} pixels")
            return image.height, image.width
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        raise PredictionsError(f"{path}: not a picture that can be read") from None


def _frame(path: Path, size: tuple[int, int]) -> Array:
    if _size(path) != size:
        raise PredictionsError(f"{path}: another size than the frames before it")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        raise PredictionsError(f"{path}: not a picture that can be read") from None
