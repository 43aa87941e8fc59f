# The set-up of a project, in its directory. $@: its commands.
set -u
umask 022
# A person's own tools find what a distribution's would refuse to mix with its own (PEP 668): this is nobody else's root.
export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 npm_config_update_notifier=false DEBIAN_FRONTEND=noninteractive
number=0
for command in "$@"; do
    number=$((number + 1))
    printf '$ %s\n' "$command"
    sh -c "$command" < /dev/null || {
        status=$?
        echo "error: command $number of the set-up ended with exit code $status" >&2
        exit 1
    }
done
