"""Updates cut to few directions: planted ranks come back, and the random control has norm and rank but not the directions."""

import numpy as np
import pytest

from research.analysis.truncation import projected, randomly_truncated, truncated, with_norms_of

OUT, UP, STACKED = "params/layers_0/attention/out/kernel", "params/layers_0/mlp/up/kernel", "params/layers/attention/out/kernel"
SHAPES = {OUT: (2, 32, 48), UP: (64, 256), "params/layers_0/mlp/down/kernel": (256, 64)}
MATRICES = {path: (64, 48) if path == OUT else shape for path, shape in SHAPES.items()}


def planted(strengths: list[float], noise: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    generator, found = np.random.default_rng(seed), {}
    for path, (rows, columns) in MATRICES.items():
        left = np.linalg.qr(generator.standard_normal((rows, len(strengths))))[0]
        right = np.linalg.qr(generator.standard_normal((columns, len(strengths))))[0]
        update = (left * strengths) @ right.T + noise * generator.standard_normal((rows, columns))
        found[path] = update.reshape(SHAPES[path]).astype(np.float32)
    return found


def norm(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x, dtype=np.float64).sum()))


def share(part: np.ndarray, whole: np.ndarray) -> float:
    return (norm(part) / norm(whole)) ** 2


def matrix(path: str, delta: np.ndarray) -> np.ndarray:
    return delta.reshape(MATRICES[path])


def test_a_planted_rank_under_noise_is_recovered_in_its_shape_and_type() -> None:
    clean, noisy = planted([4.0, 3.0, 2.0]), planted([4.0, 3.0, 2.0], noise=1e-3)
    for path, found in truncated(noisy, 3).items():
        assert found.shape == SHAPES[path] and found.dtype == np.float32
        rows, columns = MATRICES[path]
        kept = 3 * (rows + columns - 3) / (rows * columns)  # of the noise: the degrees of freedom of a matrix of rank 3
        assert share(found - clean[path], noisy[path] - clean[path]) == pytest.approx(kept, rel=0.15)
        assert np.linalg.matrix_rank(matrix(path, found), tol=1e-4) == 3


def test_the_error_is_that_of_eckart_and_young_and_no_random_directions_do_better() -> None:
    deltas = planted([1.0], noise=0.1)
    for path, found in truncated(deltas, 5).items():
        rest = np.linalg.svd(matrix(path, deltas[path]).astype(np.float64), compute_uv=False)[5:]
        assert norm(deltas[path] - found) == pytest.approx(np.linalg.norm(rest), rel=1e-5)
        assert norm(deltas[path] - projected(deltas, 5, 0)[path]) > 1.03 * np.linalg.norm(rest)


def test_a_rank_as_large_as_the_matrix_changes_nothing_and_rank_zero_leaves_nothing() -> None:
    deltas = planted([1.0], noise=0.1)
    for cut in (truncated(deltas, 64), projected(deltas, 64, 0), randomly_truncated(deltas, 64, 0)):
        assert all(norm(cut[path] - deltas[path]) < 1e-5 * norm(deltas[path]) for path in deltas)
    assert not any(cut.any() for cut in (*truncated(deltas, 0).values(), *randomly_truncated(deltas, 0, 0).values()))


def test_the_control_has_the_norm_and_the_rank_but_not_the_directions() -> None:
    deltas = planted([4.0, 3.0, 2.0], noise=1e-3)
    best, control = truncated(deltas, 3), randomly_truncated(deltas, 3, 7)
    for path in deltas:
        assert norm(control[path]) == pytest.approx(norm(best[path]), rel=1e-6)
        assert np.linalg.matrix_rank(matrix(path, control[path]), tol=1e-4) == 3
        agreement = float((control[path].astype(float) * best[path]).sum()) / norm(best[path]) ** 2
        assert agreement < 0.5
        np.testing.assert_array_equal(control[path], randomly_truncated({path: deltas[path]}, 3, 7)[path])
    assert norm(control[UP] - randomly_truncated(deltas, 3, 8)[UP]) > 0.1 * norm(best[UP])


@pytest.mark.parametrize("strengths", [[1.0], [1.0] * 40])
def test_random_directions_hold_their_number_s_share_whatever_the_spectrum(strengths: list[float]) -> None:
    for path, delta in planted(strengths).items():
        many = {path.replace("layers_0", f"layers_{i}"): delta for i in range(200)}  # draws depend on the path
        shares = [share(part, delta) for part in projected(many, 6, 0).values()]
        assert np.mean(shares) == pytest.approx(6 / min(MATRICES[path]), rel=0.12)  # four standard errors of a single direction's share


def test_the_best_directions_can_be_had_at_the_whole_norm() -> None:
    deltas = planted([4.0, 3.0, 2.0], noise=0.05)
    best, whole = truncated(deltas, 1), with_norms_of(truncated(deltas, 1), deltas)
    for path in deltas:
        assert norm(whole[path]) == pytest.approx(norm(deltas[path]), rel=1e-6)
        np.testing.assert_allclose(whole[path] * norm(best[path]), best[path] * norm(deltas[path]), rtol=1e-3, atol=1e-5)
    assert not with_norms_of({UP: np.zeros((64, 256))}, deltas)[UP].any()


def test_scanned_layers_are_cut_one_by_one_and_drawn_as_unrolled_ones() -> None:
    layers = [planted([4.0, 3.0], noise=0.05, seed=i)[OUT] * (1 + i) for i in range(2)]
    stacked = {STACKED: np.stack(layers)}
    unrolled = {f"params/layers_{i}/attention/out/kernel": layer for i, layer in enumerate(layers)}
    for cut in (lambda d: truncated(d, 2), lambda d: randomly_truncated(d, 2, 3), lambda d: with_norms_of(truncated(d, 1), d)):
        np.testing.assert_array_equal(cut(stacked)[STACKED], np.stack(list(cut(unrolled).values())))


def test_a_vector_has_no_rank() -> None:
    with pytest.raises(ValueError, match="not a matrix"):
        truncated({"params/final_norm/scale": np.ones(64)}, 1)
