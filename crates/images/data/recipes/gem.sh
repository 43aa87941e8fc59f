# Gems. $@: `name` or `name:version`.
set -eu
need gem ruby ruby-dev gcc libc6-dev make
# Programs land on PATH, and libraries where every user inside looks for them: never in the home directory of the build, which gem takes
# where it may not write, and which vanishes.
gems=$(gem env gemdir)
gem list --local --quiet | sort > /tmp/before
gem install --no-document --no-user-install --bindir /usr/local/bin ${GEM_MIRROR:+--clear-sources --source "$GEM_MIRROR"} "$@"
# Gems keep the permissions that their files had where they were packed.
find "$gems" -cnewer /tmp/before \( -type d ! -perm -005 -o -type f ! -perm -004 \) -exec chmod a+rX {} +
gem list --local --quiet | sort > /tmp/after
# What was kept of a download tells its hash.
comm -13 /tmp/before /tmp/after | sed -n 's/^\([^ ]*\) (\(default: \)*\([^,)]*\).*/\1 \3/p' |
    while read -r name version; do
        hash=$(sha256sum "$gems/cache/$name-$version.gem" 2> /dev/null | cut -d ' ' -f 1) || hash=
        printf '%s\t%s\t%s\t%s\n' "$name" "$version" "${GEM_MIRROR:-}" "${hash:+sha256:$hash}"
    done > "$REPORT"
