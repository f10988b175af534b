"""Laws of LoRA's best learning rate: fitted in logarithms on some settings of the adapter, judged on those that were left out."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

ALPHA = 32.0  # at which Thinking Machines' formula is stated


class Settings(NamedTuple):
    """Settings of an adapter, one entry of each array (n,) a setting.

    rule: the word of the rule by which alpha follows the rank. rank. scale: the factor before A B, alpha / rank. curvature: the largest
    eigenvalue of the loss's Hessian at the start, in the coordinates of A and B. width: the model's, a number.
    """

    rule: np.ndarray
    rank: np.ndarray
    scale: np.ndarray
    curvature: np.ndarray
    width: int

    def at(self, chosen: np.ndarray) -> "Settings":
        """Returns the settings of an index or a mask."""
        return Settings(self.rule[chosen], self.rank[chosen], self.scale[chosen], self.curvature[chosen], self.width)


Law: TypeAlias = Callable[[Settings], tuple[np.ndarray, np.ndarray]]


def _constant(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """One rate for all settings: what is left where nothing is known."""
    return np.zeros(len(some.rank)), np.ones((len(some.rank), 1))


def _rank_by_rule(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A power of the rank, of its own for each rule: the rate falls with the rank under one rule and not under another."""
    own = some.rule[:, None] == np.unique(some.rule)[None]
    return np.zeros(len(some.rank)), np.concatenate([own, own * np.log(some.rank)[:, None]], axis=1)


def _rank_and_scale(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A power of the rank times a power of the scale: rules are lines in one plane."""
    return np.zeros(len(some.rank)), np.stack([np.ones(len(some.rank)), np.log(some.rank), np.log(some.scale)], axis=1)


def _alpha(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A power of alpha, which is rank times scale: what the rank alone does is then what alpha does with it."""
    return np.zeros(len(some.rank)), np.stack([np.ones(len(some.rank)), np.log(some.rank * some.scale)], axis=1)


def _root(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """The inverse root of alpha: the power that the first target had, with nothing left to fit but a constant."""
    return -0.5 * np.log(some.rank * some.scale), np.ones((len(some.rank), 1))


def _first_step(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A first step of one norm: B, zero before, becomes rate times signs, and scale sign(.) A has a norm like scale sqrt(rank)."""
    return -np.log(some.scale) - 0.5 * np.log(some.rank), np.ones((len(some.rank), 1))


def _curvature(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of the largest eigenvalue, as of gradient descent on a quadratic; arXiv 2602.04998 has it between initializations."""
    return -np.log(some.curvature), np.ones((len(some.rank), 1))


def _power_of_curvature(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A power of the largest eigenvalue, which is fitted."""
    return np.zeros(len(some.rank)), np.stack([np.ones(len(some.rank)), np.log(some.curvature)], axis=1)


def _width(some: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Thinking Machines' formula, 5e-4 (2000 / width)^0.781 whatever the rank, stated at an alpha of 32; nothing is fitted."""
    stated = np.isclose(some.scale * some.rank, ALPHA)
    return np.where(stated, np.log(5e-4) + 0.781 * np.log(2000 / some.width), np.nan), np.zeros((len(some.rank), 0))


LAWS: dict[str, Law] = {
    "constant": _constant,
    "rank, by rule": _rank_by_rule,
    "rank and scale": _rank_and_scale,
    "power of alpha": _alpha,
    "1 / sqrt(alpha)": _root,
    "first step": _first_step,
    "1 / lambda_max": _curvature,
    "power of lambda_max": _power_of_curvature,
    "width": _width,
}


def predicted(law: Law, settings: Settings, log_rates: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns the law's logarithm of the best rate at all settings, (n, ...), fitted by least squares to those that are `known`.

    log_rates: natural logarithms (n, ...), each place of the further axes by itself; known: a mask (n,). Null where the law does not say
    anything of a setting from the known ones: another rule's own power, or a formula that is stated for others.
    """
    offset, columns = law(settings)
    values = np.asarray(log_rates, float).reshape(len(offset), -1)
    inverse = np.linalg.pinv(columns[known])  # of no columns where nothing is fitted
    fitted = offset[:, None] + columns @ (inverse @ (values[known] - offset[known, None]))
    told = np.isclose(columns @ (inverse @ columns[known]), columns, atol=1e-6).all(axis=1)
    return np.where(told[:, None], fitted, np.nan).reshape(np.shape(log_rates))


def left_out(law: Law, settings: Settings, log_rates: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns predicted less measured logarithms (n, ...) of each setting, by the law fitted to all settings of other groups.

    groups: (n,), what is left out together; one setting under two rules, of one rank and scale, is never on both sides. Null as in
    `predicted`.
    """
    found = np.full(np.shape(log_rates), np.nan)
    for group in np.unique(groups):
        mine = groups == group
        same = (settings.rank[:, None] == settings.rank[mine]) & np.isclose(settings.scale[:, None], settings.scale[mine])
        known = ~(mine | same.any(axis=1))
        if known.any():
            found[mine] = (predicted(law, settings, log_rates, known) - log_rates)[mine]
    return found


def error(residuals: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns the root mean square over settings (the first axis) of a law's errors, natural logarithms; null where it said nothing.

    A setting that stands under two rules, of one rank and scale, counts once.
    """
    same = (settings.rank[:, None] == settings.rank) & np.isclose(settings.scale[:, None], settings.scale)
    squares = np.asarray(residuals, float) ** 2
    told = np.isfinite(squares)
    weights = np.where(told, (1.0 / same.sum(axis=1)).reshape(-1, *[1] * (squares.ndim - 1)), 0.0)
    total = weights.sum(axis=0)
    return np.where(total > 0, np.sqrt((weights * np.where(told, squares, 0.0)).sum(axis=0) / np.where(total > 0, total, 1.0)), np.nan)


def spread_of(columns: np.ndarray) -> np.ndarray:
    """Returns the standard errors of what least squares fits to columns (n, k), (k,), in units of the deviation of one value."""
    return np.sqrt(np.diag(np.linalg.inv(columns.T @ columns)))


def exponent(logs: np.ndarray, log_rates: np.ndarray) -> np.ndarray:
    """Returns the slope of the best rate in something, a rank or a curvature, both in logarithms: (...) from (n,) and (n, ...)."""
    centered = np.asarray(logs) - np.mean(logs)
    slope: np.ndarray = np.tensordot(centered, log_rates, 1) / (centered**2).sum()
    return slope


def plane(settings: Settings, log_rates: np.ndarray) -> Mapping[str, np.ndarray]:
    """Returns the powers of the rank and of the scale, fitted to all settings at once: each (...) from rates (n, ...)."""
    _, columns = _rank_and_scale(settings)
    solved = np.linalg.pinv(columns) @ np.asarray(log_rates, float).reshape(len(columns), -1)
    shape = np.shape(log_rates)[1:]
    return {"rank": solved[1].reshape(shape), "scale": solved[2].reshape(shape)}
