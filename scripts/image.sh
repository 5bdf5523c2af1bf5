#!/usr/bin/env bash
# Builds the image without Docker, on a base of Debian's own packages, and looks inside. Needs root, buildah and debootstrap.
# Prints where the file system of the finished image is. Usage: scripts/image.sh FOLDER (kept between runs for its base)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mkdir -p "$1" && cd "$1" && pwd)
base=localhost/modelwatch-base:bookworm
image=localhost/modelwatch:trial
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

if ! command buildah --version >/dev/null || ! command -v debootstrap >/dev/null; then
    echo "buildah and debootstrap are needed: apt-get install buildah debootstrap" >&2
    exit 1
fi
if [[ ! -e $work/rootfs/.complete ]]; then
    rm -rf "$work/rootfs"
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$work/rootfs" >&2
    touch "$work/rootfs/.complete"
fi
if ! buildah images --quiet "$base" >/dev/null 2>&1; then
    printf 'FROM scratch\nCOPY . /\nCMD ["bash"]\n' |
        buildah bud --isolation chroot --format docker --tag "$base" --file - "$work/rootfs" >&2
fi
# What this machine trusts and where it finds packages counts inside too; nothing of it gets into the image.
mounts=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
[[ ! -e /etc/pip.conf ]] || mounts+=(--volume /etc/pip.conf:/etc/pip.conf:ro)
buildah bud --isolation chroot --format docker --pull-never "${mounts[@]}" --build-arg "PYTHON_IMAGE=$base" \
    --tag "$image" . >&2
container=$(buildah from --pull-never "$image")
buildah inspect --type image "$image" >"$work/image.json"
echo "$container" >"$work/container"
buildah mount "$container"
