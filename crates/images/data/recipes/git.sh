# In front of what runs git. $1: the transport that it may use. $REPORT: where the script tells its result.
#
# Nobody's configuration counts but this one: no filter, no hook, no helper, no submodule, no other transport (git-config(1)).
set -eu
umask 022
export HOME=/tmp/git LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/tmp/git/config GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_LFS_SKIP_SMUDGE=1
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_ASKPASS SSH_ASKPASS || true
if ! command -v git > /dev/null; then
    echo "error: this machine has no git, with which repositories are fetched: install it" >&2
    exit 1
fi
mkdir -p "$HOME"
cat > "$GIT_CONFIG_GLOBAL" << END
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
	fsmonitor = false
[protocol]
	allow = never
[protocol "$1"]
	allow = always
[transfer]
	fsckObjects = true
[fetch]
	unpackLimit = 1
	recurseSubmodules = false
# What old programs wrote and harms nobody.
[fetch "fsck"]
	zeroPaddedFilemode = ignore
	missingSpaceBeforeDate = ignore
	badTimezone = ignore
[submodule]
	recurse = false
[uploadpack]
	allowAnySHA1InWant = true
[gc]
	autoDetach = false
[maintenance]
	autoDetach = false
[advice]
	detachedHead = false
[http]
	lowSpeedLimit = 1
	lowSpeedTime = 120
END
