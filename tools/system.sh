#!/bin/sh
# The programs that pip cannot install: bubblewrap (the sandbox), Chromium (the tests of the website) and Graphviz (the
# drawings of computational graphs); with the argument `test` also a PostgreSQL server (the tests of the gradebook start
# one of their own and stop it).
# Where this user may install packages they are installed; elsewhere a sentence says what is missing.
missing=""
command -v bwrap >/dev/null 2>&1 || missing="bubblewrap"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
  || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
command -v dot >/dev/null 2>&1 || missing="$missing graphviz"
if [ "$1" = test ]; then
  command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
fi
[ -z "$missing" ] && exit 0

become=""
[ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null && become="sudo -n"; }
if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || [ -n "$become" ]; }; then
  echo "installing $missing"
  $become apt-get update -qq >/dev/null 2>&1
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $become apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && exit 0
fi
case "$missing" in
  *bubblewrap*) echo "bubblewrap is missing: submissions cannot be graded safely without it (apt-get install bubblewrap)" >&2 ;;
esac
case "$missing" in
  *chromium*) echo "Chromium is missing: the tests of the website in a browser are skipped (apt-get install chromium)" >&2 ;;
esac
case "$missing" in
  *graphviz*) echo "Graphviz is missing: computational graphs are shown as lists, not drawn (apt-get install graphviz)" >&2 ;;
esac
case "$missing" in
  *postgresql*) echo "PostgreSQL is missing: the tests of a gradebook in it are skipped (apt-get install postgresql)" >&2 ;;
esac
exit 0
