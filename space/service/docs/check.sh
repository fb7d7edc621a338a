#!/bin/sh
# Check a video file with a Telltale server: sh check.sh https://example.hf.space video.mp4
# Prints the last view of the job as JSON: {"stage": "done", "report": ...} or {"stage": "failed", "error": ...}.
set -eu
server=${1%/} video=$2
job_id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

# A field of a JSON answer. With jq installed, `jq -r .upload_id` does it better.
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

# 1. Send the file.
upload=$(curl -sS --fail-with-body -X POST -T "$video" "$server/api/v1/uploads")
upload_id=$(printf %s "$upload" | field upload_id)

# 2. Begin the check under an id of your own.
begun=$(curl -sS --fail-with-body "$server/gradio_api/call/v2/check_upload" -H 'Content-Type: application/json' \
  -d "{\"job_id\": \"$job_id\", \"upload\": \"$upload_id\"}")

# 3. Follow it. If the connection is lost, nothing else is: curl "$server/api/v1/jobs/$job_id" has the same view.
curl -sSN "$server/gradio_api/call/check_upload/$(printf %s "$begun" | field event_id)" |
  sed -n 's/^data: \[\(.*\)\]$/\1/p' | tail -n 1
