"""What every test stands on: eight fake CPU devices, strict shapes, and caches that touch nobody's home."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.synthetic import synthetic

CACHES = pytest.StashKey[tempfile.TemporaryDirectory]()
# What a test computes runs once, and most of its time is compiling: the last two flags take a third of that away (jaxlib 0.10.2).
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",  # a program is one module, not one for each core
    "--xla_cpu_use_fusion_emitters=false",  # kernels by LLVM alone, without MLIR before it
)


def pytest_configure(config: pytest.Config) -> None:
    """Sets JAX up before any test module can start its backend; the commands that tests launch inherit the environment."""
    for name in [name for name in os.environ if name.startswith("JAX_") and name != "JAX_COMPILATION_CACHE_DIR"]:
        del os.environ[name]  # nothing here depends on the shell it was started from
    config.stash[CACHES] = tempfile.TemporaryDirectory(prefix="lowlands-tests-")
    os.environ["XDG_CACHE_HOME"] = config.stash[CACHES].name
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # on cores that others use, threads that wait for each other turn a QR of 0.1 s into 10 s
    os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *QUICK_TO_COMPILE))
    kept = _kept_between_runs(config)
    os.environ.setdefault("MPLCONFIGDIR", str(kept / "matplotlib"))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept / "jax"))
    os.environ["JAX_NUM_CPU_DEVICES"] = "8"
    import jax

    from research.runtime import devices

    devices.settle_shell(os.environ)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the session's caches."""
    if CACHES in config.stash:
        config.stash[CACHES].cleanup()


def _kept_between_runs(config: pytest.Config) -> Path:
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    return cache.mkdir("lowlands") if cache else Path(config.stash[CACHES].name)


@pytest.fixture(params=["bfloat16", "float16"])
def short_type(request: pytest.FixtureRequest) -> str:
    """Gives the types of 16 bits in turn; float16 only where the processor knows it."""
    from research.runtime import devices

    if request.param == "float16" and not devices.computes_float16():
        pytest.skip("this processor has no F16C, without which XLA cannot compute in float16")
    return request.param


@pytest.fixture(scope="session")
def root() -> Path:
    """Returns the root of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture
def make_results() -> Callable[..., pd.DataFrame]:
    """Returns the builder of synthetic records."""
    return synthetic


@pytest.fixture(scope="session")
def results() -> pd.DataFrame:
    """Returns the records of the default synthetic sweep."""
    return synthetic()
