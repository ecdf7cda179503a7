#!/usr/bin/env bash
# Fetch the Debian packages of packages.txt and unpack their sounds, one folder a package:  fetch_sounds.sh UNPACKED
# Needs apt-get (Debian 12), dpkg-deb, tar and unzip. Some 9 GB come down; 3 GB of sounds stay.
set -euo pipefail
list="$(cd "$(dirname "$0")" && pwd)/packages.txt"
mkdir -p "$1"
cd "$1"
sounds=('*.wav' '*.ogg' '*.oga' '*.mp3' '*.flac' '*.opus')
while read -r package; do
  [ -d "$package" ] && continue
  apt-get download -qq "$package"
  mkdir "$package.new"
  dpkg-deb --fsys-tarfile "$package"_*.deb |
    tar -x -C "$package.new" --wildcards --no-anchored "${sounds[@]}" '*.zip' '*.pk3' '*.wz' 2>/dev/null || true
  # Games keep their data in zip files under other names.
  find "$package.new" -type f \( -name '*.zip' -o -name '*.pk3' -o -name '*.wz' \) -print0 |
    while IFS= read -r -d '' archive; do
      unzip -qq -n "$archive" "${sounds[@]}" -d "$archive.d" 2>/dev/null || true
      rm "$archive"
    done
  rm "$package"_*.deb
  mv "$package.new" "$package"
done <"$list"
