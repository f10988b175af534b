"""Teachers with an update of known rank, decoys among them, and the students of every rank that learn from them."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.planted_rank.kronecker import Factors, factors
from experiments.planted_rank.spectra import spectrum
from experiments.planted_rank.updates import Planted, chosen, draw, plant
from research.adapters.lora import targeted
from research.adapters.sites import Site, find_sites
from research.cells import initializations
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import LoRARuns, check_rates
from research.cells.study import Study, model_of
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.losses import kl_divergence
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Variables
from research.sweeps import grid
from research.training.population import Task
from research.training.processes import by_leader

DECOYS = ("zero", "full_rank", "out_of_reach")
MARGIN = 2


class Case(NamedTuple):
    """What is planted: no decoy ("none") or which, the spectrum, the rank, the strength (nats a token that the first component costs)."""

    decoy: str
    spectrum: str
    planted_rank: int
    strength: float

    @property
    def arm(self) -> str:
        """Returns the case in words, by which learning rates are chosen."""
        return f"{self.decoy} {self.spectrum} {self.planted_rank} at {self.strength:g}"


@dataclasses.dataclass(frozen=True)
class PlantedSweep(LoRARuns):
    """The axes of a sweep over planted updates: case x (rank of the student | matched) x learning rate x seed.

    study: the students' model and text. A seed redraws the plant, the student and the order of data; the base that both start from is one.
    All is planted at the weakest of `strengths`, flat plants of `strength_ranks` at every one. A matched student trains the adapted
    matrices themselves: what r90's shares are of.
    """

    study: Study
    planted_ranks: tuple[int, ...]
    spectra: tuple[str, ...]
    decoys: tuple[str, ...]
    out_of_reach: tuple[str, ...]
    strengths: tuple[float, ...]
    strength_ranks: tuple[int, ...]
    init: str
    lora_rates: tuple[float, ...]
    matched_rates: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "PlantedSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        rates = {f"{trains}_rates": values for trains, values in config["learning_rates"].items()}
        names = [field.name for field in dataclasses.fields(cls) if field.name not in (*rates, "study")]
        return cls(study=Study.of(config), **rates, **{name: config[name] for name in names})

    def __post_init__(self) -> None:
        super().__post_init__()
        grid(planted_ranks=self.planted_ranks, spectra=self.spectra, strengths=self.strengths)
        for kind in self.spectra:
            spectrum(kind, 1)
        initializations.parse(self.init)
        for decoy in self.decoys:
            if decoy not in DECOYS:
                raise UsageError(f"decoys has {decoy!r}: choose among {', '.join(DECOYS)}")
        for name in ("planted_ranks", "strength_ranks"):
            if min(getattr(self, name), default=1) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: at least 1 each; rank 0 is the decoy 'zero'")
        check_rates("lora", self.lora_rates)
        check_rates("matched", self.matched_rates)
        if self.adapter["dropout"]:
            raise UsageError(f"adapter.dropout = {self.adapter['dropout']}: a planted rank is read off exact outputs; leave it 0")
        if min(self.strengths) <= 0:
            raise UsageError(f"strengths = {self.strengths}: must be above 0: nats a token that a component costs")

    def sites(self, decoy: str = "none") -> list[Site]:
        """Returns where a case's update is planted: the adapted matrices, or for 'out_of_reach' matrices that are not adapted."""
        found = _sites(self.study.model)
        adapted = chosen(found, self.adapter["targets"], "adapter.targets pattern")
        if decoy != "out_of_reach":
            return adapted
        others = chosen(found, self.out_of_reach, "out_of_reach pattern")
        if shared := [site.kernel for site in others if site in adapted]:
            raise UsageError(f"out_of_reach matches {shared[0]}, which adapter.targets adapts; this decoy must lie elsewhere")
        return others

    def sizes(self) -> tuple[int, int]:
        """Returns (the rank that no plant in the adapted matrices can exceed, the largest rank of a student)."""
        side, largest = min(site.max_rank for site in self.sites()), max(*self.planted_ranks, *self.strength_ranks)
        if largest > side:
            raise UsageError(f"planted_ranks or strength_ranks has {largest}, above min(inputs, outputs) = {side} of the matrices")
        return side, min(largest + MARGIN, side)

    def cases(self) -> list[Case]:
        """Returns what is planted; a full-rank decoy needs students that stay below the matrices' rank."""
        (side, top), first = self.sizes(), min(self.strengths)
        kinds = {rank: self.spectra[: 1 if rank == 1 else None] for rank in self.planted_ranks}  # one value has one spectrum
        found = [Case("none", kind, rank, first) for kind in self.spectra for rank in self.planted_ranks if kind in kinds[rank]]
        found += [Case("none", "flat", rank, strength) for rank in self.strength_ranks for strength in self.strengths]
        decoys = {"zero": Case("zero", "flat", 0, first), "out_of_reach": Case("out_of_reach", "flat", max(self.planted_ranks), first)}
        decoys |= {"full_rank": Case("full_rank", "flat", side, first)} if top < side else {}
        return list(dict.fromkeys([*found, *(decoys[name] for name in self.decoys if name in decoys)]))

    def students(self, case: Case) -> range:
        """Returns the ranks of a teacher's students: up to MARGIN above what is planted, for decoys all."""
        side, top = self.sizes()
        return range(1, 1 + (min(case.planted_rank + MARGIN, side) if case.decoy == "none" else top))

    def coordinates(self, phase: str, seeds: Iterable[int]) -> list[dict[str, Any]]:
        """Returns the coordinates of a phase's students, without their learning rate."""
        cases, start = self.cases(), {"phase": phase, "init": self.init}
        kinds: list[tuple[Case, str, int | None]] = [(case, "lora", rank) for case in cases for rank in self.students(case)]
        kinds += [(case, "matched", None) for case in cases]
        rows = itertools.product(kinds, tuple(seeds))
        return [{**start, **described(case), "trains": trains, "rank": rank, "seed": seed} for (case, trains, rank), seed in rows]

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the students that learning rates are chosen by."""
        cells = self.coordinates("select", self.all_seeds()[self.seeds :])
        rates = {"lora": self.lora_rates, "matched": self.matched_rates}
        return [{**c, "learning_rate": rate} for c in cells for rate in rates[c["trains"]]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the students that are read, without their learning rate."""
        return self.coordinates("result", range(self.seeds))

    def tasks(self) -> dict[str, Task]:
        """Returns what students do, by what they train: adapt themselves to what their teacher predicts."""
        if self.study.model.dropout:
            raise UsageError(f"model.dropout = {self.study.model.dropout}: a planted rank is read off exact outputs; leave it 0")
        model, spec = model_of(self.study), self.lora(self.adapter["targets"], self.sizes()[1])
        lora = Task(model, spec, ("^adapter/",), self.study.optimizer, self.study.to_batch, loss=kl_divergence, further=("reference",))
        matrices = tuple(f"^{re.escape(path)}$" for path in targeted(_sites(self.study.model), spec, model.tied))
        return {"lora": lora, "matched": dataclasses.replace(lora, adapter=None, moves=matrices)}

    def places(self) -> dict[tuple[Case, int], int]:
        """Returns the place of each (case, seed)'s teacher among the stacked bases.

        The students' base is 0, and behind each teacher stands the same one without its last component.
        """
        keys = [(case, seed) for case in self.cases() for seed in self.all_seeds()]
        return {key: 1 + 2 * position for position, key in enumerate(keys)}

    def metric(self, params: Variables, rows: np.ndarray) -> dict[str, Factors]:
        """Returns the factors at every matrix that is planted in, of the base on these rows of text."""
        decoys = {"none", *self.decoys}
        sites = [site for decoy in ("none", "out_of_reach") if decoy in decoys for site in self.sites(decoy)]
        return by_leader(lambda: factors(model_of(self.study), params, batch(rows, BYTES), sites, jax.random.key(0)))

    def plants(self, metric: Mapping[str, Factors], case: Case, seed: int) -> dict[str, Planted]:
        """Returns the updates of one teacher; alone, its first component costs its strength in nats a token in each matrix."""
        values = np.sqrt(2 * case.strength) * spectrum(case.spectrum, case.planted_rank)
        return draw(self.sites(case.decoy), metric, values, seed)

    def stack(self, params: Variables, metric: Mapping[str, Factors]) -> Any:
        """Returns the base, the teachers and the teachers without their last component, stacked in the order of `places`."""
        bases = [params]
        for case, seed in self.places():
            updates = self.plants(metric, case, seed)
            bases += [plant(params, updates), plant(params, updates, max(case.planted_rank - 1, 0))]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *bases)


@functools.cache  # every teacher asks, and each answer traces the model
def _sites(config: DecoderConfig) -> dict[str, Site]:
    model = decoder(config)
    return find_sites(model, parameter_shapes(model), example_batch())


def described(case: Case) -> dict[str, Any]:
    """Returns the coordinates of a case."""
    return {"arm": case.arm, **case._asdict()}


def case_of(coordinates: Mapping[str, Any]) -> Case:
    """Returns the case of a student."""
    return Case(**{name: coordinates[name] for name in Case._fields})
