"""How much two subspaces have in common, and how much two random ones would."""

import numpy as np


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Returns ||U^T V||_F^2 / min(i, j) in [0, 1] of orthonormal U (n, i) and V (n, j) (Hu et al. 2021, section 7.2).

    Its null is not 0: see `random_overlap`. Raises ValueError for bases that are not orthonormal.
    """
    for basis in (first, second):
        if not np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-4):
            raise ValueError("an overlap needs orthonormal columns")
    return float(np.linalg.norm(first.T @ second) ** 2 / min(first.shape[1], second.shape[1]))


def random_overlap(n: int, i: int, j: int) -> float:
    """Returns the expected overlap of a random i-dimensional subspace of R^n with any j-dimensional one: max(i, j) / n."""
    return max(i, j) / n


def permuted_overlap(first: np.ndarray, second: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Returns the overlap of U (n, i) and V (n, j) with V's coordinates permuted, a permutation a draw; (draws,).

    Which coordinates belong together is lost; how much a basis rests on few coordinates, and on their common mean, is kept, so that its
    mean may lie above `random_overlap`'s.
    """
    generator = np.random.default_rng(seed)
    return np.array([overlap(first, generator.permutation(second)) for _ in range(draws)])


def random_basis(n: int, k: int, generator: np.random.Generator) -> np.ndarray:
    """Returns k orthonormal columns in R^n, Haar-distributed: no direction or sign is likelier than another (Mezzadri 2007)."""
    basis, triangle = np.linalg.qr(generator.standard_normal((n, k)))
    return basis * np.sign(np.diag(triangle))


def leading(update: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns orthonormal bases of the `rank` leading left and right singular subspaces of an update (inputs, outputs)."""
    left, _, right = np.linalg.svd(update, full_matrices=False)
    return left[:, :rank], right[:rank].T
