"""The report in a real browser: headless Chromium, spoken to over its debugging pipe, so that no driver and no package is needed."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from experiments.lora_rank_sweep.plots import costs, ranks
from research.figures import report, spectra
from research.figures.style import Captioned
from research.findings import Finding, Table

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)
PROBE = """JSON.stringify({
  title: document.title, text: document.body.innerText.length, scroll: document.documentElement.scrollWidth, view: window.innerWidth,
  images: [...document.images].map(i => [i.naturalWidth, i.naturalHeight, i.getBoundingClientRect().width, i.alt.length]),
  first: [...document.querySelectorAll("main table, main img")].slice(0, 2).map(e => e.tagName),
  open: [...document.querySelectorAll("main table")].filter(e => e.checkVisibility({contentVisibilityAuto: true})).length,
  clipped: [...document.querySelectorAll("h1, h2, h3, p, figcaption, summary")].filter(e => e.scrollWidth > e.clientWidth + 1).length,
})"""


class Browser:
    """A Chromium of the test's own: its process and the two pipes it is driven by."""

    def __init__(self, binary: str, profile: Path) -> None:
        """Starts the browser with a fresh profile; its commands come in on descriptor 3, its answers go out on 4."""
        commands, self._out = _pipe()
        self._in, answers = _pipe()
        starter = f"import os, sys; os.dup2({commands}, 3); os.dup2({answers}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", starter, binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self._buffer, self._count, self.events = b"", 0, []

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Returns the answer to one command; events that come meanwhile are kept in `events`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        """Returns the next message; a browser that went away is an error."""
        while b"\0" not in self._buffer:
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                raise EOFError("Chromium ended")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def close(self) -> None:
        """Ends the browser and closes the pipes."""
        self.call("Browser.close")
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)


class Seen(NamedTuple):
    """What a page did when it was opened: its measures, what it complained of, what it asked the network for."""

    page: Mapping[str, Any]
    complaints: list[str]
    requests: list[str]
    screenshot: str


def _pipe() -> tuple[int, int]:
    """Returns (read end, write end) of a pipe, both above the descriptors that Chromium wants."""
    ends = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    return ends[0], ends[1]


def _complaint(event: Mapping[str, Any]) -> str | None:
    """Returns what an event complains of, or None."""
    params = event.get("params", {})
    if event.get("method") == "Runtime.exceptionThrown":
        return str(params["exceptionDetails"]["text"])
    if event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
        return str(params["args"])
    if event.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
        return str(params["entry"]["text"])
    return None


def look(browser: Browser, page: Path, width: int, height: int = 900) -> Seen:
    """Returns what happens when `page` is opened in a window of this size in CSS pixels."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable", session)
    browser.call("Emulation.setDeviceMetricsOverride", session, width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    browser.events.clear()
    browser.call("Page.navigate", session, url=page.resolve().as_uri())
    while not any(event.get("method") == "Page.loadEventFired" for event in browser.events):
        browser.events.append(browser.receive())
    time.sleep(0.1)
    measures = browser.call("Runtime.evaluate", session, expression=PROBE)["result"]["value"]
    shot = browser.call("Page.captureScreenshot", session, format="png", captureBeyondViewport=True)["data"]
    own = [event for event in browser.events if event.get("sessionId") == session]
    urls = [event["params"]["request"]["url"] for event in own if event.get("method") == "Network.requestWillBeSent"]
    browser.call("Target.closeTarget", targetId=target)
    outside = [url for url in urls if not url.startswith("data:") and url != page.resolve().as_uri()]
    return Seen(json.loads(measures), [text for text in map(_complaint, own) if text], outside, shot)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Yields a running Chromium; without one the tests fail in CI and are skipped elsewhere."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium found: install Debian's package `chromium`")
    running = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def page(results: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a report with wide tables, long notes and three figures."""
    where = {"init": "pretrained", "arm": "block", "reading": "relative"}
    long = "not reached: rank 32 recovers 71 % of what training the same matrices gains, which is far from nine tenths of it"
    findings = [Finding("r90", where, None, None, None, "rank", 3, "isotonic fit in log rank, studentized interval", long)]
    findings += [Finding("target_loss", {**where, "rank": r}, 2.35, 2.3, 2.4, "bits/byte", 3, "t interval") for r in range(20)]
    path = tmp_path_factory.mktemp("report") / "report.html"
    provenance = {
        "config": {"model": {"d_model": 64}},
        "fingerprints": {"data": "a" * 64},
        "devices": ["cpu"],
        "versions": {},
        "seconds": {},
    }
    summary = report.write_summary(
        path.with_name("summary.json"), "lora_rank_sweep", "How many?", "Few, with pretraining.", findings, provenance
    )
    drawn = {"ranks": ranks.loss_against_rank(results), "spectra": spectra.update_spectra(results), "costs": costs.cost_per_arm(results)}
    figures = {name: Captioned(figure, f"Figure of {name}.") for name, figure in drawn.items()}
    cells = ("4.78 [4.50, 5.06]", "undefined: full training gains 0.05 [0.01, 0.09] bits, not clearly above 0.1", "open") * 3
    columns = ("from", *(f"rank {rank}, or another long name" for rank in range(9)))
    tables = [Table(columns, (("pretrained:stdlib:docs@20%", *cells), ("random", *cells)), "Loss on the target, bits/byte. " * 4)]
    report.write_report(path, summary, tables, figures, [{"stage": "training", "cells": 162, "learning rates": "1e-3, 3e-3, 1e-2, 3e-2"}])
    return path


@pytest.mark.parametrize("width", [1280, 400])
def test_report_is_quiet_complete_and_fits(browser: Browser, page: Path, width: int) -> None:
    seen = look(browser, page, width)
    assert seen.complaints == []
    assert seen.requests == []
    assert seen.page["scroll"] <= seen.page["view"] == width
    assert seen.page["clipped"] == 0
    assert seen.page["first"] == ["TABLE", "IMG"] and seen.page["open"] == 1
    assert len(seen.page["images"]) == 3
    assert all(natural > 0 and tall > 0 and shown > 300 and alt > 0 for natural, tall, shown, alt in seen.page["images"])
    assert "lora_rank_sweep" in seen.page["title"] and seen.page["text"] > 500


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<script>console.error('broken')</script>", lambda seen: seen.complaints),
        ("<script>undefined_name()</script>", lambda seen: seen.complaints),
        ("<img src='http://127.0.0.1:9/x.png'>", lambda seen: seen.requests),
        ("<link rel=stylesheet href='other.css'>", lambda seen: seen.requests),
        ("<div style='width:900px'>wide</div>", lambda seen: seen.page["scroll"] > 400),
        ("<img src='data:image/png;base64,AAAA'>", lambda seen: seen.page["images"][0][0] == 0),
    ],
)
def test_probe_notices_each_fault(browser: Browser, tmp_path: Path, body: str, fault: Callable[[Seen], Any]) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta name=viewport content='width=device-width'><link rel=icon href=data:,><p>text</p>{body}")
    assert fault(look(browser, page, 400))
