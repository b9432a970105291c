#!/bin/sh
# Put a comment of `edgeworthy gate --gitlab` under the merge request: as one note, which is updated and never repeated.
# sh gitlab-note.sh gate/comment.md, in a job of a merge request, with curl and jq. EDGEWORTHY_TOKEN is a masked variable of
# the project: an access token of the project with the scope api, for a job's own token may not write notes.
set -eu
body=$1
if [ -z "${EDGEWORTHY_TOKEN:-}" ]; then
  echo "no note is written: EDGEWORTHY_TOKEN is not set (a merge request from a fork does not get it)"
  exit 0
fi
notes="$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"

# The token is read from standard input: other users of the machine see what a command is called with.
call() {
  printf 'PRIVATE-TOKEN: %s\n' "$EDGEWORTHY_TOKEN" | curl --silent --show-error --fail --header @- "$@"
}

# The first line of the comment marks it; a note of somebody else with the same line is left alone.
MARKER=$(head -n 1 "$body")
user=$(call "$CI_API_V4_URL/user")
ME=$(printf '%s' "$user" | jq -r .id)
export MARKER ME
page=1 found=
while [ -z "$found" ]; do
  listed=$(call "$notes?per_page=100&page=$page")
  [ "$listed" != "[]" ] || break
  found=$(printf '%s' "$listed" | jq -r 'map(select((.author.id | tostring) == env.ME and (.body | startswith(env.MARKER))))[0].id // empty')
  page=$((page + 1))
done
if [ -n "$found" ]; then
  call --request PUT --data-urlencode "body@$body" --output /dev/null "$notes/$found"
else
  call --request POST --data-urlencode "body@$body" --output /dev/null "$notes"
fi
