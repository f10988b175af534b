"""The command line: one command ends in a report, every mistake in one line and exit code 2."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import launch
from tests.fake.launched import FAKE, files, process, settled, start, whole


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with settled(tmp_path, monkeypatch) as folder:
        yield folder


def test_a_run_ends_in_records_figures_summary_report_and_scalars(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(FAKE) == 0
    (run,) = (place / "runs").iterdir()
    assert run.name.startswith("fake-")
    assert {"records.jsonl", "config.json", "summary.json", "report.html", "figures/loss.png", "figures/loss.pdf"} <= files(run)
    assert (run / "report.md").read_text().startswith("## Does the harness work?\n\nThe mean is ")
    assert any("tfevents" in name for name in files(run))
    summary = json.loads((run / "summary.json").read_text())
    out = capsys.readouterr().out
    assert summary["answer"] in out
    assert f"runs/{run.name}/report.html" in out
    assert summary["question"] == "Does the harness work?"
    assert summary["findings"][0]["n"] == 3 * 2 * 3
    origin = summary["provenance"]
    assert origin["config"]["ranks"] == [1, 2, 4]
    assert origin["fingerprints"].keys() == {"config", "data"}
    assert {"python", "jax", "flax", "optax", "orbax-checkpoint", "numpy"} <= origin["versions"].keys()
    assert origin["devices"]
    assert {"run", "report"} <= origin["seconds"].keys()


def test_the_same_command_again_changes_no_record_and_a_report_alone_needs_no_run(place: Path) -> None:
    before = whole(place)
    (place / "whole" / "report.html").unlink()
    assert start(FAKE, "--workdir=whole", "--report_only") == 0
    assert (place / "whole" / "report.html").exists()
    assert start(FAKE, "--workdir=whole") == 0
    assert (place / "whole" / "records.jsonl").read_bytes() == before
    assert len((place / "whole" / "sessions.jsonl").read_text().splitlines()) == 1


def test_more_ranks_extend_a_workdir_and_fewer_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = whole(place)
    assert start(FAKE, "--workdir=whole", "--config.ranks=1,2,4,8", "--config.seeds=3") == 0
    after = (place / "whole" / "records.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(after.splitlines()) == 4 * 3 * 3
    assert start(FAKE, "--workdir=whole") == 2
    assert "ranks: [1, 2, 4, 8] -> [1, 2, 4]" in capsys.readouterr().err
    assert (place / "whole" / "records.jsonl").read_bytes() == after


BAD = [
    ((FAKE, "--wrkdir=x"), "Unknown command line flag 'wrkdir'"),
    ((FAKE, "out"), "'out' is not a flag"),
    ((FAKE, "--dry_run=maybe"), "dry_run"),
    (("--workdir=x",), "which experiment?"),
    (("--config=configs/fak.py",), "did you mean 'fake'?"),
    (("--config=configs/fake.py:gpus",), "did you mean 'gpu'?"),
    ((FAKE, "--config.rank=3"), "did you mean 'ranks'?"),
    ((FAKE, "--config.steps=many"), "expected a whole number"),
    ((FAKE, "--config.seeds=1.5"), "expected a whole number"),
    ((FAKE, "--config.seeds", "3"), "write --config.seeds=value"),
    ((FAKE, "--config.ranks=()"), "empty sweep"),
    ((FAKE, "--config.source=nowhere"), "unknown data source 'nowhere'"),
    ((FAKE, "--workdir=configs/fake.py"), "cannot write"),
    ((FAKE, "--workdir=configs/fake.py/x"), "cannot write"),
    ((FAKE, "--workdir=gs://bucket/run"), "--workdir=gs://bucket/run is a URL"),
    ((FAKE, "--workdir=file:///run"), "is a URL"),
    ((FAKE, "--workdir=~nobody-of-this-name/run"), "names a home folder that is not known here"),
    ((FAKE, "--workdir=a", "--workdir=b"), "--workdir=b: already defined as a"),
    ((FAKE, "--config.ranks=1", "--config.ranks=2"), "--config.ranks is given twice, as 1 and 2"),
    ((FAKE, "--report_only"), "no records yet"),
    ((FAKE, "--config.source=diverges", "--config.steps=1", "--config.ranks=x"), "expected a whole number"),
]


@pytest.mark.parametrize(("words", "expected"), BAD)
def test_a_mistake_is_one_line_and_nothing_is_written(
    words: tuple[str, ...], expected: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(place)
    assert start(*words) == 2
    err = capsys.readouterr().err
    errors = [line for line in err.splitlines() if not line.startswith("[")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert expected in errors[0]
    assert files(place) == before
    assert not (place / "runs").exists()


def test_a_home_is_expanded_behind_a_flag(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", str(place / "mine"))
    assert start(FAKE, "--workdir=~/runs/x", "--dry_run") == 0
    assert f"results would stand in {place}/mine/runs/x;" in capsys.readouterr().out


def test_a_config_without_its_experiment_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "experiments" / "fake.py").unlink()
    assert start(FAKE) == 2
    assert "no experiments/fake.py beside it" in capsys.readouterr().err


def test_an_asked_gpu_that_is_not_there_is_named(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from research.runtime import devices

    monkeypatch.setattr(devices, "accelerator_present", lambda environ: False)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert start(FAKE) == 2
    assert "asks for a GPU and none is there" in capsys.readouterr().err
    assert not (place / "runs").exists()


def test_a_workdir_of_another_experiment_is_refused_also_for_a_report(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole(place)
    for folder in ("configs", "experiments"):
        (place / folder / "other.py").write_text((place / folder / "fake.py").read_text())
    for words in ((), ("--report_only",)):
        assert start("--config=configs/other.py", "--workdir=whole", *words) == 2
        assert "fake" in capsys.readouterr().err.splitlines()[-1]


def test_a_corrupt_line_in_the_middle_is_refused_and_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole(place)
    path = place / "whole" / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"garbage\n", *lines[5:]]))
    before = path.read_bytes()
    for words in ((), ("--report_only",)):
        assert start(FAKE, "--workdir=whole", *words) == 2
        assert "records.jsonl, line 5 cannot be read" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_mistake_in_a_process_of_its_own(place: Path) -> None:
    with process(place, FAKE, "--config.steps=many") as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_our_files_are_found_whatever_the_shell_says_and_a_reader_may_leave(tmp_path: Path) -> None:
    for package in ("configs", "experiments", "research"):
        (tmp_path / "theirs" / package).mkdir(parents=True)
        (tmp_path / "theirs" / package / "__init__.py").touch()
    command = [sys.executable, str(launch.ROOT / "launch.py"), "--list"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "theirs"), "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline().startswith("forgetting: What does fine-tuning forget")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--help") == 0
    text = capsys.readouterr().out
    assert "--config=configs/lora_rank_sweep.py:smoke" in text and "--config.base=hf:" in text and "--workdir=RUN --export=FOLDER" in text
    assert all(f"--{flag}" in text for flag in ("config", "workdir", "list", "dry_run", "report_only", "distributed"))
    assert start() == 2
    assert capsys.readouterr().out == text


def test_what_a_shell_would_read_stands_in_quotes_wherever_a_command_is_shown(root: Path) -> None:
    pages = [root / "README.md", root / "launch.py", *root.glob("configs/*.py"), *root.glob("research/**/*.py")]
    shown = [word for page in pages for word in re.findall(r"--(?:config|workdir)[\w.]*=\S+", page.read_text())]
    assert any("='text:" in word for word in shown)
    assert [word for word in shown if re.search(r"=[^'\"]*[*?]", word)] == []


def test_list_names_questions_variants_and_durations(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "configs" / "base.py").write_text("SHARED = 1")
    monkeypatch.setattr(launch, "ROOT", place)
    assert start("--list") == 0
    text = capsys.readouterr().out
    assert "fake: Does the harness work?" in text
    assert "--config=configs/fake.py  all of it, a second" in text
    assert "--config=configs/fake.py:gpu  on an accelerator" in text
    assert "base" not in text


def test_a_dry_run_tells_and_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(place)
    assert start(FAKE, "--dry_run", "--config.seeds=4") == 0
    text = capsys.readouterr().out
    assert "12 cells in 1 populations" in text
    assert "members 2, steps 3" in text
    assert "1.5 GB" in text
    assert "1.5 minutes" in text
    assert files(place) == before


def test_a_system_without_file_locks_is_told_of_one_that_has_them(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows: none of what only Unix has may be imported before the line that says so."""
    for name in ("fcntl", "resource"):
        monkeypatch.setitem(sys.modules, name, None)
    assert start(FAKE) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "WSL" in err
    assert start("--list") == 0


def test_help_and_list_need_neither_jax_nor_file_locks() -> None:
    hidden = "import sys; sys.modules.update(dict.fromkeys(('jax', 'fcntl', 'resource'))); import launch"
    words = f"{hidden}; sys.exit(launch.main(['launch.py', '--help']) or launch.main(['launch.py', '--list']))"
    assert subprocess.run([sys.executable, "-c", words], cwd=launch.ROOT, capture_output=True, check=False).returncode == 0
