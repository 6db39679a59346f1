#!/bin/sh
# SPDX-License-Identifier: MIT
# What a failure prints to repeat it repeats it, step by step: of random and of depth-first runs.
# Usage: repeats.sh PROGRAM
program=$1
failed=0
for bug in $("$program" --list | grep '^zoo/'); do
  for mode in "--runs 20000" "--dfs"; do
    # shellcheck disable=SC2086
    first=$("$program" --scenario "$bug" $mode | sed -n '/^  /p')
    again=$(printf '%s\n' "$first" | sed -n 's/^  repeat with: penstock-explore //p')
    # shellcheck disable=SC2086
    second=$("$program" $again | sed -n '/^  /p')
    if [ -z "$again" ] || [ "$first" != "$second" ]; then
      printf '%s %s is not repeated by %s\n' "$bug" "$mode" "$again"
      failed=1
    fi
  done
done
exit $failed
