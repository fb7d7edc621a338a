"""Check a video file with a Telltale server: python check.py https://example.hf.space video.mp4

Needs gradio_client (pip install gradio_client), which brings httpx.
"""

import secrets
import sys
from pathlib import Path

import httpx
from gradio_client import Client

server, video = sys.argv[1].rstrip("/"), Path(sys.argv[2])

# 1. Send the file. It goes into an encrypted vault and is deleted when its check ends.
answer = httpx.post(f"{server}/api/v1/uploads", content=video.read_bytes(), timeout=300)
if answer.is_error:
    sys.exit(answer.json()["error"]["message"])

# 2. Begin the check under an id of your own, and follow it.
job_id = secrets.token_hex(16)
client = Client(server, verbose=False)
view = {}
for view in client.submit(job_id, answer.json()["upload_id"], api_name="/check_upload"):
    print(f"{view['stage']:10} {view['fraction']:4.0%}", file=sys.stderr)

# 3. If the connection is lost, nothing else is: GET /api/v1/jobs/{job_id} has the same view.
if view["stage"] != "done":
    sys.exit(view["error"]["message"] if view["error"] else view["stage"])
verdict = view["report"]["verdict"]
print(verdict["sentence"]["en"])
for reason in verdict["reasons"]:
    print("-", reason["en"])
