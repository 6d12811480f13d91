"""Videos and folders of frames go together by their paths; what does not fit is said of which."""

import numpy as np
import pytest
from PIL import Image

from openloop_cli.encode import write_apng, write_gif, write_mp4
from openloop_cli.errors import PredictionsError
from openloop_cli.predictions.pixels import Pixels
from openloop_cli.predictions.scored import scored
from openloop_cli.predictions.videos import clip, natural, pair

from .made import C, T, predicted, truth


def large(video):
    """Large enough for a codec of blocks of 16 pixels."""
    return video.repeat(4, -3).repeat(4, -2)


VIDEO = large(truth(2))
SAID = large((predicted(truth(2)) * 255).astype(np.uint8))


def frames(folder, video, ending=".png"):
    folder.mkdir(parents=True)
    for step, frame in enumerate(video):
        Image.fromarray(frame).save(folder / f"frame_{step}{ending}")


def test_folders_of_frames_are_what_they_were(tmp_path):
    """Frame 10 comes after frame 9."""
    long = large(truth(2, 12))
    for window in range(2):
        frames(tmp_path / "gt" / "task" / f"ep{window}", long[window])
        frames(tmp_path / "pred" / "task" / f"ep{window}", long[window, C:])
    layout = pair(tmp_path / "gt", tmp_path / "pred")
    assert not layout.notes
    loop = scored(layout, Pixels(), context=C).take(slice(0, 2))
    np.testing.assert_array_equal(loop.truth["image"], long)
    assert not loop.reconstructs
    assert sorted(["a10", "a9"], key=natural) == ["a9", "a10"]


def test_videos_and_their_loss(tmp_path):
    for side, video in (("gt", VIDEO), ("pred", SAID)):
        (tmp_path / side / "x").mkdir(parents=True)
        for window in range(2):
            write_mp4(tmp_path / side / "x" / f"{window}.mp4", video[window], 10)
    layout = pair(tmp_path / "gt", tmp_path / "pred")
    assert ".mp4 lost something when written" in layout.notes[0]
    loop = scored(layout, Pixels(), context=C).take(np.array([1]))
    off = np.abs(loop.truth["image"].astype(int) - VIDEO[1:])
    assert off.mean() < 6
    assert loop.model.prediction["image"].shape == (1, T, 48, 48, 3)


def test_lossless_videos_need_no_word(tmp_path):
    write_apng(tmp_path / "gt.apng", VIDEO[0], 10)
    write_apng(tmp_path / "pred.apng", SAID[0], 10)
    layout = pair(tmp_path / "gt.apng", tmp_path / "pred.apng")
    assert not layout.notes
    loop = scored(layout, Pixels(), context=C).take(slice(0, 1))
    np.testing.assert_array_equal(loop.truth["image"][0], VIDEO[0])


def test_what_does_not_go_together(tmp_path):
    def refused(message):
        with pytest.raises(PredictionsError, match=message) as caught:
            pair(tmp_path / "gt", tmp_path / "pred")
        assert "\n" not in str(caught.value)

    refused("gt: no such file or folder")
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred").mkdir()
    refused("no videos and no folders of frames")
    frames(tmp_path / "gt" / "a", VIDEO[0])
    frames(tmp_path / "gt" / "b", VIDEO[1])
    frames(tmp_path / "pred" / "a", SAID[0])
    refused("b: in .*gt only")
    frames(tmp_path / "pred" / "b", SAID[1, :-1])
    refused(f"b: {T - 1} frames, .*a has {T}")
    Image.fromarray(SAID[1, 0, :16]).save(tmp_path / "pred" / "b" / f"frame_{T}.png")
    with pytest.raises(PredictionsError, match="another size than the frames before it"):
        clip(tmp_path / "pred" / "b").read()
    write_gif(tmp_path / "gt.gif", VIDEO[0], 10)
    write_gif(tmp_path / "pred.gif", SAID[0], 20)
    with pytest.raises(PredictionsError, match=r"20 frames per second, .*gt\.gif has 10"):
        pair(tmp_path / "gt.gif", tmp_path / "pred.gif")
    (tmp_path / "gt.mp4").write_bytes(b"no video")
    with pytest.raises(PredictionsError, match="ffmpeg cannot read"):
        clip(tmp_path / "gt.mp4")


def test_a_video_names_no_other_file(tmp_path):
    """Left to itself, ffmpeg would take this for a list of videos, and open them."""
    write_mp4(tmp_path / "secret.ts.mp4", VIDEO[0], 10)
    lists = {"m3u8": "#EXTM3U\n#EXTINF:1,\nsecret.ts.mp4\n", "concat": "file secret.ts.mp4\n"}
    for name, text in lists.items():
        (tmp_path / f"{name}.mp4").write_text(text)
        with pytest.raises(PredictionsError, match="ffmpeg cannot read"):
            clip(tmp_path / f"{name}.mp4")
