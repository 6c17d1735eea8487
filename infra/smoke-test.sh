#!/bin/sh
# Looks at a deployment from outside, with nothing but curl: smoke-test.sh https://YOUR-APP
# Settings: ENTRA_CLIENT_ID and FUNCTION_KEY, where Entra ID stands in front; for tests WAIT, the seconds between two looks (10); TRIES, how often to look (30); SWEEP_AFTER, the seconds to wait
# before the last sweep is looked at (380).
set -eu

url=${1%/}
wait=${WAIT:-10}
tries=${TRIES:-30}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
  echo "FAILED: $1" >&2
  [ ! -s "$folder/body" ] || head -c 1000 "$folder/body" >&2
  exit 1
}

# The status of a request; its body and headers are left in the folder.
ask() {
  : > "$folder/body"
  curl --silent --show-error --max-time 30 --dump-header "$folder/headers" --output "$folder/body" --write-out '%{http_code}' "$@" || echo 000
}

# Until it is so, or long enough.
await() {
  attempt=1
  until "$2"; do
    [ "$attempt" -lt "$tries" ] || fail "$1"
    attempt=$((attempt + 1))
    sleep "$wait"
  done
  echo "ok: $3"
}

is_healthy() { [ "$(ask "$url/api/health")" = 200 ]; }
await "/api/health is not 200" is_healthy "/api/health is healthy"

# Wix's codes are long. The front end takes request lines of up to 8,192 bytes: this one has to reach our code, which
# answers with its own page (400, because the state is not one of ours) and not with the platform's 414 or 500.
code=$(head -c 7500 /dev/zero | tr '\0' a)
[ "$(ask "$url/api/redirect?code=$code&state=x" --max-redirs 1 --location)" = 400 ] || fail "a redirect with a code of 7,500 characters is not answered with our page"
grep -qi '^content-security-policy:' "$folder/headers" || fail "the answer to a redirect is not our page"
echo "ok: a redirect with a code of 7,500 characters reaches our page"

[ "$(ask "$url/api/instances")" = 401 ] || fail "/api/instances without a key is not 401"
echo "ok: /api/instances without a key is 401"

# With Entra ID in front a valid function key (FUNCTION_KEY) alone must not be enough.
if [ -n "${ENTRA_CLIENT_ID:-}" ]; then
  [ -n "${FUNCTION_KEY:-}" ] || fail "FUNCTION_KEY is not set"
  printf 'x-functions-key: %s\n' "$FUNCTION_KEY" > "$folder/key"
  [ "$(ask "$url/api/instances" --header "@$folder/key")" = 401 ] || fail "/api/instances with a key but no bearer token is not 401"
  echo "ok: /api/instances with a key but no bearer token is 401"
fi

# Timers on Flex Consumption have stopped for good after deployments: see "sweep-stopped" in docs/operations.md.
# Health reports sweep_overdue 5 minutes after the last sweep, and caches what it found for 10 seconds. The earlier
# deployment's last sweep may end a minute after this script begins. After 380 seconds, no sweep_overdue therefore means a
# sweep of this deployment. In a table that was never swept, a process reports sweep_overdue 5 minutes after it was first
# asked for its health: the first lines of this script ask. Only a process that began to answer since would not report it.
sleep "${SWEEP_AFTER:-380}"
is_swept() { is_healthy && grep -q '"degraded"' "$folder/body" && ! grep -q sweep_overdue "$folder/body"; }
await "no sweep since the deployment" is_swept "a sweep ran after the deployment"
