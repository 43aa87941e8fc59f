# Checks a commit out of the mirror in /repository into the empty directory that this runs in. $1: `file`; $2: the repository; $3: the commit;
# $4: the branch as a full ref, or empty; $5: the most files; $6: the most bytes. Ends with 92 if the mirror does not have it.
url=$2 commit=$3 branch=$4 files=$5 bytes=$6
git init --quiet --template= .
git remote add origin "$url"
# Already looked through when they came into the mirror.
git -c transfer.fsckObjects=false fetch --quiet --no-tags --no-recurse-submodules --no-write-fetch-head -- file:///repository "$commit" || exit 92
git ls-tree -r -l "$commit" | awk -v files="$files" -v bytes="$bytes" '
    { size += $4 }
    NR > files { print "error: the project has more than " files " files" > "/dev/stderr"; exit 1 }
    size > bytes { print "error: the files of the project have more than " bytes " bytes" > "/dev/stderr"; exit 1 }'
case $branch in
    refs/heads/*)
        name=${branch#refs/heads/}
        git symbolic-ref HEAD "$branch"
        git update-ref "refs/remotes/origin/$name" "$commit"
        git config "branch.$name.remote" origin
        git config "branch.$name.merge" "$branch"
        ;;
    *) git update-ref --no-deref HEAD "$commit" ;;
esac
git reset --quiet --hard "$commit"
# The layer's files have other inodes and owners in each sandbox; by size and time of change git knows them at once.
git config core.checkStat minimal
: > "$REPORT"
