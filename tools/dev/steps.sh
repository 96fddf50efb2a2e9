# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by ./dev and its parts: long commands with one line of progress.

# Erases the progress line of a terminal.
_clear_line() { [[ ! -t 2 ]] || printf '\r\033[K' >&2; }

_show_progress() {
  local name=$1 seconds=$2 log=$3 place=
  # What ninja says at the start of its lines: [done/all].
  place=$(grep -ao '^\[[0-9]*/[0-9]*\]' "$log" 2>/dev/null | tail -n 1 || true)
  if [[ -t 2 ]]; then
    printf '\r\033[K-- %s %s %d s' "$name" "$place" "$seconds" >&2
  elif ((seconds % 20 == 0)); then
    echo "-- $name $place $seconds s" >&2
  fi
}

# step NAME COMMAND...: shows how it goes on stderr; its output only if it fails.
step() {
  local name=$1 log pid status=0 started=$SECONDS shown=-1
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS > shown && SECONDS > started)); then
      shown=$SECONDS
      _show_progress "$name" $((SECONDS - started)) "$log"
    fi
    sleep 0.1
  done
  wait "$pid" || status=$?
  _clear_line
  if ((status == 0)); then
    echo "-- $name: done, $((SECONDS - started)) s" >&2
  else
    tail -n 60 "$log" >&2
    echo "-- $name: failed with exit code $status" >&2
  fi
  rm -f "$log"
  return "$status"
}
