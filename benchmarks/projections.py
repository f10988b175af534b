"""A random projection of GPT-2's size: v -> P v and its transpose, in seconds and in memory.

PYTHONPATH=. python benchmarks/projections.py [--kind fastfood] [--size 124000000] [--width 10000] [--repeats 3]
"""

import argparse
import os
import resource
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp

from research.adapters.projections import KINDS, draw, project
from research.training.mesh import MeshSpec, P, jit_step, make_mesh


def main() -> None:
    """Prints the seconds of each direction, the better of the repeats, and the process's peak memory beside the weights' size."""
    parser = argparse.ArgumentParser(description=str(__doc__))
    parser.add_argument("--kind", choices=KINDS, default="fastfood")
    for name, value in (("size", 124_000_000), ("width", 10_000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    flags = parser.parse_args()
    mesh = make_mesh(MeshSpec())
    constants = draw(flags.kind, jax.random.key(0), flags.size, flags.width)

    def forward(v: jax.Array) -> jax.Array:
        return project(flags.kind, constants, v, flags.size)

    def transpose(u: jax.Array) -> jax.Array:
        return jax.vjp(forward, jnp.zeros(flags.width))[1](u)[0]

    seconds = {}
    for name, function, given in (("v -> P v", forward, flags.width), ("its transpose", transpose, flags.size)):
        program = jit_step(function, P(), P(), mesh, donate=()).lower(jax.ShapeDtypeStruct((given,), jnp.float32)).compile()
        x, taken = jnp.ones(given), []
        for _ in range(flags.repeats):
            start = time.perf_counter()
            jax.block_until_ready(program(x))
            taken.append(time.perf_counter() - start)
        seconds[name] = min(taken)
        del x
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    print(f"{flags.kind}, {flags.size:,} x {flags.width:,}: {times}, together {sum(seconds.values()):.1f} s")
    print(f"peak memory {peak / 1e9:.2f} GB, {peak / (4 * flags.size):.2f} times the weights', on {os.cpu_count()} cores", file=sys.stdout)


if __name__ == "__main__":
    main()
