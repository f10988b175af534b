"""Facts as subject, relation, object (LRE; Hernandez et al. 2023, arXiv 2308.09124): `tfds:lre_relations`, and what prepares it.

The set is not in TFDS's catalog; from the authors' files it is prepared, without TensorFlow, by

    git clone https://github.com/evandez/relations && python -m research.data.relations relations/data
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from research.data.tensorflow_datasets_source import data_folder, find_prepared, reading
from research.errors import UsageError

NAME, VERSION = "lre_relations", "1.0.0"
FIELDS = ("subject", "relation", "object")
COMMAND = "git clone https://github.com/evandez/relations && python -m research.data.relations relations/data"


class Subject(NamedTuple):
    """A subject and the relations in which it stands, in alphabetic order."""

    name: str
    relations: tuple[str, ...]


class Relations(NamedTuple):
    """Subjects in alphabetic order; fingerprint: SHA-256 of all."""

    name: str
    fingerprint: str
    subjects: tuple[Subject, ...]


def load_relations(source: str) -> Relations:
    """Returns the subjects of a prepared set; UsageError, with the command that prepares it, where it is not there or is none."""
    kind, _, word = source.partition(":")
    if kind != "tfds" or not word:
        raise UsageError(f"relations = {source!r}: write tfds:{NAME}")
    try:
        prepared = find_prepared(word, data_folder())
    except UsageError as error:
        raise UsageError(f"{str(error).partition(', or prepare')[0]}, or make it, which TFDS's catalog does not have: {COMMAND}") from error
    import tensorflow_datasets as tfds  # a second to import, and needed for this source alone

    with reading(word, prepared.folder):
        builder = tfds.builder_from_directory(str(prepared.folder))
        if missing := sorted({*FIELDS} - {*builder.info.features}):
            raise UsageError(f"{source} has no {', '.join(missing)}: it is no set of relations; prepare tfds:{NAME}: {COMMAND}")
        rows = [row for split in sorted(builder.info.splits) for row in builder.as_data_source(split)]
    of: dict[str, set[str]] = {}
    for row in rows:
        of.setdefault(row["subject"].decode(), set()).add(row["relation"].decode())
    subjects = tuple(Subject(name, tuple(sorted(of[name]))) for name in sorted(of))
    return Relations(f"tfds:{builder.info.full_name}", hashlib.sha256(repr(subjects).encode()).hexdigest(), subjects)


def prepare(folder: Path) -> Path:
    """Returns where the set made of the authors' files in a folder now lies; UsageError for a folder that has none of them."""
    import tensorflow_datasets as tfds

    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/*.json"))]
    rows = [_row(each, sample) for each in found for sample in each.get("samples", [])]
    if not rows:
        raise UsageError(
            f"{folder} has no CATEGORY/RELATION.json with samples; clone https://github.com/evandez/relations and give its data"
        )
    text = tfds.features.Text()

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """The set as TFDS writes it."""

        name, VERSION = NAME, tfds.core.Version(VERSION)

        def _info(self) -> Any:
            kinds = {"category": text, "prompt_templates": tfds.features.Sequence(text), **dict.fromkeys(FIELDS, text)}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(kinds))

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            yield from enumerate(rows)

    builder = Builder(data_dir=data_folder(), file_format="array_record")
    builder.download_and_prepare()
    return Path(builder.data_path)


def _row(relation: dict[str, Any], sample: dict[str, str]) -> dict[str, Any]:
    own = {"relation": relation["name"], "subject": sample["subject"], "object": sample["object"]}
    return {"category": relation["properties"]["relation_type"], "prompt_templates": relation["prompt_templates"], **own}


if __name__ == "__main__":
    sys.stdout.write(f"{prepare(Path(sys.argv[1]))}\n")
