# Gems. $@: `name` or `name:version`.
set -eu
need gem ruby ruby-dev
gem list --local --quiet | sort > /tmp/before
gem install --no-document ${GEM_MIRROR:+--clear-sources --source "$GEM_MIRROR"} "$@"
gem list --local --quiet | sort > /tmp/after
comm -13 /tmp/before /tmp/after | sed -n 's/^\([^ ]*\) (\(default: \)*\([^,)]*\).*/\1\t\3/p' > "$REPORT"
