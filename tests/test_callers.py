"""How callers are named, and what a server may be told by its environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.errors import RequestError
from space.service.callers import DAY_S, EXEMPT, Callers, forwarded_for
from space.service.settings import KEPT_S, VARIABLES, ServiceSettings, settings_from
from space.settings import PROJECT_ROOT
from tests.services import Clock


@dataclass
class Address:
    host: str


@dataclass
class Call:
    """A request, as far as callers are concerned."""

    host: str = "203.0.113.7"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> Address | None:
        return Address(self.host) if self.host else None


def callers(clock: Clock | None = None, **settings: Any) -> Callers:
    return Callers(ServiceSettings(**settings), clock=clock or Clock())


# --- names ------------------------------------------------------------------------------------


def test_a_name_says_nothing_about_the_address() -> None:
    name = callers().name(Call("203.0.113.7"))
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert callers().name(Call("203.0.113.7")) != name, "every server has a salt of its own"


def test_a_caller_has_one_name_for_a_day() -> None:
    clock = Clock(10 * DAY_S)
    some = callers(clock)
    name = some.name(Call())
    clock.now += DAY_S - 1
    assert some.name(Call()) == name
    clock.now += 1
    assert some.name(Call()) != name
    clock.now -= 1
    assert some.name(Call()) != name, "yesterday's salt is forgotten"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("", "", True),
        ("", "203.0.113.7", False),
        ("not an address", "another one", False),
    ],
)
def test_who_has_the_same_name(one: str, other: str, same: bool) -> None:
    some = callers()
    assert (some.name(Call(one)) == some.name(Call(other))) is same


# --- behind proxies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "n_proxies", "believed"),
    [
        ("198.51.100.1", 0, None),
        ("8.8.8.8", 1, "8.8.8.8"),
        ("1.1.1.1, 8.8.8.8", 1, "8.8.8.8"),
        ("1.1.1.1,8.8.8.8 , 9.9.9.9", 2, "8.8.8.8"),
        ("8.8.8.8, 10.16.3.80", 1, "8.8.8.8"),
        ("8.8.8.8", 3, "8.8.8.8"),
        ("192.168.0.4, 10.0.0.1", 1, "10.0.0.1"),
        ("made up, 8.8.8.8", 1, "8.8.8.8"),
        ("", 1, None),
        (" , ", 1, None),
        ("2606:4700::1111", 1, "2606:4700::1111"),
    ],
)
def test_what_is_believed_of_forwarded_addresses(header: str, n_proxies: int, believed: str | None) -> None:
    assert forwarded_for(header, n_proxies=n_proxies) == believed


@given(made_up=st.text(), n_proxies=st.integers(1, 3))
def test_what_a_caller_makes_up_changes_nothing(made_up: str, n_proxies: int) -> None:
    proxies = ["8.8.8.8", "9.9.9.9", "1.1.1.1"][:n_proxies]
    header = ", ".join([made_up, *proxies])
    assert forwarded_for(header, n_proxies=n_proxies) == "8.8.8.8"


def test_forwarded_addresses_count_only_where_proxies_are_trusted() -> None:
    one, other = Call(headers={"x-forwarded-for": "8.8.8.8"}), Call(headers={"x-forwarded-for": "9.9.9.9"})
    trusting, wary = callers(trusted_proxies=1), callers()
    assert trusting.name(one) != trusting.name(other)
    assert wary.name(one) == wary.name(other)


# --- without limits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "settings", "exempt"),
    [
        (Call("127.0.0.1"), {}, False),
        (Call("127.0.0.1"), {"exempt_loopback": True}, True),
        (Call("::1"), {"exempt_loopback": True}, True),
        (Call("203.0.113.7"), {"exempt_loopback": True}, False),
        (Call("127.0.0.1", {"x-forwarded-for": "8.8.8.8"}), {"exempt_loopback": True}, False),
        (Call("127.0.0.1", {"forwarded": "for=8.8.8.8"}), {"exempt_loopback": True}, False),
        (Call("127.0.0.1", {"x-gradio-user": "mcp"}), {"exempt_loopback": True}, False),
        (Call("127.0.0.1", {"x-gradio-user": "api"}), {"exempt_loopback": True}, True),
        (Call(headers={"x-telltale-token": "right"}), {"token": "right"}, True),
        (Call(headers={"x-telltale-token": "wrong"}), {"token": "right"}, False),
        (Call(headers={"x-telltale-token": "ü"}), {"token": "right"}, False),
        (Call(headers={"x-telltale-token": ""}), {}, False),
        (Call(headers={"x-telltale-token": ""}), {"token": ""}, False),
    ],
)
def test_who_is_not_rate_limited(call: Call, settings: dict[str, Any], exempt: bool) -> None:
    assert (callers(**settings).name(call) == EXEMPT) is exempt


# --- settings ---------------------------------------------------------------------------------


def test_an_empty_environment_is_the_defaults() -> None:
    assert settings_from({}) == ServiceSettings()
    assert settings_from(dict.fromkeys(VARIABLES, " ")) == ServiceSettings()


@pytest.mark.parametrize(
    ("environment", "field_name", "value"),
    [
        ({"TELLTALE_DATA": "/data"}, "data", Path("/data")),
        ({"DATABASE_URL": "postgresql://db/telltale"}, "database_url", "postgresql://db/telltale"),
        ({"SPACE_URL": "https://example.org/"}, "base_url", "https://example.org"),
        ({"GRADIO_SERVER_PORT": "7999"}, "base_url", "http://127.0.0.1:7999"),
        ({"GRADIO_SERVER_PORT": "7999", "SPACE_HOST": "a-b.hf.space"}, "base_url", "https://a-b.hf.space"),
        ({"SPACE_HOST": "a-b.hf.space"}, "base_url", "https://a-b.hf.space"),
        ({"SPACE_HOST": "a-b.hf.space"}, "trusted_proxies", 1),
        ({"SPACE_HOST": "a-b.hf.space", "SPACE_URL": "https://x.org"}, "base_url", "https://x.org"),
        ({"SPACE_HOST": "a-b.hf.space", "TELLTALE_PROXIES": "0"}, "trusted_proxies", 0),
        ({"TELLTALE_QUEUE": "3"}, "max_jobs", 3),
        ({"TELLTALE_EXEMPT_LOOPBACK": "Yes"}, "exempt_loopback", True),
        ({"TELLTALE_EXEMPT_LOOPBACK": "0"}, "exempt_loopback", False),
        ({"TELLTALE_HOSTS": "Example.org, b.example"}, "allowed_hosts", ("example.org", "b.example")),
        ({"TELLTALE_WINDOW_S": "0.5"}, "window_s", 0.5),
    ],
)
def test_an_environment_is_read(environment: dict[str, str], field_name: str, value: object) -> None:
    assert getattr(settings_from(environment), field_name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELLTALE_QUEUE", "0"),
        ("TELLTALE_QUEUE", "many"),
        ("TELLTALE_PROXIES", "-1"),
        ("TELLTALE_JOB_LIMIT_S", "1501"),
        ("TELLTALE_JOB_LIMIT_S", "0"),
        ("TELLTALE_WINDOW_S", "inf"),
        ("TELLTALE_WINDOW_S", "nan"),
        ("TELLTALE_EXEMPT_LOOPBACK", "maybe"),
        ("SPACE_URL", "example.org"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(RequestError) as refusal:
        settings_from({name: value})
    assert refusal.value.code == "bad_setting"
    assert refusal.value.params == {"name": name, "value": value}


def test_every_choice_has_a_variable() -> None:
    assert {field_name for field_name, _ in VARIABLES.values()} == set(ServiceSettings.__dataclass_fields__)


@pytest.mark.parametrize("job_limit_s", [60.0, 900.0, 1500.0])
def test_a_video_is_never_kept_for_more_than_thirty_minutes(job_limit_s: float) -> None:
    settings = ServiceSettings(job_limit_s=job_limit_s)
    assert settings.upload_kept_s > 0
    assert settings.upload_kept_s + settings.job_limit_s <= KEPT_S < 30 * 60


def test_every_setting_is_documented() -> None:
    documented = (PROJECT_ROOT / "space" / "service" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z_]+)`", documented, re.MULTILINE)) == set(VARIABLES)
