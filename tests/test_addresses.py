"""Links and addresses: every way to write one, and which are open to the public."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.errors import LinkError
from space.intake.addresses import Link, is_among, is_public, normalise_host, parse_link, read_address


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("http://example.org", Link("http://example.org/", "example.org", 80)),
        ("  HTTPS://EXAMPLE.org./a?b=c&d=%20#e ", Link("https://example.org/a?b=c&d=%20", "example.org", 443)),
        ("http://example.org:8080/", Link("http://example.org:8080/", "example.org", 8080)),
        ("http://example.org:/", Link("http://example.org/", "example.org", 80)),
        (
            "http://bücher.example/ä?ö=ü",
            Link("http://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC", "xn--bcher-kva.example", 80),
        ),
        ("http://example。org/", Link("http://example.org/", "example.org", 80)),
        ("http://１２７.０.０.１/", Link("http://127.0.0.1/", "127.0.0.1", 80)),
        ("http://127.0.0.1./", Link("http://127.0.0.1/", "127.0.0.1", 80)),
        ("http://[::1]:8080/", Link("http://[::1]:8080/", "::1", 8080)),
        ("http://[0:0::FFFF:7f00:1]/", Link("http://[::ffff:7f00:1]/", "::ffff:7f00:1", 80)),
        ("https://a_b.example/watch?v=1&t=2s#t=3", Link("https://a_b.example/watch?v=1&t=2s", "a_b.example", 443)),
        ('https://a.example/#__youtubedl_smuggle={"to_generic":1}', Link("https://a.example/", "a.example", 443)),
    ],
)
def test_a_link_is_read(text: str, link: Link) -> None:
    assert parse_link(text) == link
    assert parse_link(link.url) == link


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "//example.org/",
        "file:///etc/passwd",
        "ftp://example.org/a.mp4",
        "gopher://example.org",
        "data:video/mp4;base64,AA",
        "javascript:alert(1)",
        "ytsearch:faces",
        "hls+http://example.org/",
        "http:///path",
        "http://?",
        "http://.",
        "http://a..b/",
        "http://-a.example/",
        "http://user@example.org/",
        "http://user:word@example.org/",
        "http://@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org\\@127.0.0.1/",
        "http:\\\\example.org\\",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:80a/",
        "http://example.org/a b",
        "http://exam ple.org/",
        "http://example.org/\r\nHost: inner",
        "http://example.org\t.inner/",
        "http://exa%6dple.org/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://a.1/",
        "http://[::1/",
        "http://[::1%25lo]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.a]/",
        "http://[12345::1]/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://example.org/" + "a" * 5000,
        "http://ex\u2100mple.org/",
    ],
)
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(LinkError) as refusal:
        parse_link(text)
    assert refusal.value.code == "bad_url"
    assert str(refusal.value) == "bad_url"  # nothing of the link in it


@given(st.text())
def test_anything_is_a_link_or_refused(text: str) -> None:
    for candidate in (text, f"http://{text}", f"https://example.org/{text}"):
        try:
            link = parse_link(candidate)
        except LinkError:
            continue
        assert link.url.isascii()
        assert parse_link(link.url) == link
        assert normalise_host(link.host) == link.host


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("100.127.255.254", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("192.0.0.8", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::8.8.8.8", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::8.8.8.8", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::1", False),
        ("100::1", False),
        ("2001::1", False),
        ("2001:10::1", False),
        ("2001:db8::1", False),
        ("2002:a00:1::1", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_does_not_make_it_public(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    assert is_public(mapped) is is_public(address)
    for prefix in ("64:ff9b::", "::"):
        assert not is_public(ipaddress.IPv6Address(f"{prefix}{address}"))


@pytest.mark.parametrize(("host", "is_address"), [("127.0.0.1", True), ("::1", True), ("a.example", False)])
def test_addresses_are_told_from_names(host: str, is_address: bool) -> None:
    assert (read_address(host) is not None) is is_address


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("a.example", True),
        ("www.a.example", True),
        ("b.c.a.example", True),
        ("ba.example", False),
        ("example", False),
        ("a.example.evil", False),
    ],
)
def test_a_site_has_its_subdomains(host: str, allowed: bool) -> None:
    assert is_among(host, ["A.example", "x.example"]) is allowed
