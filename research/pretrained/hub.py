"""Names of the Hugging Face hub: a snapshot from its cache, or from the network."""

import glob
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from research.errors import UsageError
from research.pretrained import configs
from research.pretrained.safetensors_files import INDEX, described, weight_map
from research.pretrained.tokenizer_files import COPIED

FIRST = ("config.json", "adapter_config.json")


def snapshot(place: str, word: str) -> Path:
    """Returns the folder of NAME[@REVISION] in the hub's cache, downloaded first where there is a network; safetensors alone, no pickle.

    The config comes first, and nothing else where it is refused; then the tokenizer and the index, and of the weights what that names.
    Without a network the cache serves. UsageError, in one line, for a name or revision that the hub does not have, one that needs a
    login, a name that is not in the cache when there is no network, and what `configs` refuses.
    """
    name, _, revision = place.partition("@")
    try:
        folder = _part(name, revision or None, FIRST)
        configs.from_hf(described(folder, word))
        commit = folder.name  # so that no push between two calls mixes two models
        folder = _part(name, commit, (*COPIED, INDEX))
        shards = {shard for shard in weight_map(folder).values() if shard.endswith(".safetensors")}
        return _part(name, commit, sorted(shards) or ("model.safetensors",))
    except GatedRepoError:
        raise UsageError(
            f"{word}: the hub asks for a login and its owner's consent; `hf auth login`, or name a downloaded folder"
        ) from None
    except RepositoryNotFoundError:
        raise UsageError(f"{word}: no such folder, and no such model on the hub (or a private one: `hf auth login`)") from None
    except RevisionNotFoundError:
        raise UsageError(f"{word}: {name} has no revision {revision!r}") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{word}: no such folder, not in the hub's cache, and the hub cannot be reached ({cause})") from None
    except ValueError as error:  # a malformed name
        raise UsageError(f"{word}: no such folder, and no name of the hub ({error})") from None


def _part(name: str, revision: str | None, files: Iterable[str]) -> Path:
    """The folder of a snapshot, after these files at its top were downloaded, where the hub has them."""
    return Path(snapshot_download(name, revision=revision, allow_patterns=[glob.escape(file) for file in files], ignore_patterns=["*/*"]))
