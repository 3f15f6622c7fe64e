"""The bank of random shapelets against loops over windows."""

import errno
import itertools
import math

import numba
import numpy as np
import pytest
import torch

from mug_sklearn.nn import bank as bank_module
from mug_sklearn.nn.bank import (
    GROUP_SIZE,
    MAX_MIXED_CHANNELS,
    PATTERN_LENGTH,
    DilatedShapelets,
    ShapeletBank,
    _kernel_runs,
    dilations,
    first_differences,
    rooted_shares,
)
from mug_sklearn.nn.bank_loops import compiled, prefer_wide_vectors

WAYS = {
    "loops": DilatedShapelets.features_by_loops,
    "tensors": DilatedShapelets.features_by_tensors,
}


def make_bank(n_channels=1, n_timepoints=40, n_shapelets=16):
    bank = ShapeletBank(n_channels, n_timepoints, n_shapelets).double()
    generator = torch.Generator().manual_seed(0)
    for scale in bank.scales:
        scale.draw(generator)
    return bank


def calibrated(values, observed, dilation=1, n_patterns=16):
    """Patterns of one dilation for univariate series, with thresholds from them."""
    scale = DilatedShapelets(1, dilation, 1, n_patterns, differenced=False).double()
    scale.draw(torch.Generator().manual_seed(0))
    scale.calibrate(values, observed, torch.Generator().manual_seed(0))
    return scale


def gappy(n, channels, length, share):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(n, channels, length, generator=generator).double()
    observed = torch.rand(n, channels, length, generator=generator) < share
    return values * observed, observed


def slow_responses(scale, signal, known):
    """Each pattern at each timepoint of one univariate series, tap by tap."""
    patterns = scale.patterns[0].numpy()
    responses = np.zeros((len(patterns), len(signal)))
    for time in range(len(signal)):
        taps = {
            tap: time + (tap - PATTERN_LENGTH // 2) * scale.dilation
            for tap in range(PATTERN_LENGTH)
        }
        taps = {t: at for t, at in taps.items() if 0 <= at < len(signal) and known[at]}
        if not taps:
            continue
        mean = np.mean([signal[at] for at in taps.values()])
        for index, pattern in enumerate(patterns):
            responses[index, time] = sum(
                pattern[tap] * (signal[at] - mean) for tap, at in taps.items()
            )
    return responses


def slow_features(scale, signal, known, places=slice(None)):
    responses = slow_responses(scale, signal, known)
    times = [time for time in range(len(known))[places] if known[time]]
    n_patterns = len(responses)
    prevalence, strength, wins = np.zeros((3, n_patterns))
    for time in times:
        passes = responses[:, time] > scale.thresholds[0].numpy()
        prevalence += passes / len(times)
        for group in range(0, n_patterns, GROUP_SIZE):
            competing = responses[group : group + GROUP_SIZE, time]
            winner = group + competing.argmax()
            strength[winner] += competing.max() / len(times)
            wins[group + competing.argmin()] += 1 / len(times)
    return np.sqrt(np.concatenate((prevalence, strength, wins)).clip(min=0))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("dilation", [1, 4])
def test_features_are_their_definition(share, dilation, way):
    values, observed = gappy(3, 1, 40, share)
    scale = calibrated(values, observed, dilation)
    actual = WAYS[way](scale, values, observed).flatten(1)
    for series in range(3):
        expected = slow_features(
            scale, values[series, 0].numpy(), observed[series, 0].numpy()
        )
        np.testing.assert_allclose(actual[series].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("places", [slice(0, 40, 2), slice(1, 40, 2), slice(5, 33, 3)])
def test_features_of_chosen_timepoints(places, monkeypatch):
    values, observed = gappy(3, 1, 40, 0.6)
    scale = calibrated(values, observed, 2)
    monkeypatch.setattr(bank_module, "SHORTEST_RUN", 4)
    monkeypatch.setattr(bank_module, "CPU_RESPONSES", 1)  # in several runs
    mixed = scale._mixed(values, observed)
    sums, count = scale._sums_by_tensors(*mixed, range(40)[places])
    actual = rooted_shares(sums, count).flatten(1)
    for series in range(3):
        known = observed[series, 0].numpy()
        assert count[series] == known[places].sum()
        expected = slow_features(scale, values[series, 0].numpy(), known, places)
        np.testing.assert_allclose(actual[series].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(("most", "step"), [(100, 1), (40, 1), (39, 2), (20, 2)])
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_split_half_noise_is_its_definition(share, most, step, monkeypatch):
    # Long series are sampled at steps: these stand for `step` times as many timepoints.
    values, observed = gappy(6, 1, 40, share)
    scale = calibrated(values, observed, 2)
    monkeypatch.setattr(bank_module, "SPLIT_TIMEPOINTS", most)
    actual = scale.split_half_noise(values, observed).flatten(1)
    for series in range(6):
        known = observed[series, 0].numpy()
        signal, halves = (
            values[series, 0].numpy(),
            [slice(first, None, 2 * step) for first in (0, step)],
        )
        even, odd = (slow_features(scale, signal, known, half) for half in halves)
        n_even, n_odd = (known[half].sum() for half in halves)
        # Of a variance of v in each value, the difference has v / n_even + v / n_odd,
        # and a mean over all has v / n.
        variance = (even - odd) ** 2 / (1 / n_even + 1 / n_odd)
        expected = variance / (step * (n_even + n_odd))
        np.testing.assert_allclose(actual[series].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("known", [slice(0, None, 2), slice(1, None, 2), [3]])
def test_a_half_that_is_not_observed_tells_of_no_noise(known):
    values, observed = gappy(2, 1, 40, 1.0)
    scale = calibrated(values, observed)
    observed[:] = False
    observed[..., known] = True
    assert (scale.split_half_noise(values * observed, observed) == 0).all()


def share_of_chance(noise):
    """Mean share of the features' variances, of waves that differ, for each scale."""
    generator = torch.Generator().manual_seed(2)
    frequency, phase = torch.rand(2, 100, 1, 1, generator=generator).double()
    waves = torch.sin((0.1 + 0.3 * frequency) * torch.arange(60) + 6.28 * phase)
    white = torch.randn(100, 1, 60, generator=generator).double()
    values = (1 - noise) * waves + noise * white
    observed = torch.ones_like(values, dtype=torch.bool)
    bank = make_bank(n_timepoints=60)
    bank.calibrate(values, observed, torch.Generator().manual_seed(0))
    variance = bank(values, observed).var(dim=0)
    squares = bank.split_half_noise(values, observed)
    assert squares.shape == (100, len(variance))
    return (squares.mean(dim=0) / variance).unflatten(0, (6, -1)).mean(dim=1)


def test_halves_tell_how_much_of_the_variance_is_chance():
    clean, noisy, drowned = map(share_of_chance, (0.0, 0.3, 1.0))
    assert clean.max() < 0.5
    assert (noisy > clean + 0.2).all()
    # Where noise is all there is, all is chance; of the shortest patterns it seems to
    # be more, as the responses of neighbouring timepoints are opposed.
    assert 0.9 < drowned.min() < drowned.max() < 3
    # Noise takes most from differences, and least from long patterns.
    _, _, longest, *differences = noisy
    assert longest < 0.5 < 0.9 < min(differences)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channels", [1, 3])
def test_unobserved_values_change_no_feature(channels, way):
    values, observed = gappy(2, channels, 40, 0.7)
    changed = torch.where(observed, values, 100.0)
    for scale in make_bank(channels).scales:
        expected = WAYS[way](scale, values, observed)
        assert torch.equal(WAYS[way](scale, changed, observed), expected)


def test_half_of_the_scales_look_at_differences():
    bank = make_bank()
    series = gappy(2, 1, 40, 0.8)
    widths = [3 * scale.thresholds.numel() for scale in bank.scales]
    parts = bank(*series).split(widths, dim=1)
    assert [scale.differenced for scale in bank.scales] == [False] * 3 + [True] * 3
    for scale, part in zip(bank.scales, parts, strict=True):
        seen = first_differences(*series) if scale.differenced else series
        expected = scale.features_by_loops(*seen).flatten(1)
        torch.testing.assert_close(part, expected)


def test_patterns_are_centred_and_of_unit_norm():
    for scale in make_bank(3, 40, 16).scales:
        assert scale.patterns.mean(dim=-1).abs().max() < 1e-6
        norms = scale.patterns.norm(dim=-1)
        torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize(
    ("channels", "asked", "number"),
    [(1, 13, 16), (1, 70, 72), (2, 13, 16), (3, 70, 128), (3, 128, 128)],
)
def test_patterns_are_in_full_groups_for_each_mix(channels, asked, number):
    for scale in make_bank(channels, 40, asked).scales:
        assert scale.thresholds.numel() == number
        assert scale.patterns.shape[1] % GROUP_SIZE == 0


# For each of 3 * 8 signals one response at once, or those of a group and a half.
@pytest.mark.parametrize("n_responses", [1, 24 * 12 * 70])
def test_tensors_in_many_runs_and_chunks(n_responses, monkeypatch):
    monkeypatch.setattr(bank_module, "SHORTEST_RUN", 16)
    monkeypatch.setattr(bank_module, "CPU_RESPONSES", n_responses)
    values, observed = gappy(3, 11, 70, 0.7)
    for scale in make_bank(11, 70, 128).scales:
        ours, theirs = (way(scale, values, observed) for way in WAYS.values())
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1, 9, 31, 32, 33, 256, 257, 384, 385, 700, 769])
@pytest.mark.parametrize("channels", [1, 11])
def test_loops_and_tensors_agree(channels, length, dtype):
    bank = make_bank(channels, length, 16).to(dtype)
    values, observed = gappy(3, channels, length, 0.7)
    values = values.round(decimals=1).to(dtype)  # with ties and flat windows
    values[2] = 0.5
    observed[0] = True
    values = values * observed
    for scale in bank.scales:
        scale.thresholds[:, ::2] = -100.0  # which every response passes
        ours, theirs = (way(scale, values, observed) for way in WAYS.values())
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert (ours[0, 0, :, ::2] == 1).all()


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")  # its numpy's
@pytest.mark.parametrize("length", [9, 60, 300])
@pytest.mark.parametrize("channels", [1, 11])
def test_a_gpus_kernel_decides_as_the_loops_do(channels, length):
    # Where there is no GPU, triton's interpreter runs it.
    pytest.importorskip("triton", "3.7", "the interpreter fails with numpy 2")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bank = make_bank(channels, length, 16).float()
    values, observed = gappy(3, channels, length, 0.9)
    values[2, :, length // 2 :] = 0.5  # with flat windows
    series = values.float() * observed, observed
    bank.calibrate(*series, torch.Generator().manual_seed(0))
    # The interpreter takes long for each.
    dilations = sorted({scale.dilation for scale in bank.scales})
    tried = dilations if device == "cuda" else (dilations[0], dilations[-1])
    for scale in bank.scales:
        if scale.dilation not in tried:
            continue
        expected = scale.features_by_loops(*series)
        there = (x.to(device) for x in (scale, *series))
        actual = DilatedShapelets.features_by_kernel(*there).cpu()
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_no_kernel_without_a_gpu():
    assert not _kernel_runs(torch.device("cuda"))


@pytest.mark.parametrize(
    ("error", "is_shortage"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("Failed to find C compiler"), False),
    ],
    ids=repr,
)
def test_a_shortage_of_memory_is_no_lack_of_a_kernel(error, is_shortage, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(DilatedShapelets, "features_by_kernel", fail)
    ask = _kernel_runs.__wrapped__  # whose answer nothing remembers
    if is_shortage:
        with pytest.raises(type(error)):
            ask(torch.device("cpu"))
    else:
        assert not ask(torch.device("cpu"))


def test_a_series_has_the_same_features_in_every_batch():
    bank = make_bank(3, 300).float()
    values, observed = gappy(5, 3, 300, 0.9)
    together = bank(values.float(), observed)
    for row in range(5):
        alone = bank(values[row : row + 1].float(), observed[row : row + 1])
        assert torch.equal(alone[0], together[row])


def double(number):
    return 2 * number


def test_loops_compile_where_nothing_may_be_written(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert compiled(double)(4) == 8


def test_without_a_compiler_a_loop_is_the_function(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert compiled(double) is double


def test_loops_run_where_the_disk_is_full_when_they_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    assert compiled(double)(4) == 8
    assert list(tmp_path.rglob("*.nbi"))
    # Nor may there be room to note that nothing was kept.
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_index", full)
    assert compiled(double)(4) == 8


def test_a_damaged_cache_is_written_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert compiled(double)(4) == 8
    for kind in ("nbi", "nbc"):  # the index, and what it names
        (path,) = tmp_path.rglob(f"*.{kind}")
        path.write_bytes(b"")  # as a crash of the system may leave it
        for n_hits in (0, 1):
            loop = compiled(double)
            assert loop(4) == 8
            assert loop.stats.cache_hits.total() == n_hits


def test_a_loop_may_ask_for_wide_vectors():
    def wide(number):
        prefer_wide_vectors()
        return 2 * number

    asked = '"prefer-vector-width"="512"'
    for function, is_asked in ((double, False), (wide, True)):
        loop = numba.njit(function)
        assert loop(4) == function(4) == 8
        (code,) = loop.inspect_llvm().values()
        assert (asked in code) == is_asked


def test_compiling_leaves_numbas_folder_as_it_was(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    compiled(lambda number: number)
    assert numba.config.CACHE_DIR == ""


def test_patterns_ignore_the_level():
    bank = make_bank()
    values, observed = gappy(2, 1, 40, 0.7)
    values[1, :, 10:30] = 0.0  # flat at any level, however its mean is rounded
    shifted = bank((values + 5.1) * observed, observed)
    torch.testing.assert_close(shifted, bank(values, observed), rtol=0, atol=1e-6)


def test_padding_changes_nothing():
    bank = make_bank(n_channels=3)
    values, observed = gappy(2, 3, 40, 0.8)
    longer = [torch.nn.functional.pad(x, (0, 25)) for x in (values, observed)]
    torch.testing.assert_close(bank(*longer), bank(values, observed))


def ranks_of_thresholds(scale, values, observed):
    """Share of the observed responses below each threshold, taken from one of them."""
    signals, masks = values[:, 0].numpy(), observed[:, 0].numpy()
    responses = [
        slow_responses(scale, signal, known)[:, known]
        for signal, known in zip(signals, masks, strict=True)
    ]
    above = np.concatenate(responses, axis=1) + 1e-4
    above -= scale.thresholds[0, :, None].numpy()
    np.testing.assert_allclose(np.abs(above).min(axis=1), 0, atol=1e-9)
    return (above < -1e-9).mean(axis=1)


def test_thresholds_are_random_quantiles_of_observed_responses():
    series = gappy(8, 1, 60, 0.8)
    ranks = ranks_of_thresholds(calibrated(*series, 2, 64), *series)
    assert ranks.min() < 0.1
    assert ranks.max() > 0.9
    assert ranks.mean() == pytest.approx(0.5, abs=0.15)


def test_thresholds_of_half_of_the_scales_are_of_differences():
    series = gappy(4, 1, 40, 0.9)
    bank = make_bank()
    bank.calibrate(*series, torch.Generator().manual_seed(0))
    for scale in bank.scales:
        seen = first_differences(*series) if scale.differenced else series
        ranks_of_thresholds(scale, *seen)


def test_every_mix_of_every_scale_has_quantiles_of_its_own():
    bank = make_bank(3, 40, 32)
    series = gappy(8, 3, 40, 1.0)
    bank.calibrate(*series, torch.Generator().manual_seed(0))
    shares = []  # of the responses above the thresholds of a mix
    for scale in bank.scales:
        seen = first_differences(*series) if scale.differenced else series
        prevalence = scale.features_by_loops(*seen)[:, 0]  # (series, mixes, patterns)
        shares.extend(prevalence.square().mean(dim=0))
    assert len(shares) == 6 * 4
    for one, other in itertools.combinations(shares, 2):
        assert (one - other).abs().max() > 0.1


def test_long_series_are_calibrated_on_all_their_parts(monkeypatch):
    monkeypatch.setattr(bank_module, "CALIBRATION_TIMEPOINTS", 40)
    values, observed = gappy(2, 1, 200, 1.0)
    values[..., 100:] *= 1e3
    thresholds = calibrated(values, observed, n_patterns=256).thresholds
    assert 0.3 < (thresholds.abs() > 50).double().mean() < 0.7


def test_long_series_are_calibrated_at_regular_steps(monkeypatch):
    monkeypatch.setattr(bank_module, "CALIBRATION_TIMEPOINTS", 40)
    values, observed = gappy(2, 1, 200, 1.0)
    scale = calibrated(values, observed)
    sampled = [
        slow_responses(scale, *series)[:, ::10]
        for series in zip(values[:, 0].numpy(), observed[:, 0].numpy(), strict=True)
    ]
    above = np.concatenate(sampled, axis=1) + 1e-4
    above -= scale.thresholds[0, :, None].numpy()
    np.testing.assert_allclose(np.abs(above).min(axis=1), 0, atol=1e-9)


def test_a_signal_unseen_in_calibration_has_thresholds_that_it_can_pass():
    values, observed = gappy(3, 1, 40, 1.0)
    scale = calibrated(values, torch.zeros_like(observed))
    prevalence = scale.features_by_loops(values, observed)[:, 0]
    assert ((prevalence > 0) & (prevalence < 1)).all()


def test_mixes_are_of_few_channels_drawn_at_random():
    scale = DilatedShapelets(12, 1, 2000, GROUP_SIZE, differenced=False)
    scale.draw(torch.Generator().manual_seed(0))
    chosen = scale.mixing != 0
    shares = chosen.sum(dim=1).bincount()[1:] / 2000
    # The logarithm of their number is uniform.
    sizes = torch.arange(1, MAX_MIXED_CHANNELS + 2).log2()
    expected = sizes.diff() / sizes[-1]
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.05)
    of_channels = chosen.double().mean(dim=0)
    expected = of_channels.mean().expand(12)
    torch.testing.assert_close(of_channels, expected, rtol=0, atol=0.08)


@pytest.mark.parametrize("n_channels", [1, 2, 50])
def test_every_mix_sees_channels_with_unit_norm(n_channels):
    for scale in make_bank(n_channels).scales:
        norms = scale.mixing.square().sum(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize("length", [1, 2, 9, 16, 17, 500])
def test_dilated_patterns_fit(length):
    chosen = dilations(length)
    assert chosen[0] == 1
    for dilation in chosen[1:]:
        assert dilation * (PATTERN_LENGTH - 1) <= length - 1
    assert 2 * chosen[-1] > (length - 1) / (PATTERN_LENGTH - 1) or length < 9
    assert len(chosen) <= 1 + math.log2(max(length, 1))


@pytest.mark.parametrize("length", [1, 2, 30])
def test_nothing_observed_gives_zeros(length):
    nothing = torch.zeros(1, 1, length).double()
    assert (make_bank()(nothing, nothing.bool()) == 0).all()


def test_differences_need_both_neighbours():
    values = torch.tensor([[[1.0, 4.0, 0.0, 2.0]]])
    observed = torch.tensor([[[True, True, False, True]]])
    difference, known = first_differences(values, observed)
    assert difference.tolist() == [[[3.0, 0.0, 0.0, 0.0]]]
    assert known.tolist() == [[[True, False, False, False]]]
