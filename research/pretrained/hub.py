"""Names of the Hugging Face hub: a snapshot from its cache, or from the network."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from research.errors import UsageError

WANTED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
)


def snapshot(place: str, word: str) -> Path:
    """Returns the folder of NAME[@REVISION] in the hub's cache, downloaded first where there is a network; safetensors alone, no pickle.

    Without a network the cache serves. UsageError, in one line, for a name or revision that the hub does not have, one that needs a
    login, and a name that is not in the cache when there is no network.
    """
    name, _, revision = place.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(WANTED), ignore_patterns=["*/*"]))
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
