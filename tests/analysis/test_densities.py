"""Spectra as nodes and weights: what counts as negative, and probes of different lengths."""

import numpy as np
import pytest

from research.analysis.densities import Density, density_of


def test_what_lies_next_to_zero_is_no_negative_curvature() -> None:
    found = Density(np.array([[-1e-3, 1.0], [-1e-8, 1.0]]), np.full((2, 2), 0.5), 2)
    assert found.negative_share().value == 0
    assert found.negative_share(1e-6).value == 0.25  # by the sign alone a single node decides
    assert Density(-found.nodes, found.weights, 2).negative_share().value == 0.5


def test_a_shorter_probe_is_filled_up_without_weight() -> None:
    short = density_of([(np.array([1.0]), np.array([1.0])), (np.array([0.0, 4.0]), np.array([0.5, 0.5]))], 7)
    assert short.moment(1).value == pytest.approx((1 + 2) / 2) and short.nodes.shape == short.weights.shape == (2, 2)
