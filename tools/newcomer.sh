#!/usr/bin/env bash
# A newcomer's path: clone this project, then every command of README.md in its order, each timed.
#
#   tools/newcomer.sh [--from REPOSITORY] [--into DIR] [--venv VENV]
#
# --from: what is cloned; default: this checkout (its last commit). --into: a new folder; default: a temporary one, removed at the end.
# --venv: take the libraries of that environment, so that `make setup` has nothing to install; default: set everything up.
# The exit code is that of the first command that fails; what the commands printed is in DIR/log.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
from=$here into="" venv=""
while [ $# -gt 0 ]; do
  case $1 in
    --from) from=$2 ;;
    --into) into=$2 ;;
    --venv) venv=$(cd "$2" && pwd) ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift 2
done
if [ -z "$into" ]; then
  into=$(mktemp -d)
  trap 'rm -rf "$into"' EXIT
fi
mkdir -p "$into/log"
into=$(cd "$into" && pwd)
unset PYTHONPATH VIRTUAL_ENV
began=$(date +%s.%N)
report() { # seconds since $1, and what they were spent on
  awk -v a="$1" -v b="$(date +%s.%N)" -v what="$2" 'BEGIN { printf "%7.1f s  %s\n", b - a, what }'
}

start=$(date +%s.%N)
git clone --quiet "$from" "$into/idiff"
cd "$into/idiff"
report "$start" "git clone"
if [ -n "$venv" ]; then # an environment of its own, which sees this clone first and then the libraries of the other
  python3 -m venv --without-pip .venv
  site=$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')
  printf '%s\n' "$PWD" "$("$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')" > "$site/libraries.pth"
  printf '#!/bin/sh\nexec "%s/.venv/bin/python" -m idiff "$@"\n' "$PWD" > .venv/bin/idiff
  chmod +x .venv/bin/idiff
  touch .venv/.ready
fi

python3 tools/readme_commands.py README.md "$into/commands"
for file in "$into"/commands/*; do
  name=$(basename "$file")
  shown=$(head -n 1 "$file" | cut -c 1-100)
  start=$(date +%s.%N) code=0
  # in this shell, because `source .venv/bin/activate` is for the commands after it
  case $name in
    *.py) shown="python block of README.md"; python "$file" > "$into/log/$name" 2>&1 || code=$? ;;
    *) source "$file" > "$into/log/$name" 2>&1 || code=$? ;;
  esac
  report "$start" "$shown"
  if [ "$code" -ne 0 ]; then
    tail -n 20 "$into/log/$name" >&2
    echo "newcomer: exit code $code of: $shown" >&2
    exit "$code"
  fi
  if [ -z "${answered:-}" ] && ls answers/*.png > /dev/null 2>&1; then
    answered=yes
    report "$began" "= until the first answer: $(ls answers/*.png | head -n 1)"
  fi
done
for left in answers/*.png data/people.png runs/first/{results.csv,predictions,card.json,model}; do
  [ -e "$left" ] || { echo "newcomer: $left is missing at the end" >&2; exit 1; }
done
[ -z "$(git status --porcelain)" ] || { echo "newcomer: the commands left files that git sees" >&2; exit 1; }
report "$began" "= the whole way"
