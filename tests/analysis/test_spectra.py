import numpy as np
import pytest

from research.analysis.spectra import above_rounding, as_matrix, energy_rank, generator_of, mean_spectrum, noise_like, singular_values

GENERATOR = np.random.default_rng(0)


def planted(rows: int, columns: int, strengths: list[float]) -> np.ndarray:
    left = np.linalg.qr(GENERATOR.standard_normal((rows, len(strengths))))[0]
    right = np.linalg.qr(GENERATOR.standard_normal((columns, len(strengths))))[0]
    return (left * strengths) @ right.T


def test_kernels_become_inputs_by_outputs() -> None:
    assert as_matrix("params/layers_0/attention/query/kernel", np.zeros((64, 2, 32))).shape == (64, 64)
    assert as_matrix("params/layers_0/attention/out/kernel", np.zeros((2, 32, 48))).shape == (64, 48)
    assert as_matrix("params/layers_0/mlp/up/kernel", np.zeros((64, 256))).shape == (64, 256)
    assert as_matrix("any/tensor", np.zeros((2, 3, 5)), [("tensor", 2)]).shape == (6, 5)
    with pytest.raises(ValueError, match="not a matrix"):
        as_matrix("params/final_norm/scale", np.zeros(64))


def test_a_planted_rank_is_recovered_through_the_heads() -> None:
    strengths = [4.0, 3.0, 2.0, 1.0]
    update = planted(64, 48, strengths)
    found = singular_values({"params/layers_0/attention/out/kernel": update.reshape(2, 32, 48)})
    values = found["params/layers_0/attention/out/kernel"]
    np.testing.assert_allclose(values[:4], strengths, rtol=1e-10)
    assert values[4:].max() < 1e-10


def test_mean_spectrum_is_free_of_scale_and_as_long_as_the_smallest() -> None:
    small, large = planted(16, 12, [2.0, 1.0]), planted(64, 48, [2.0, 1.0])
    spectrum = mean_spectrum({"a/kernel": small, "b/kernel": 100.0 * large})
    assert spectrum.shape == (12,)
    np.testing.assert_allclose(spectrum[:2], np.array([2.0, 1.0]) / np.sqrt(5.0))
    assert spectrum[2:].max() < 1e-10


def test_an_update_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"b/kernel is zero"):
        mean_spectrum({"a/kernel": np.eye(3), "b/kernel": np.zeros((3, 3))})
    with pytest.raises(ValueError, match="no update"):
        mean_spectrum({})


def test_noise_matches_norm_and_shape_and_depends_on_seed_and_path_only() -> None:
    deltas = {"a/kernel": planted(64, 48, [3.0]), "b/kernel": planted(64, 48, [0.5])}
    noise = noise_like(deltas, seed=3)
    for path, delta in deltas.items():
        assert noise[path].shape == delta.shape
        assert np.linalg.norm(noise[path]) == pytest.approx(np.linalg.norm(delta))
    np.testing.assert_array_equal(noise_like({"b/kernel": deltas["b/kernel"]}, seed=3)["b/kernel"], noise["b/kernel"])
    assert not np.allclose(noise["a/kernel"] / 3.0, noise["b/kernel"] / 0.5)
    assert not np.allclose(noise_like(deltas, seed=4)["a/kernel"], noise["a/kernel"])


@pytest.mark.parametrize(("rows", "columns"), [(256, 64), (64, 256)])
def test_noise_fills_the_marchenko_pastur_bulk(rows: int, columns: int) -> None:
    """Edges (1 +- sqrt(q/p)) / sqrt(q) for p > q, within 4 % of the upper one: edges fluctuate by about q^(-2/3) of their distance."""
    spectrum = mean_spectrum(noise_like({"update/kernel": planted(rows, columns, [1.0])}, seed=0))
    long, short = max(rows, columns), min(rows, columns)
    edges = (1 + np.array([1, -1]) * np.sqrt(short / long)) / np.sqrt(short)
    np.testing.assert_allclose([spectrum[0], spectrum[-1]], edges, atol=0.04 * edges[0])
    assert np.sum(spectrum**2) == pytest.approx(1.0)


def test_the_energy_rank_is_the_least_that_holds_the_share() -> None:
    values = np.sqrt([4.0, 3.0, 2.0, 1.0])  # shares 0.4, 0.7, 0.9, 1 of the squares
    assert [energy_rank(values, share) for share in (0.01, 0.4, 0.41, 0.7, 0.9, 0.91, 1)] == [1, 1, 2, 2, 3, 4, 4]
    assert energy_rank(values[::-1]) == energy_rank(-values) == 3
    assert [energy_rank(np.full(n, 0.1)) for n in (10, 20, 100)] == [9, 18, 90]
    assert (energy_rank(np.zeros(5)), energy_rank(np.array([2.0, 0, 0]), 1)) == (0, 1)
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match="share"):
            energy_rank(values, share)


def test_float32_does_not_add_to_the_rank() -> None:
    product = planted(64, 48, [3.0, 2.0]).astype(np.float32)
    values = np.linalg.svd(np.float64(product), compute_uv=False)
    assert values[2] > 0 and above_rounding(values, product.shape).sum() == 2
    assert above_rounding(values / 1e9, product.shape).sum() == 2 and not above_rounding(0 * values, product.shape).any()


def test_every_matrix_has_random_numbers_of_its_own() -> None:
    first = generator_of(0, "a").random()
    assert first == generator_of(0, "a").random()
    assert len({first, generator_of(1, "a").random(), generator_of(0, "b").random()}) == 3
