# Gems. $@: `name` or `name:version`.
set -eu
need gem ruby ruby-dev gcc libc6-dev make
# Programs land on PATH, and libraries where every user inside looks for them: never in the home directory of the build, which gem takes
# where it may not write, and which vanishes.
gems=$(gem env gemdir)
mirror=${GEM_MIRROR:+--clear-sources --source $GEM_MIRROR}
into="--no-document --no-user-install --bindir /usr/local/bin"
installed() { ruby -e 'Gem::Specification.each { |s| puts [s.name, s.version, s.platform].join("\t") }' | sort -u; }
installed > /tmp/before
if locked; then
    # Whatever is fetched is looked at before anything of it runs, and then nothing else is asked.
    mkdir /tmp/gems
    cd /tmp/gems
    sed 's/{"platform":"\([^"]*\)"}$/\1/' "$LOCK" > /tmp/wanted
    while IFS='	' read -r line; do
        set -- $line
        platform=$(printf '%s' "$line" | cut -f 5)
        gem fetch "$1" --version "$2" --platform "${platform:-ruby}" $mirror < /dev/null
        archive=$1-$2${platform:+-$platform}.gem
        printf '%s\t%s\t\tsha256:%s\n' "$1" "$2" "$(sha256sum "$archive" | cut -d ' ' -f 1)" >> /tmp/fetched
    done < /tmp/wanted
    as_locked /tmp/fetched
    gem install --local $into ./*.gem
else
    gem install $into $mirror "$@"
fi
# Gems keep the permissions that their files had where they were packed.
find "$gems" -cnewer /tmp/before \( -type d ! -perm -005 -o -type f ! -perm -004 \) -exec chmod a+rX {} +
installed > /tmp/after
# What was kept of a download tells its hash.
from=${GEM_MIRROR:-https://rubygems.org/}
comm -13 /tmp/before /tmp/after | while read -r name version platform; do
    case $platform in
        ruby) full=$name-$version detail= ;;
        *) full=$name-$version-$platform detail="{\"platform\":\"$platform\"}" ;;
    esac
    hash=$(sha256sum "$gems/cache/$full.gem" 2> /dev/null | cut -d ' ' -f 1) || hash=
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$version" "${from%/}/gems/$full.gem" "${hash:+sha256:$hash}" "$detail"
done > "$REPORT"
