"""The metrics against scikit-image, hand calculations, and their stated edges."""

import numpy as np
import pytest

from openloop_cli.measures import metrics


def pair(seed, shape, noise=0.1):
    rng = np.random.default_rng(seed)
    truth = rng.random(shape, np.float32)
    prediction = np.clip(truth + noise * rng.standard_normal(shape, np.float32), 0, 1)
    return truth, prediction


def smooth_pair(seed, shape):
    """Slow gradients and nearly equal frames: where float32 variances lose their digits."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.9, 1.0, shape[3], dtype=np.float32)[:, None]
    truth = np.broadcast_to(ramp, shape).copy()
    return truth, np.clip(truth + 1e-3 * rng.standard_normal(shape, np.float32), 0, 1)


def scikit_ssim(x, y):
    skimage = pytest.importorskip("skimage.metrics")
    return skimage.structural_similarity(
        x.astype(np.float64),
        y.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )


@pytest.mark.parametrize(
    "videos",
    [
        pair(0, (2, 3, 64, 64, 3)),
        pair(1, (1, 2, 96, 96, 1)),
        pair(2, (1, 2, 11, 43, 3)),
        pair(3, (1, 2, 12, 11, 2)),
        pair(4, (1, 1, 130, 75, 4)),
        pair(5, (2, 2, 64, 64, 3), noise=0.0),
        smooth_pair(6, (2, 2, 64, 64, 3)),
        (np.zeros((1, 1, 20, 20, 3), np.float32), np.ones((1, 1, 20, 20, 3), np.float32)),
    ],
)
def test_ssim_agrees_with_scikit_image(videos):
    truth, prediction = videos
    found = metrics.ssim(truth, prediction)
    expected = [
        [scikit_ssim(x, y) for x, y in zip(*window, strict=True)]
        for window in zip(truth, prediction, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def plain_ssim(x, y, high, wide):
    """The definition, position by position, for one channel."""

    def weights(size):
        w = np.exp(-0.5 * ((np.arange(size) - size // 2) / 1.5) ** 2)
        return w / w.sum()

    window = np.outer(weights(high), weights(wide))
    values = []
    for i in range(x.shape[0] - high + 1):
        for j in range(x.shape[1] - wide + 1):
            a, b = x[i : i + high, j : j + wide], y[i : i + high, j : j + wide]
            ma, mb = (window * a).sum(), (window * b).sum()
            va = (window * (a - ma) ** 2).sum()
            vb = (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            values.append(
                ((2 * ma * mb + 1e-4) * (2 * cov + 9e-4))
                / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))
            )
    return np.mean(values)


@pytest.mark.parametrize(
    ("height", "width", "high", "wide"),
    [(8, 8, 7, 7), (64, 3, 11, 3), (2, 20, 1, 11), (1, 1, 1, 1), (10, 11, 9, 11)],
)
def test_ssim_of_images_smaller_than_its_window(height, width, high, wide):
    truth, prediction = pair(7, (1, 1, height, width, 1))
    expected = plain_ssim(
        truth[0, 0, :, :, 0].astype(float), prediction[0, 0, :, :, 0].astype(float), high, wide
    )
    assert metrics.ssim(truth, prediction)[0, 0] == pytest.approx(expected, abs=1e-5)


def test_mse_and_mae_by_hand():
    truth = np.zeros((1, 2, 2, 2, 1), np.float32)
    prediction = truth.copy()
    prediction[0, 1, 0, 0, 0] = 0.5
    np.testing.assert_allclose(metrics.mse(truth, prediction), [[0, 0.0625]])
    np.testing.assert_allclose(metrics.mae(truth, prediction), [[0, 0.125]])


def test_psnr_agrees_with_scikit_image():
    skimage = pytest.importorskip("skimage.metrics")
    truth, prediction = pair(8, (2, 2, 16, 16, 3))
    found = metrics.psnr_of(metrics.mse(truth, prediction))
    for b, t in np.ndindex(2, 2):
        expected = skimage.peak_signal_noise_ratio(truth[b, t], prediction[b, t], data_range=1)
        assert found[b, t] == pytest.approx(expected, abs=1e-3)


def test_psnr_of_equal_frames_is_capped_and_finite():
    truth, _ = pair(9, (1, 2, 8, 8, 3))
    np.testing.assert_allclose(metrics.psnr_of(metrics.mse(truth, truth)), 100)


def test_the_two_averages_of_psnr_differ_as_stated():
    truth, prediction = pair(10, (4, 3, 8, 8, 1))
    prediction[0] = truth[0]
    error = metrics.mse(truth, prediction)
    mean_psnr, psnr_of_mean = metrics.psnr_of(error).mean(0), metrics.psnr_of(error.mean(0))
    assert mean_psnr.shape == psnr_of_mean.shape == (3,)
    assert (psnr_of_mean < mean_psnr).all()


def test_blocks_do_not_change_a_value(monkeypatch):
    truth, prediction = pair(11, (3, 5, 16, 16, 3))
    whole = [f(truth, prediction) for f in (metrics.mse, metrics.mae, metrics.ssim)]
    monkeypatch.setattr(metrics, "_BLOCK", 2 * 16 * 16 * 3)
    blocked = [f(truth, prediction) for f in (metrics.mse, metrics.mae, metrics.ssim)]
    np.testing.assert_allclose(whole, blocked, rtol=1e-6)


def test_half_precision_is_measured_in_single():
    truth, prediction = pair(12, (1, 2, 16, 16, 3))
    halves = truth.astype(np.float16), prediction.astype(np.float16)
    exact = [half.astype(np.float32) for half in halves]
    np.testing.assert_array_equal(metrics.mse(*halves), metrics.mse(*exact))


def test_bytes_are_our_own_bug():
    video = np.zeros((1, 1, 4, 4, 3), np.uint8)
    with pytest.raises(AssertionError, match="floats"):
        metrics.mse(video, video)
