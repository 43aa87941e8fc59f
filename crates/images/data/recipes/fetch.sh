# Brings the mirror of a repository in /repository up to date. $1: transport; $2: the repository; $3: a ref, empty for the head; $4: the largest
# file in bytes. Reports the commit, and the branch if it is one. Ends with 91 if the repository is there and has no such ref, with 92 if
# the mirror is damaged.
url=$2 ref=$3
ulimit -f $(($4 / 512))
mkdir -p /tmp/ssh
if [ -e /bailiwick/git-credentials ]; then
    git config --global credential.helper 'store --file=/bailiwick/git-credentials'
fi
# ssh wants a key that is its user's alone; as whose this one appears here depends on who runs Bailiwick.
identity=none
if [ -e /bailiwick/ssh-key ]; then
    (umask 077 && cat /bailiwick/ssh-key > /tmp/ssh/key)
    identity=/tmp/ssh/key
fi
export GIT_SSH_VARIANT=ssh GIT_SSH_COMMAND="ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/bailiwick/known-hosts -o GlobalKnownHostsFile=none -o UpdateHostKeys=no -o IdentitiesOnly=yes -o IdentityAgent=none -o IdentityFile=$identity -o ConnectTimeout=30"

cd /repository
# What somebody who was killed in the middle left; nobody else writes here now. The configuration is never what was found.
rm -rf hooks info config description objects/info/alternates objects/pack/tmp_* shallow.lock
find . -name '*.lock' -type f -delete
git init --quiet --bare --template= .

kept=refs/bailiwick/$(printf %s "$ref" | sha256sum | cut -c -40)
have=$(git rev-parse --quiet --verify "$kept" || true)
branch=
case $ref in
    '') set -- HEAD ;;
    refs/*) set -- "$ref" ;;
    *) set -- "refs/heads/$ref" "refs/tags/$ref" ;;
esac
# The hash that the repository has for exactly this name.
tip() { awk -v name="$1" -F '\t' '$2 == name && $1 !~ /^ref: / { print $1; exit }' /tmp/refs; }
if printf %s "$ref" | grep -Eqx '[0-9a-fA-F]{40}|[0-9a-fA-F]{64}'; then
    source=$ref tip=$ref
else
    git ls-remote --symref -- "$url" "$@" > /tmp/refs
    source= tip=
    for name in "$@"; do
        tip=$(tip "$name")
        [ -z "$tip" ] || { source=$name && break; }
    done
    if [ -z "$source" ]; then
        echo "error: the repository has no ${ref:-commit yet}${ref:+: it is neither a branch nor a tag there}" >&2
        exit 91
    fi
    case $source in
        HEAD) branch=$(awk -F '\t' '$2 == "HEAD" && sub(/^ref: /, "", $1) { print $1; exit }' /tmp/refs) ;;
        refs/heads/*) branch=$source ;;
    esac
fi
if [ "$have" != "$tip" ]; then
    echo "fetching $source"
    git fetch --no-tags --no-recurse-submodules --no-write-fetch-head --progress -- "$url" "+$source:$kept" || {
        status=$?
        [ -z "$have" ] || git fsck --connectivity-only --no-dangling --no-progress > /dev/null 2>&1 || exit 92
        exit $status
    }
fi
git cat-file -e "$kept^{tree}" || exit 92
printf '%s\t%s\n' "$(git rev-parse --verify "$kept^{commit}")" "$branch" > "$REPORT"
