# Whoever works on the project later is uid 1000, where this sandbox has that one too; else it is root here.
if [ "$(awk 'NR == 1 { print $3 }' /proc/self/uid_map)" -gt 1000 ]; then
    chown -R -h 1000:1000 .
fi
: > "$REPORT"
