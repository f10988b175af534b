"""The peers' side of a loss landscape: curvlinops, PyHessian, and the surface as a loop over points, on PyTorch in eager mode."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import workload
from curvlinops import HessianLinearOperator, hutchinson_trace, lanczos_approximate_spectrum
from pyhessian import hessian as PyHessian
from pyhessian.utils import hessian_vector_product
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

Answer = dict[str, Any]
Problem = tuple[nn.Module, nn.Module, Tensor, Tensor]  # model, loss, inputs, targets


class Twin(nn.Module):
    """The decoder of configs/base.py: rotary positions, RMS norms, a plain MLP, the head apart. Its weights are ours by path, (in, out).

    Attention and norms are written out: PyTorch's fused ones have no second derivatives.
    """

    def __init__(self, leaves: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.leaves = nn.ParameterDict({_name(path): nn.Parameter(torch.from_numpy(leaf)) for path, leaf in leaves.items()})
        self.layers = sum(path.endswith("mlp_norm/scale") for path in leaves)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the logits (batch x time, vocabulary) of tokens (batch, time)."""
        x = self._of("embedding/embedding")[tokens]
        for layer in range(self.layers):
            here = f"layers_{layer}"
            x = x + self._attention(self._normed(x, f"{here}/attention_norm"), f"{here}/attention")
            hidden = self._normed(x, f"{here}/mlp_norm") @ self._of(f"{here}/mlp/up/kernel")
            x = x + nn.functional.gelu(hidden, approximate="tanh") @ self._of(f"{here}/mlp/down/kernel")
        return (self._normed(x, "final_norm") @ self._of("head/kernel")).flatten(0, 1)

    def _of(self, path: str) -> Tensor:
        return self.leaves[_name(path)]

    def _normed(self, x: Tensor, path: str) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + workload.NORM_EPS) * self._of(f"{path}/scale")

    def _attention(self, x: Tensor, path: str) -> Tensor:
        q, k, v = (torch.einsum("btd,dhk->bhtk", x, self._of(f"{path}/{name}/kernel")) for name in ("query", "key", "value"))
        length, size = q.shape[-2:]
        scores = _turned(q) @ _turned(k).transpose(-1, -2) * size**-0.5
        scores = scores + torch.full((length, length), -1e9).triu(1)
        return torch.einsum("bhtk,hkd->btd", scores.softmax(-1) @ v, self._of(f"{path}/out/kernel"))


def _name(path: str) -> str:
    return path.replace("/", "_")


def _turned(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2])[:, None] * workload.ROPE_THETA ** (-torch.arange(half) / half)
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * angles.cos() - right * angles.sin(), right * angles.cos() + left * angles.sin()], -1)


def _operator(problem: Problem) -> HessianLinearOperator:
    model, loss, inputs, targets = problem
    return HessianLinearOperator(model, loss, list(model.parameters()), [(inputs, targets)], check_deterministic=False)


def _pyhessian(problem: Problem) -> PyHessian:
    model, loss, inputs, targets = problem
    return PyHessian(model, loss, data=(inputs, targets), cuda=False)


def _gradient(problem: Problem, job: Answer) -> Answer:
    model, loss, inputs, targets = problem
    parameters = list(model.parameters())

    def call() -> Any:
        return torch.autograd.grad(loss(model(inputs), targets), parameters)

    call()
    return workload.timed(call, job["times"])[0]


def _product(problem: Problem, job: Answer) -> Answer:
    """A Hessian-vector product of curvlinops, which runs the model anew; or of PyHessian, which keeps the graph of one gradient."""
    vectors = [torch.randn_like(p) for p in problem[0].parameters()]
    if job["library"] == "curvlinops":
        operator = _operator(problem)
        call = functools.partial(operator.__matmul__, vectors)
    else:
        kept = _pyhessian(problem)
        call = functools.partial(hessian_vector_product, kept.gradsH, kept.params, vectors)
    call()
    return workload.timed(call, job["times"])[0]


def _eigenvalues(problem: Problem, job: Answer) -> Answer:
    """The `k` eigenvalues largest in magnitude: ARPACK on curvlinops' operator, or PyHessian's power iterations."""
    if job["library"] == "pyhessian":
        asked = {"maxIter": job["most"], "tol": job["power_tolerance"], "top_n": job["k"]}
        times, (values, _) = workload.timed(lambda: _pyhessian(problem).eigenvalues(**asked))
        return {**times, "values": values}
    exported, products = _operator(problem).to_scipy(dtype=np.float32), 0

    def matvec(vector: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return exported @ vector

    counted = LinearOperator(exported.shape, matvec=matvec, dtype=np.float32)
    asked = {"k": job["k"], "which": "LM", "tol": job["tolerance"], "return_eigenvectors": False}
    times, values = workload.timed(lambda: eigsh(counted, **asked))
    return {**times, "values": sorted(values.tolist(), key=abs, reverse=True), "products": products}


def _trace(problem: Problem, job: Answer) -> Answer:
    """Hutchinson's estimate; curvlinops takes its probes one by one, as all at once need their number times the memory."""
    probes = job["probes"]
    if job["library"] == "pyhessian":
        times, forms = workload.timed(lambda: _pyhessian(problem).trace(maxIter=probes, tol=0.0))
    else:
        operator = _operator(problem)
        times, forms = workload.timed(lambda: [float(hutchinson_trace(operator, num_matvecs=1)) for _ in range(probes)])
    return {**times, "value": float(np.mean(forms)), "error": float(np.std(forms, ddof=1) / probes**0.5)}


def _density(problem: Problem, job: Answer) -> Answer:
    """curvlinops' density; the ends of the spectrum are given, so that it spends no products on them."""
    asked = {"ncv": job["steps"], "num_repeats": job["probes"], "boundaries": tuple(job["ends"])}
    times, found = workload.timed(functools.partial(lanczos_approximate_spectrum, _operator(problem), **asked))
    grid, density = (side.double() for side in found)
    return {**times, "mean": float(torch.trapezoid(grid * density, grid) / torch.trapezoid(density, grid))}


def _surface(problem: Problem, job: Answer) -> Answer:
    """The loss point by point, weights overwritten in place, as tomgoldstein/loss-landscape does it; `rows` of the grid."""
    model, loss, inputs, targets = problem
    arrays = np.load(job["inputs"])
    paths = workload.paths(arrays)
    weights = [model.leaves[_name(path)] for path in paths]
    start = [p.detach().clone() for p in weights]
    first, second = ([torch.from_numpy(arrays[f"{which}/{path}"]) for path in paths] for which in ("first", "second"))

    @torch.no_grad()
    def at(x: float, y: float) -> float:
        for p, origin, along, across in zip(weights, start, first, second, strict=True):
            p.copy_(origin + x * along + y * across)
        return float(loss(model(inputs), targets))

    at(0.0, 0.0)
    times, values = workload.timed(lambda: [[at(x, y) for x in job["xs"]] for y in job["ys"][: job["rows"]]])
    return {**times, "values": values}


KINDS = {"gradient": _gradient, "product": _product, "eigenvalues": _eigenvalues, "trace": _trace, "density": _density, "surface": _surface}


def run(job: Answer, begin: Callable[[], None]) -> Answer:
    """Returns the answer to one job: seconds of each call, and what was found."""
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", "Using backward")  # PyHessian keeps the graph of a gradient, as it is meant to
    arrays = np.load(job["inputs"])
    model = Twin({path: arrays[f"params/{path}"] for path in workload.paths(arrays)})
    tokens = torch.from_numpy(arrays["windows"]).long()
    problem = model, nn.CrossEntropyLoss(), tokens[:, :-1], tokens[:, 1:].flatten()
    with torch.no_grad():
        loss = float(problem[1](model(problem[2]), problem[3]))
    begin()
    return {**KINDS[job["kind"]](problem, job), "loss": loss, "parameters": sum(p.numel() for p in model.parameters())}
