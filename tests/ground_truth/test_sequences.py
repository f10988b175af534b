"""What three tasks in a row do to each other: matrices by hand, and linear regressions whose losses after each task are known."""

import numpy as np
import pytest

from experiments.forgetting.readings_of_sequences import average_forgetting, backward_transfer, end_loss, learned_loss
from tests.ground_truth.test_forgetting import SIZE, Task, task, trained

R = np.array([[1.0, 3.0, 4.0], [1.6, 0.9, 3.5], [1.3, 1.8, 2.0]])  # after task i, on text j


def test_a_matrix_by_hand_is_read_as_worked_out() -> None:
    assert backward_transfer(R) == pytest.approx(((1.0 - 1.3) + (0.9 - 1.8)) / 2, abs=1e-12)
    assert average_forgetting(R) == pytest.approx(((1.3 - 1.0) + (1.8 - 0.9)) / 2, abs=1e-12)
    assert learned_loss(R) == pytest.approx((1.0 + 0.9 + 2.0) / 3, abs=1e-12)
    assert end_loss(R) == pytest.approx((1.3 + 1.8 + 2.0) / 3, abs=1e-12)
    assert end_loss(R) == pytest.approx(learned_loss(R) - 2 / 3 * backward_transfer(R), abs=1e-12)
    later = R.copy()
    later[1, 0] = 0.7  # the second task helped the first: what is forgotten is counted from there, backward transfer from its own end
    assert average_forgetting(later) == pytest.approx(((1.3 - 0.7) + (1.8 - 0.9)) / 2, abs=1e-12)
    assert backward_transfer(later) == pytest.approx(backward_transfer(R), abs=1e-12)
    helped = R.copy()
    helped[2, 0] = 0.5  # by the last task: less than nothing is forgotten of it
    assert average_forgetting(helped) == pytest.approx(((0.5 - 1.0) + (1.8 - 0.9)) / 2, abs=1e-12)


def directions(kind: str) -> list[np.ndarray]:
    """Returns of three tasks the orthonormal directions (SIZE, k) in which each has curvature."""
    turn = np.linalg.qr(np.random.default_rng(7).standard_normal((SIZE, SIZE)))[0]
    if kind == "orthogonal":
        return [turn[:, place : place + 1] for place in range(3)]
    if kind == "oblique":
        return [turn[:, :2], np.linalg.qr(turn[:, :1] + turn[:, 2:3])[0], np.linalg.qr(turn[:, 1:2] + 2 * turn[:, 2:3])[0]]
    return [turn[:, :2]] * 3


def planted(kind: str) -> list[Task]:
    rng = np.random.default_rng(8)
    own = [task(rng, np.array([2.0, 0.8])[: each.shape[1]], each) for each in directions(kind)]
    return [each._replace(truth=own[0].truth) for each in own] if kind == "identical" else own


def in_a_row(tasks: list[Task]) -> np.ndarray:
    """Returns the losses after each task, trained by the project's own step from where the one before ended."""
    w, rows = np.zeros(SIZE), []
    for each in tasks:
        w = trained(each.batch(), w)
        rows.append([other.loss(w) for other in tasks])
    return np.array(rows)


def closed(tasks: list[Task], kind: str) -> np.ndarray:
    """Returns the same in closed form: each task projects onto its own solutions, w + P (truth - w), and a loss is a square's half."""
    w, rows = np.zeros(SIZE), []
    for each, own in zip(tasks, directions(kind), strict=True):
        w = w + own @ own.T @ (each.truth - w)
        rows.append([0.5 * (w - other.truth) @ other.hessian @ (w - other.truth) for other in tasks])
    return np.array(rows)


@pytest.mark.parametrize("kind", ["orthogonal", "identical", "conflicting", "oblique"])
def test_three_regressions_in_a_row_forget_their_closed_form(kind: str) -> None:
    tasks = planted(kind)
    found, wanted = in_a_row(tasks), closed(tasks, kind)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert backward_transfer(found) == pytest.approx(backward_transfer(wanted), abs=1e-5)
    assert average_forgetting(found) == pytest.approx(average_forgetting(wanted), abs=1e-5)
    if kind in ("orthogonal", "identical"):
        assert backward_transfer(found) == pytest.approx(0, abs=1e-5) and average_forgetting(found) == pytest.approx(0, abs=1e-5)
    elif kind == "conflicting":
        first, second, last = tasks
        lost = [0.5 * (last.truth - one.truth) @ one.hessian @ (last.truth - one.truth) for one in (first, second)]
        assert backward_transfer(found) == pytest.approx(-np.mean(lost), abs=1e-5) and np.mean(lost) > 0.1
        assert average_forgetting(found) == pytest.approx(np.mean(lost), abs=1e-5)
    else:
        assert backward_transfer(found) < -0.01
