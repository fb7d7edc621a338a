"""A Chromium with the extension in it, and a hand that reaches what the extension shows in a page."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import BrowserContext, Error, Page, sync_playwright

from extension.pack import EXTENSION, packed_files
from tests.fixture_sites import MEDIA, SITE

ARGS = (
    "--no-sandbox --disable-dev-shm-usage --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required "
    "--enable-unsafe-extension-debugging"
).split()
RESOLVE = "--host-resolver-rules=MAP *.test 127.0.0.1"
WAIT_S = 90.0  # a machine may be busy with other tests


def copy_extension(folder: Path, space_url: str) -> Path:
    """What a browser gets, allowed to reach this machine's Space and, as if granted, two of the fixture sites."""
    for path in packed_files():
        target = folder / path.relative_to(EXTENSION)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["host_permissions"] = [f"{space_url}/*", f"http://{SITE}/*", f"http://{MEDIA}/*"]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def wait_until(probe: Callable[[], Any], *, limit_s: float = WAIT_S, every_s: float = 0.05) -> Any:
    """The first answer that is true."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        answer = probe()
        if answer:
            return answer
        time.sleep(every_s)
    raise AssertionError(f"not within {limit_s} s")


@dataclass
class Rig:
    """A browser with the extension."""

    context: BrowserContext
    origin: str  # of the extension, with a slash at the end
    remote: Page  # one of the extension's own pages, in the background
    tabs: dict[Page, int] = field(default_factory=dict)

    def call(self, expression: str, argument: Any = None) -> Any:
        """Evaluate in an extension page."""
        return self.remote.evaluate(expression, argument)

    def send(self, message: dict[str, Any]) -> Any:
        """A message from an extension page, and its answer."""
        return self.call("(message) => chrome.runtime.sendMessage(message)", message)

    def settings(self, **change: Any) -> None:
        script = """async (change) => {
          const { settings } = await chrome.storage.local.get("settings");
          await chrome.storage.local.set({ settings: { ...settings, ...change } });
        }"""
        self.call(script, change)

    def jobs(self) -> list[dict[str, Any]]:
        """Checks of this session, the latest last."""
        jobs = self.call("async () => (await chrome.storage.session.get('jobs')).jobs ?? {}")
        return sorted(jobs.values(), key=lambda job: job["started"])

    def job(self, job_id: str) -> dict[str, Any]:
        return next(job for job in self.jobs() if job["job_id"] == job_id)

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("async () => (await chrome.storage.local.get('history')).history ?? []")
        return found

    def forget(self) -> None:
        self.call("() => Promise.all([chrome.storage.session.clear(), chrome.storage.local.remove('history')])")

    def open(self, url: str) -> Page:
        page = self.context.new_page()
        page.goto(url)
        page.bring_to_front()
        script = "async () => (await chrome.tabs.query({})).sort((a, b) => b.id - a.id)[0].id"
        self.tabs[page] = self.call(script)
        return page

    def press_toolbar_button(self, page: Page) -> None:
        """As a person does: it opens the popup and grants the extension this tab."""
        browser = self.context.browser
        assert browser is not None
        session = browser.new_browser_cdp_session()
        targets = session.send("Target.getTargets", {"filter": [{"type": "tab"}]})["targetInfos"]
        target = next(t for t in targets if t["url"] == page.url)
        session.send("Extensions.triggerAction", {"id": self.origin.split("/")[2], "targetId": target["targetId"]})
        session.detach()

    def check(self, page: Page, **more: Any) -> str:
        """Start a check of the best video; its id."""
        answer = self.send({"type": "check-video", "tabId": self.tabs[page], **more})
        assert "jobId" in answer, answer
        job_id: str = answer["jobId"]
        return job_id

    def wait_for_stage(self, job_id: str, *stages: str) -> dict[str, Any]:
        """The check, once it is there."""

        def probe() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["stage"] in stages else None

        try:
            found: dict[str, Any] = wait_until(probe)
        except AssertionError as error:
            raise AssertionError(f"{self.job(job_id)}") from error
        return found


@contextmanager
def extension_rig(
    chromium: str, extension: Path, profile: Path, *, locale: str = "en-US", **options: Any
) -> Iterator[Rig]:
    """A browser with the extension, after its first start."""
    load = [f"--disable-extensions-except={extension}", f"--load-extension={extension}", f"--lang={locale}"]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            headless=False,
            args=["--headless=new", *ARGS, RESOLVE, *load],
            locale=locale,
            viewport={"width": 1000, "height": 720},
            **options,
        )
        workers = context.service_workers
        worker = workers[0] if workers else context.wait_for_event("serviceworker")
        origin = worker.url.partition("background/")[0]
        remote = context.new_page()
        remote.goto(f"{origin}ask/ask.css")  # a page of the extension's origin that does nothing by itself
        # Consent is asked at the first start, whenever the worker gets to it: in front of what a test looks at.
        consent = f"chrome.tabs.query({{ url: '{origin}consent/*' }}).then((tabs) => tabs.map(({{ id }}) => id))"
        remote.evaluate("(ids) => chrome.tabs.remove(ids)", wait_until(lambda: remote.evaluate(consent)))
        yield Rig(context, origin, remote)
        context.close()


class Session(Protocol):
    """Speaks the developer tools' protocol with a page."""

    def send(self, method: str, params: dict[str, Any] | None = None) -> Any: ...


class Surface:
    """What the extension shows in a page: in a closed shadow root, so out of the page's own reach."""

    def __init__(self, page: Page | Session) -> None:
        self._session: Session = page.context.new_cdp_session(page) if isinstance(page, Page) else page

    def _find(self) -> str | None:
        root = self._session.send("DOM.getDocument", {"depth": -1, "pierce": True})["root"]
        node = _find_surface(root)
        if node is None:
            return None
        try:
            found = self._session.send("DOM.resolveNode", {"nodeId": node["nodeId"]})
        except Error:
            return None  # it went meanwhile
        object_id: str = found["object"]["objectId"]
        return object_id

    def evaluate(self, function: str) -> Any:
        """The value of a function of the surface's root; None where there is none."""
        object_id = self._find()
        if object_id is None:
            return None
        asked = {"objectId": object_id, "functionDeclaration": function, "returnByValue": True, "awaitPromise": True}
        answer = self._session.send("Runtime.callFunctionOn", asked)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str = ".tt-chip-main") -> str:
        found = self.evaluate(f"function () {{ return this.querySelector({selector!r})?.innerText ?? ''; }}")
        return str(found or "")

    def wait_for_text(self, wanted: str, selector: str = ".tt-chip-main") -> str:
        try:
            found: str = wait_until(lambda: wanted in (text := self.text(selector)) and text)
        except AssertionError as error:
            raise AssertionError(f"{wanted!r} is not in {self.text(selector)!r}") from error
        return found

    def open_card(self) -> None:
        """Click on the badge, which moves while its words change, until the card is open."""
        is_open = "function () { return !this.querySelector('.tt-card').hidden; }"

        def attempt() -> bool:
            self.click(".tt-chip-main")
            return bool(self.evaluate(is_open))

        wait_until(attempt, every_s=0.3)

    def click(self, selector: str) -> None:
        """A real click, by the mouse."""
        script = """function () {
          const target = this.querySelector(SELECTOR);
          target.scrollIntoView({ block: "nearest" });
          const { x, y, width, height } = target.getBoundingClientRect();
          return [x + width / 2, y + height / 2];
        }""".replace("SELECTOR", json.dumps(selector))
        x, y = self.evaluate(script)
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self._session.send("Input.dispatchMouseEvent", event)


def _find_surface(node: dict[str, Any]) -> dict[str, Any] | None:
    attributes = node.get("attributes", [])
    if "tt-surface" in dict(zip(attributes[::2], attributes[1::2], strict=True)).get("class", "").split():
        return node
    inner = [*node.get("children", []), *node.get("shadowRoots", [])]
    if "contentDocument" in node:
        inner.append(node["contentDocument"])
    return next((found for child in inner if (found := _find_surface(child))), None)
