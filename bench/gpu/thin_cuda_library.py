#!/usr/bin/env python3
"""Keeps one GPU architecture of a CUDA library: thin_cuda_library.py IN.so OUT.so ARCH (90 for an H200).

The code for other architectures is overwritten with zeros, in place: the file keeps its size and layout, and
compresses to a fraction. For carrying a library to a machine whose link is narrow; never for shipping.
"""
import collections
import pathlib
import struct
import subprocess
import sys

IMAGE = 0xBA55ED50  # Magic number of one fat binary: u32, u16 version, u16 header size, u64 size that follows.
ENTRY = struct.Struct("<HHIQIIHHI")  # Kind, version, header size, payload size, …, minor, major, architecture.


def section(path, name):
    """Offset and size in the file."""
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        words = line.replace("[", " ").replace("]", " ").split()
        if len(words) > 5 and words[1] == name:
            return int(words[4], 16), int(words[5], 16)
    sys.exit(f"{path} has no section {name}")


def thin(data, begin, size, wanted):
    kept, dropped = collections.Counter(), collections.Counter()
    at, end = begin, begin + size
    while at + 16 <= end:
        magic, _, header, length = struct.unpack_from("<IHHQ", data, at)
        if magic != IMAGE:
            at += 8  # Images are aligned.
            continue
        entry, image_end = at + header, at + header + length
        while entry + ENTRY.size <= image_end:
            kind, _, entry_header, payload, _, _, _, _, architecture = ENTRY.unpack_from(data, entry)
            if architecture == wanted and kind == 2:
                kept[architecture] += payload
            else:
                dropped[architecture] += payload
                data[entry + entry_header:entry + entry_header + payload] = bytes(payload)
            entry += entry_header + payload
        at = image_end
    return dict(kept), dict(dropped)


def main(source, target, architecture):
    data = bytearray(pathlib.Path(source).read_bytes())
    kept, dropped = thin(data, *section(source, ".nv_fatbin"), int(architecture))
    print("bytes kept by architecture:", kept, "dropped:", dropped)
    if not kept:
        sys.exit(f"{source} has no code for architecture {architecture}")
    pathlib.Path(target).write_bytes(data)


main(*sys.argv[1:])
