"""What a page cannot do to the extension."""

from __future__ import annotations

import pytest

from tests.extension_browser import Rig, Surface, wait_until
from tests.fake_space import FakeSpace
from tests.fixture_sites import EVIL_TITLE, Sites

pytestmark = pytest.mark.browser


def test_a_page_cannot_reach_into_the_badge(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/evil"))
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    job_id = rig.check(page)
    forged = {
        "type": "job-changed",
        "job": {"job_id": job_id, "stage": "done", "report": {"verdict": {"code": "little"}}},
    }
    page.evaluate(
        """(forged) => {
          for (const target of [window, document, document.documentElement]) {
            target.dispatchEvent(new MessageEvent("message", { data: forged }));
            target.dispatchEvent(new CustomEvent("job-changed", { detail: forged }));
          }
          window.postMessage(forged, "*");
          globalThis.chrome?.runtime?.sendMessage?.(EXTENSION, forged);
        }""".replace("EXTENSION", repr(rig.origin.split("/")[2])),
        forged,
    )
    rig.wait_for_stage(job_id, "done")
    surface = Surface(page)
    surface.wait_for_text("Strong signs")
    assert page.evaluate("window.attacks") >= 4
    assert page.evaluate("window.caught.shadowRoot") is None
    look = surface.evaluate("""function () {
      const badge = this.querySelector(".tt-badge");
      const host = this.getRootNode().host;
      return {
        opacity: getComputedStyle(host).opacity,
        scale: getComputedStyle(host).transform,
        colour: getComputedStyle(badge).color,
        size: getComputedStyle(badge).fontSize,
        seen: badge.checkVisibility({ opacityProperty: true, visibilityProperty: true }),
        onTop: document.elementFromPoint(...Object.values(badge.getBoundingClientRect().toJSON()).slice(0, 2)) === host,
      };
    }""")
    assert look == {
        "opacity": "1",
        "scale": "none",
        "colour": "rgb(140, 16, 36)",
        "size": "14px",
        "seen": True,
        "onTop": True,
    }

    page.evaluate("""() => {
      const options = { bubbles: true, composed: true };
      for (const type of ["pointerdown", "click"]) window.caught.dispatchEvent(new MouseEvent(type, options));
    }""")
    assert surface.evaluate("function () { return this.querySelector('.tt-card').hidden; }")

    (entry,) = wait_until(lambda: [entry for entry in rig.history() if entry["job_id"] == job_id])
    assert (entry["title"], entry["verdict_code"]) == (EVIL_TITLE, "strong")
    tab = rig.context.new_page()
    tab.goto(f"{rig.origin}history/history.html#{job_id}")
    tab.get_by_text("Verified genuine").first.wait_for()
    assert tab.locator("img[src=x], b:text('Verified')").count() == 0
    assert dialogs == []


def test_a_page_that_keeps_removing_the_badge_changes_nothing_else(rig: Rig, sites: Sites) -> None:
    page = rig.open(sites.url("/same"))
    page.evaluate("""() => new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) if (node.localName === "div") node.remove();
    }).observe(document.documentElement, { childList: true })""")
    job_id = rig.check(page)
    job = rig.wait_for_stage(job_id, "done")
    assert job["report"]["verdict"]["code"] == "strong"
    assert rig.call("async (tabId) => chrome.action.getBadgeText({ tabId })", rig.tabs[page]) == "!!"
    assert "Strong signs" in rig.call("async (tabId) => chrome.action.getTitle({ tabId })", rig.tabs[page])


def test_a_script_in_a_page_may_not_do_what_the_popup_may(rig: Rig, sites: Sites) -> None:
    """Asked from within the extension's own script in the page, as a page that broke out of its world could."""
    page = rig.open(sites.url("/same"))
    other = rig.open(sites.url("/shadow"))
    job_id = rig.check(other)
    script = """async ([tabId, messages]) => {
      const func = (messages) => Promise.all(messages.map((message) => chrome.runtime.sendMessage(message)));
      const [{ result }] = await chrome.scripting.executeScript({ target: { tabId }, func, args: [messages] });
      return result;
    }"""
    messages = [
        {"type": "check-video", "tabId": rig.tabs[page]},
        {"type": "answer-ask", "jobId": job_id, "step": "page", "remember": True},
        {"type": "watch-job", "jobId": job_id},
        {"type": "cancel-job", "jobId": job_id},
        {"type": "check-here", "by": "auto", "videoKey": "x"},
        {"type": "toString"},
    ]
    answers = rig.call(script, [rig.tabs[page], messages])
    assert [answer["problem"]["code"] for answer in answers] == ["not_allowed"] * len(messages)
    read = """async (tabId) => {
      const func = () => chrome.storage.local.get(null).then(() => "read", (error) => "refused");
      return (await chrome.scripting.executeScript({ target: { tabId }, func }))[0].result;
    }"""
    assert rig.call(read, rig.tabs[page]) == "refused"
    rig.wait_for_stage(job_id, "done")
