"""The plain HTTP routes: what they answer, in which language, and that the documents say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from space.errors import ALL_CODES
from space.service.api import api_routes
from space.service.documents import DOCS, EXAMPLES, make_openapi, render_docs
from space.service.service import Service, open_service, service_routes
from space.service.settings import ServiceSettings
from space.service.views import STAGES
from space.settings import MIB, SHARED, Limits, Settings
from tests.analyses import Outline
from tests.services import ANALYSIS, PLAINTEXT, Gate, bytes_below, new_id, no_fetch, until

SMALL = Settings(limits=Limits(max_bytes=MIB))
OPENAPI = make_openapi(base_url="https://example.org")
METHODS = {"GET", "POST", "PUT", "DELETE"}


@pytest.fixture
def gate() -> Gate:
    gate = Gate()
    gate.opened.set()
    return gate


@pytest.fixture
def service(tmp_path: Path, gate: Gate) -> Iterator[Service]:
    settings = ServiceSettings(data=tmp_path / "data", upload_limit_s=5.0, jobs_at_once=20, jobs_per_window=20)
    with open_service(settings, choices=SMALL, prepare=lambda: gate, fetch=no_fetch) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    app = Starlette(routes=service_routes(service))
    with TestClient(app, raise_server_exceptions=False, headers={"accept-language": "en"}) as client:
        yield client


def send(client: TestClient, content: bytes = PLAINTEXT) -> str:
    answer = client.post("/api/v1/uploads", content=content)
    assert answer.status_code == 201, answer.text
    upload_id: str = answer.json()["upload_id"]
    return upload_id


def begin(service: Service, job_id: str | None = None) -> str:
    from space.service.jobs import UploadSource
    from tests.services import seal

    job_id = job_id or new_id()
    service.jobs.accept(job_id, UploadSource(seal(service.vault)), caller="")
    return job_id


def finish(service: Service) -> str:
    job_id = begin(service)
    until(lambda: service.jobs.view(job_id).is_last)
    return job_id


def error_of(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    validate(answer.json()["error"], "Error")
    error: dict[str, Any] = answer.json()["error"]
    return error


# --- jobs -------------------------------------------------------------------------------------


def test_a_job_is_asked_for_until_it_is_done(client: TestClient, service: Service, gate: Gate) -> None:
    gate.opened.clear()
    job_id = begin(service)
    assert gate.reached.wait(10)
    view = client.get(f"/api/v1/jobs/{job_id}").json()
    validate(view, "JobView")
    assert (view["stage"], view["report"]) == ("faces", None)
    gate.opened.set()
    until(lambda: client.get(f"/api/v1/jobs/{job_id}").json()["stage"] == "done")
    answer = client.get(f"/api/v1/jobs/{job_id}")
    validate(answer.json(), "JobView")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["report"]["verdict"]["code"] == "little"


def test_a_job_is_stopped(client: TestClient, service: Service, gate: Gate) -> None:
    gate.opened.clear()
    job_id = begin(service)
    view = client.delete(f"/api/v1/jobs/{job_id}").json()
    validate(view, "JobView")
    assert view["stage"] == "cancelled"
    assert client.delete(f"/api/v1/jobs/{job_id}").json() == view


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(("job_id", "status", "code"), [("0" * 32, 404, "job_unknown"), ("xyz", 400, "bad_job_id")])
def test_what_is_no_job_is_an_error(client: TestClient, method: str, job_id: str, status: int, code: str) -> None:
    assert error_of(client.request(method, f"/api/v1/jobs/{job_id}"), status)["code"] == code


def test_a_report_gives_its_pictures(client: TestClient, service: Service) -> None:
    job_id = finish(service)
    for name, picture in ANALYSIS.pictures.items():
        answer = client.get(f"/api/v1/jobs/{job_id}/pictures/{name}")
        assert answer.content == picture
        assert answer.headers["content-type"] == "image/jpeg"
    missing = client.get(f"/api/v1/jobs/{job_id}/pictures/report.json")
    assert error_of(missing, 404)["code"] == "picture_unknown"


def test_an_unfinished_job_has_nothing_to_show_or_share(client: TestClient, service: Service, gate: Gate) -> None:
    gate.opened.clear()
    job_id = begin(service)
    for answer in (
        client.get(f"/api/v1/jobs/{job_id}/pictures/evidence-1-crop.jpg"),
        client.post(f"/api/v1/jobs/{job_id}/share"),
    ):
        assert error_of(answer, 409)["code"] == "job_unfinished"


@pytest.mark.parametrize(
    ("query", "header", "words"),
    [
        ("", "ru", "Проверки с таким номером нет"),
        ("?lang=ru", "en", "Проверки с таким номером нет"),
        ("", "es-AR", "No hay ningún análisis con este número"),
        ("?lang=ne", "en", "यो नम्बरको कुनै जाँच छैन"),
        ("?lang=xx", "de,en;q=0.5", "There is no check with this number"),
    ],
)
def test_sentences_are_in_the_language_asked_for(client: TestClient, query: str, header: str, words: str) -> None:
    answer = client.get(f"/api/v1/jobs/{new_id()}{query}", headers={"accept-language": header})
    assert error_of(answer, 404)["message"].startswith(words)


# --- uploads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_file_is_taken_in(client: TestClient, service: Service, method: str) -> None:
    answer = client.request(method, "/api/v1/uploads", content=PLAINTEXT)
    assert answer.status_code == 201
    validate(answer.json(), "Upload")
    assert answer.json()["size_bytes"] == len(PLAINTEXT)
    assert service.uploads.take(answer.json()["upload_id"]).open().read() == PLAINTEXT


def test_a_form_is_taken_in_without_touching_the_disk(client: TestClient, service: Service, tmp_path: Path) -> None:
    answer = client.post(
        "/gradio_api/upload", files={"files": ("../../clip.mp4", PLAINTEXT, "video/mp4")}, data={"note": "x" * 100}
    )
    (upload_id,) = answer.json()
    assert PLAINTEXT[:21] not in bytes_below(tmp_path)
    assert service.uploads.take(upload_id).open().read() == PLAINTEXT


def test_a_form_may_hold_several_files(client: TestClient, service: Service) -> None:
    contents = [b"one", b"two" * 50_000]
    answer = client.post("/gradio_api/upload", files=[("files", (f"{i}", c)) for i, c in enumerate(contents)])
    assert [service.uploads.take(upload_id).open().read() for upload_id in answer.json()] == contents


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {"content-type": "multipart/form-data; boundary=x"}, 422, "empty"),
        (b"--x--\r\n", {"content-type": "multipart/form-data; boundary=x"}, 422, "empty"),
        (b"no form", {"content-type": "multipart/form-data; boundary=x"}, 415, "unsupported_type"),
        (b"no form", {"content-type": "multipart/form-data"}, 415, "unsupported_type"),
        (b"no form", {"content-type": "video/mp4"}, 415, "unsupported_type"),
        (b"no form", {}, 415, "unsupported_type"),
    ],
)
def test_what_is_no_form_is_refused(
    client: TestClient, tmp_path: Path, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("/gradio_api/upload", content=content, headers=headers)
    assert error_of(answer, status)["code"] == code
    assert list((tmp_path / "data" / "vault").iterdir()) == []


@pytest.mark.parametrize("path", ["/api/v1/uploads", "/gradio_api/upload"])
@pytest.mark.parametrize("size", [MIB + 1, MIB + 128 * 1024, 3 * MIB])
@pytest.mark.parametrize("says_its_length", [True, False])
def test_too_large_a_file_is_refused_with_the_limit(
    client: TestClient, tmp_path: Path, path: str, size: int, says_its_length: bool
) -> None:
    head = b'--x\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\n' if "gradio" in path else b""
    body = head + b"\0" * size
    content: Any = body if says_its_length else iter([body[i : i + 65536] for i in range(0, len(body), 65536)])
    answer = client.post(path, content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    error = error_of(answer, 413)
    assert error["code"] == "too_large"
    assert "at most 1 MB" in error["message"]
    assert list((tmp_path / "data" / "vault").iterdir()) == []


def test_an_empty_file_is_refused(client: TestClient, tmp_path: Path) -> None:
    assert error_of(client.post("/api/v1/uploads", content=b""), 422)["code"] == "empty"
    assert list((tmp_path / "data" / "vault").iterdir()) == []


def test_too_many_files_are_refused_until_later(client: TestClient, service: Service) -> None:
    for _ in range(service.settings.max_uploads):
        send(client, b"x")
    answer = client.post("/api/v1/uploads", content=b"x")
    error = error_of(answer, 503)
    assert error["code"] == "busy"
    assert answer.headers["retry-after"] == str(error["retry_after_s"]) == "60"


def test_a_caller_who_sends_too_many_waits(tmp_path: Path) -> None:
    settings = ServiceSettings(data=tmp_path, jobs_per_window=1)
    with open_service(settings, prepare=Gate, fetch=no_fetch) as service:
        client = TestClient(Starlette(routes=api_routes(service)))
        for _ in range(3):
            service.uploads.take(send(client, b"x"))
        answer = client.post("/api/v1/uploads", content=b"x")
        assert error_of(answer, 429)["code"] == "rate_limited"
        assert 590 <= int(answer.headers["retry-after"]) <= 601


# --- sharing ----------------------------------------------------------------------------------


def test_a_report_is_shared_read_and_deleted(client: TestClient, service: Service) -> None:
    job_id = finish(service)
    answer = client.post(f"/api/v1/jobs/{job_id}/share")
    shared = answer.json()
    assert answer.status_code == 201
    validate(shared, "Shared")
    assert client.post(f"/api/v1/jobs/{job_id}/share").json() == shared, "asking again shares nothing more"
    assert client.get(f"/e/{shared['id']}/report.json").status_code == 200

    def delete(header: dict[str, str]) -> Any:
        return client.delete(f"/api/v1/reports/{shared['id']}", headers=header)

    for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {shared['delete_token']}"}):
        assert error_of(delete(header), 403)["code"] == "bad_token"
    right = {"authorization": f"Bearer {shared['delete_token']}"}
    assert delete(right).status_code == 204
    assert error_of(delete(right), 404)["code"] == "report_unknown"
    assert client.get(f"/e/{shared['id']}/report.json").status_code == 404
    assert client.post(f"/api/v1/jobs/{job_id}/share").json()["id"] != shared["id"], "it can be shared anew"


def test_a_shared_report_outlives_its_job(client: TestClient, service: Service) -> None:
    job_id = finish(service)
    shared = client.post(f"/api/v1/jobs/{job_id}/share").json()
    service.jobs.sweep(now=service.jobs.view(job_id).expires)
    assert error_of(client.get(f"/api/v1/jobs/{job_id}"), 404)["code"] == "job_unknown"
    assert client.get(f"/e/{shared['id']}/report.json").status_code == 200


# --- the rest ---------------------------------------------------------------------------------


def test_health(client: TestClient, service: Service) -> None:
    assert client.get("/healthz").json()["models_loaded"] == "no"
    service.models.get()
    health = client.get("/healthz").json()
    validate(health, "Health")
    assert health["models_loaded"] == "yes"


def test_a_fault_of_ours_is_an_answer_without_details(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(job_id: str) -> None:
        raise RuntimeError("details of us")

    monkeypatch.setattr(service.store, "find", fail)
    answer = client.get(f"/api/v1/jobs/{new_id()}")
    assert error_of(answer, 500)["code"] == "internal"
    assert "details" not in answer.text
    assert "RuntimeError" in caplog.text


# --- documents --------------------------------------------------------------------------------


def registry() -> Registry[Any]:
    """Where the document's references lead: into itself, and to the report's schema."""
    report = json.loads((SHARED / "report.schema.json").read_text(encoding="utf-8"))
    api = {"$schema": "https://json-schema.org/draft/2020-12/schema", **OPENAPI}
    resources = {"https://example.org/api": api, "https://example.org/api/v1/report.schema.json": report}
    return Registry().with_resources((name, Resource.from_contents(item)) for name, item in resources.items())


REGISTRY = registry()


def validate(document: Any, schema: str) -> None:
    reference = {"$ref": f"https://example.org/api#/components/schemas/{schema}"}
    Draft202012Validator(reference, registry=REGISTRY).validate(document)


def served() -> set[tuple[str, str]]:
    """Methods and paths of our routes."""
    routes = [route for route in api_routes(None) if isinstance(route, Route)]  # type: ignore[arg-type]
    return {(method, route.path) for route in routes for method in (route.methods or set()) & METHODS}


def test_every_route_is_documented_and_the_other_way_round(client: TestClient) -> None:
    documented = {(method.upper(), path) for path, methods in OPENAPI["paths"].items() for method in methods}
    assert served() <= documented
    elsewhere = {(method, path) for method, path in documented - served() if not path.startswith("/gradio_api/call/")}
    assert elsewhere == {("GET", "/e/{report_id}/report.json"), ("GET", "/api/v1/key")}
    assert client.get("/api/v1/key").json().keys() == {"algorithm", "public_key", "fingerprint"}


def test_the_document_is_whole() -> None:
    assert OPENAPI["openapi"] == "3.1.0"
    text = json.dumps(OPENAPI)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', text):
        node = OPENAPI
        for key in reference.split("/"):
            node = node[key]
    for name, schema in OPENAPI["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert f"#/components/schemas/{name}" in text, f"{name} is used nowhere"
    operations = [operation for methods in OPENAPI["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in OPENAPI["tags"]}


def test_the_document_names_every_stage() -> None:
    assert tuple(OPENAPI["components"]["schemas"]["JobView"]["properties"]["stage"]["enum"]) == STAGES


def test_documented_path_parameters_are_those_of_the_path() -> None:
    for path, methods in OPENAPI["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", []) if p.get("in") == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path


def test_documents_are_served(client: TestClient, service: Service) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.json()["servers"] == [{"url": service.settings.base_url}]
    schema = client.get("/api/v1/report.schema.json")
    assert schema.headers["content-type"].startswith("application/schema+json")
    assert schema.json()["$defs"]["Report"]
    page = client.get("/api/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_page_says_what_the_document_says_and_loads_nothing() -> None:
    outline = Outline(render_docs(base_url="https://example.org"))
    for path, methods in OPENAPI["paths"].items():
        assert path in outline.words
        assert all(operation["summary"] in outline.words for operation in methods.values())
    assert all(code in outline.words for code in ALL_CODES)
    for file in EXAMPLES.values():
        assert (DOCS / file).read_text(encoding="utf-8").splitlines()[-1].strip() in outline.words
    assert not outline.find("script")
    assert not [a for tag, a in outline.elements if a.get("src") or (tag == "link" and a.get("href"))]
