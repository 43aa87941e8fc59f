#!/bin/bash
# Two attempts from inside an environment: one that examples/first-run.yaml allows, one that it does not.

echo "A package registry, which the environment allows:"
cargo info --quiet itoa | sed -n 1,2p

echo
echo "A production host, which it does not:"
if (exec 3<>/dev/tcp/api.production.example.com/443) 2>&1; then
    echo "reached it; that should not happen"
    exit 1
fi
